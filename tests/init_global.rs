//! The global manager set up first, in a process of its own: it is made once, and whoever comes first decides
//! how.

use castoff::{ManagerConfig, RegisterError, ResourceManager};

#[test]
fn the_first_one_decides_how_the_global_manager_is_set_up() {
    let made = ResourceManager::init_global(ManagerConfig::default().max_resources(1));
    let global = made.expect("nobody has asked for the global manager yet");
    assert!(std::ptr::eq(global, ResourceManager::global()));

    let _held = ResourceManager::global().resource("held").guard(|| ()).expect("one fits");
    let refused = ResourceManager::global().resource("second").guard(|| ());
    assert!(matches!(refused, Err(RegisterError::LimitReached { limit: 1, .. })), "{refused:?}");

    let again = ResourceManager::init_global(ManagerConfig::default());
    assert!(again.is_err());
    let refused = ResourceManager::global().resource("third").guard(|| ());
    assert!(matches!(refused, Err(RegisterError::LimitReached { limit: 1, .. })), "{refused:?}");
}
