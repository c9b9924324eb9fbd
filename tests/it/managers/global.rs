//! The global manager and its children. It is shared with every other test of this process, so these tests
//! ask it for their own resources only; setting it up first is in a binary of its own.

use castoff::{AlreadyInitialized, ManagerConfig, RegisterError, ResourceGuard, ResourceManager};

use crate::support::{OrderLog, manager};

#[test]
fn the_global_manager_is_one() {
    assert!(std::ptr::eq(ResourceManager::global(), ResourceManager::global()));
    let guard = ResourceManager::global().guard("pool", || ());
    assert!(ResourceManager::global().get(ResourceGuard::id(&guard)).is_some());
}

#[test]
fn what_a_new_manager_registers_shows_up_in_the_global_one() {
    let (manager, log) = (ResourceManager::new("service"), OrderLog::new());
    let guard = manager.guard("pool", log.cleanup("pool"));
    let id = ResourceGuard::id(&guard);
    assert_eq!(manager.resource_count(), 1);
    assert_eq!(&*ResourceManager::global().get(id).unwrap().manager, "service");
    assert!(ResourceManager::global().resources().iter().any(|info| info.id == id));
    drop(guard);
    assert!(ResourceManager::global().get(id).is_none());
    log.assert_is(&["pool"]);
}

#[test]
fn a_manager_with_a_configuration_is_a_child_of_the_global_one_too() {
    let manager = ResourceManager::with_config("small", ManagerConfig::default().max_resources(1));
    let guard = manager.guard("pool", || ());
    assert!(ResourceManager::global().get(ResourceGuard::id(&guard)).is_some());
    let refused = manager.resource("second").guard(|| ());
    assert!(matches!(refused, Err(RegisterError::LimitReached { limit: 1, .. })));
}

#[test]
fn an_isolated_manager_is_in_no_tree() {
    let manager = manager();
    let guard = manager.guard("pool", || ());
    assert!(ResourceManager::global().get(ResourceGuard::id(&guard)).is_none());
    let elsewhere = ResourceManager::global().guard("elsewhere", || ());
    assert!(manager.get(ResourceGuard::id(&elsewhere)).is_none());
    assert_eq!(manager.resource_count(), 1);
}

#[test]
fn the_global_manager_cannot_be_set_up_once_it_exists() {
    ResourceManager::global();
    let refused: Result<_, AlreadyInitialized> = ResourceManager::init_global(ManagerConfig::default());
    assert!(!refused.unwrap_err().to_string().is_empty());
}

#[test]
fn outside_of_any_scope_the_current_manager_is_the_global_one() {
    let guard = ResourceManager::current().guard("pool", || ());
    assert!(ResourceManager::global().get(ResourceGuard::id(&guard)).is_some());
}
