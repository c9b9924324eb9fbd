//! Programs that hold something at their end.

use std::process::ExitCode;

use castoff::{LeakSeverity, ManagerConfig, ResourceManager};

use crate::fleet::{Kind, fleet, one};

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    let code = match case {
        "leaks" => 0,
        "leaks-and-fails" => 7,
        "leaks-as-configured" => {
            let config = ManagerConfig::default().leaks(LeakSeverity::Fail);
            ResourceManager::init_global(config).expect("nothing has used it before");
            0
        }
        "leaks-nothing" => {
            let manager = ResourceManager::global();
            drop(fleet(manager, kind));
            let meant = manager.resource("meant").long_lived().guard(|| ()).expect("it can be registered");
            std::mem::forget(meant);
            return Some(ExitCode::SUCCESS);
        }
        _ => return None,
    };
    std::mem::forget(one(ResourceManager::global(), kind, "forgotten", &[]));
    Some(ExitCode::from(code))
}
