//! A binary whose tests pass, and which holds something to its end that no test owns.

use std::sync::OnceLock;
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};

static SHARED: OnceLock<ResourceGuard<()>> = OnceLock::new();

#[castoff::test]
fn passes_with_a_static() {
    SHARED.get_or_init(|| {
        ResourceManager::global().guard("shared by the suite", || eprintln!("shared: cleaned"))
    });
}

#[castoff::test(exit_hooks)]
#[ignore = "it waits for a signal"]
fn waits_for_a_signal(manager: &ResourceManager) {
    let _held = manager.guard("container", || eprintln!("container: stopped"));
    eprintln!("it waits");
    std::thread::sleep(Duration::from_secs(60));
}
