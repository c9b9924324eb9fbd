//! Three resources that need each other, and how they are cleaned.

use std::thread;
use std::time::Duration;

use castoff::{ExitHooks, ExitOptions, ResourceGuard, ResourceManager};

use crate::log::say;

/// What cleanups are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sync,
    Async,
}

impl Kind {
    pub fn named(name: &str) -> Kind {
        match name {
            "sync" => Kind::Sync,
            "async" => Kind::Async,
            _ => panic!("no kind of cleanup is named {name:?}"),
        }
    }
}

pub type Guard = ResourceGuard<()>;

/// One resource, which says its name when it is cleaned.
pub fn one(manager: &ResourceManager, kind: Kind, name: &'static str, needs: &[&Guard]) -> Guard {
    let mut registration = manager.resource(name);
    for dependency in needs {
        registration = registration.depends_on(*dependency);
    }
    match kind {
        Kind::Sync => registration.guard(move || say(name)),
        Kind::Async => registration.guard_async(move || async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            say(name);
        }),
    }
    .expect("it can be registered")
}

/// Pool, cache and server, in the order in which they were made: each needs what stands before it. Cleaned in order
/// they say server, cache, pool.
pub fn fleet(manager: &ResourceManager, kind: Kind) -> [Guard; 3] {
    let pool = one(manager, kind, "pool", &[]);
    let cache = one(manager, kind, "cache", &[&pool]);
    let server = one(manager, kind, "server", &[&pool, &cache]);
    [pool, cache, server]
}

/// One whose cleanup says that it hangs, and does.
pub fn hanging(manager: &ResourceManager, kind: Kind) -> Guard {
    let registration = manager.resource("hanging").timeout(Duration::MAX);
    match kind {
        Kind::Sync => registration.guard(|| {
            say("hangs");
            thread::sleep(Duration::from_secs(600));
        }),
        Kind::Async => registration.guard_async(|| async {
            say("hangs");
            std::future::pending::<()>().await;
        }),
    }
    .expect("it can be registered")
}

pub fn global() -> &'static ResourceManager {
    ResourceManager::global()
}

pub fn install(options: ExitOptions) -> ExitHooks {
    global().install_exit_hooks(options).expect("the hooks can be installed")
}

/// Nothing happens here any more, but for at most so long that nobody is left behind if the test is gone.
pub fn wait_for_ever() -> ! {
    thread::sleep(Duration::from_secs(120));
    panic!("nothing has ended this process");
}
