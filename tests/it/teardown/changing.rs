//! A registry that changes while a teardown runs: what registers, what leaves, what is closed and which
//! dependencies come.

use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{ResourceGuard, ResourceId, ResourceManager, ResourceState};

use crate::support::{LIMIT, OrderLog, lock, manager, watchdog};

type Kept = Arc<Mutex<Vec<ResourceGuard<()>>>>;

#[test]
fn what_registers_during_a_cleanup_stays_live_after_it() {
    watchdog(LIMIT, || {
        let (manager, log, kept) = (manager(), OrderLog::new(), Kept::default());
        let (inside, keep, told) = (manager.clone(), Arc::clone(&kept), log.clone());
        let _first =
            manager.guard("first", move || lock(&keep).push(inside.guard("late", told.cleanup("late"))));
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.cleaned()), (1, 1));
        log.assert_is(&[]);
        assert_eq!(manager.resource_count(), 1);
        assert_eq!(ResourceGuard::state(&lock(&kept)[0]), ResourceState::Live);
    });
}

#[test]
fn what_is_unregistered_during_a_teardown_has_no_outcome_and_is_not_counted() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let leaving = manager.guard("leaving", log.cleanup("leaving"));
        let (inside, id, told) = (manager.clone(), ResourceGuard::id(&leaving), log.clone());
        let _first = manager.guard("first", move || {
            assert!(matches!(inside.unregister(id), Ok(true)));
            told.push("first");
        });
        let report = manager.cleanup();
        assert!(report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.skipped().len()), (1, 1, 0));
        assert!(report.timeline().iter().all(|entry| entry.id != id));
        log.assert_is(&["first"]);
        assert_eq!(ResourceGuard::state(&leaving), ResourceState::Released);
    });
}

#[test]
fn what_another_cleanup_closes_is_cleaned_once() {
    watchdog(LIMIT, || {
        let (manager, log, kept) = (manager(), OrderLog::new(), Kept::default());
        lock(&kept).push(manager.guard("closed inside", log.cleanup("closed inside")));
        let (keep, told) = (Arc::clone(&kept), log.clone());
        let _first = manager.guard("first", move || {
            let guard = lock(&keep).pop().expect("the other guard");
            ResourceGuard::close(guard).map_err(|error| error.to_string())?;
            told.push("first");
            castoff::done()
        });
        let report = manager.cleanup();
        assert!(report.is_success(), "{report}");
        log.assert_is(&["closed inside", "first"]);
        assert_eq!(manager.stats().cleaned, 2);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn what_another_cleanup_drops_is_cleaned_once() {
    watchdog(LIMIT, || {
        let (manager, log, kept) = (manager(), OrderLog::new(), Kept::default());
        lock(&kept).push(manager.guard("dropped inside", log.cleanup("dropped inside")));
        let (keep, run) = (Arc::clone(&kept), log.cleanup("first"));
        let _first = manager.guard("first", move || {
            lock(&keep).clear();
            run();
        });
        assert!(manager.cleanup().is_success());
        log.assert_is(&["dropped inside", "first"]);
    });
}

#[test]
fn a_dependency_that_another_cleanup_drops_waits_for_its_dependent() {
    watchdog(LIMIT, || {
        let (manager, log, kept) = (manager(), OrderLog::new(), Kept::default());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let _server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        lock(&kept).push(pool);
        let (keep, run) = (Arc::clone(&kept), log.cleanup("first"));
        let _first = manager.guard("first", move || {
            lock(&keep).clear();
            run();
        });
        assert!(manager.cleanup().is_success());
        log.assert_is(&["first", "server", "pool"]);
    });
}

#[test]
fn a_dependency_added_while_a_teardown_runs_is_looked_at_again() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let server = manager.guard("server", log.cleanup("server"));
        let pool = manager.guard("pool", log.cleanup("pool"));
        let (server_id, pool_id) = (ResourceGuard::id(&server), ResourceGuard::id(&pool));
        let (inside, run) = (manager.clone(), log.cleanup("first"));
        // Newest first would go on with the pool: from here on the server stands before it.
        let _first = manager.guard("first", move || {
            inside.add_dependency(server_id, pool_id).map_err(|error| error.to_string())?;
            run();
            castoff::done()
        });
        let report = manager.cleanup();
        assert!(report.is_success(), "{report}");
        log.assert_is(&["first", "server", "pool"]);
    });
}

#[test]
fn a_cleanup_may_look_at_its_manager_and_start_a_thread_that_does() {
    fn look(manager: &ResourceManager, id: ResourceId) -> bool {
        manager.validate().is_ok()
            && manager.get(id).is_some()
            && manager.find("pool") == Some(id)
            && manager.resources().len() <= manager.resource_count()
            && manager.stats().registered == 2
            && !manager.plan().to_dot().is_empty()
    }
    watchdog(LIMIT, || {
        let (manager, seen) = (manager(), Arc::new(Mutex::new(Vec::new())));
        let pool = manager.resource("pool").named("pool").guard(|| ()).unwrap();
        let (inside, told, id) = (manager.clone(), Arc::clone(&seen), ResourceGuard::id(&pool));
        let _looking = manager.guard("looking", move || {
            lock(&told).push(look(&inside, id));
            let looked = thread::spawn(move || look(&inside, id)).join();
            lock(&told).push(looked.is_ok_and(|fine| fine));
        });
        assert!(manager.cleanup().is_success());
        assert_eq!(*lock(&seen), [true, true]);
    });
}

#[test]
fn a_cleanup_may_open_a_scope() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let (inside, told) = (manager.clone(), log.clone());
        let _guard = manager.guard("outer", move || {
            let ((), report) = inside.scope("scope", |scope| {
                ResourceGuard::leak(scope.guard("inner", told.cleanup("inner")));
            });
            told.push(&format!("scope cleaned {}", report.cleaned()));
        });
        assert!(manager.cleanup().is_success());
        log.assert_is(&["inner", "scope cleaned 1"]);
        assert_eq!(manager.resource_count(), 0);
    });
}

#[test]
fn a_dependency_on_what_has_been_cleaned_meanwhile_is_refused() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let ended: Arc<Mutex<Option<ResourceId>>> = Arc::default();
        let (inside, ids, told) = (manager.clone(), Arc::clone(&ended), log.clone());
        let _last = manager.guard("last", move || {
            let id = lock(&ids).expect("the id of the first");
            let refused = inside.resource("late").depends_on(id).guard(told.cleanup("late"));
            told.push(if refused.is_err() { "refused" } else { "registered" });
        });
        let first = manager.guard("first", || ());
        *lock(&ended) = Some(ResourceGuard::id(&first));
        assert!(manager.cleanup().is_success());
        log.assert_is(&["late", "refused"]);
    });
}
