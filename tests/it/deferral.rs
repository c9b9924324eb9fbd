//! Dependents hold back: what happens to a dependency that is let go before what needs it.

use std::sync::{Arc, Mutex};
use std::thread;

use castoff::{Cleanup, CleanupErrorKind, Priority, ResourceGuard, ResourceManager, ResourceState};

use crate::support::{DropCounter, LIMIT, OrderLog, Recorder, lock, manager, until, watchdog};

fn after<T>(
    manager: &ResourceManager,
    log: &OrderLog,
    label: &'static str,
    of: &ResourceGuard<T>,
) -> ResourceGuard<()> {
    manager.resource(label).depends_on(of).guard(log.cleanup(label)).unwrap()
}

#[test]
fn a_dependency_dropped_first_is_cleaned_after_its_dependent() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    let id = ResourceGuard::id(&pool);
    drop(pool);
    log.assert_is(&[]);
    assert_eq!(manager.get(id).unwrap().state, ResourceState::Deferred);
    assert_eq!(manager.resource_count(), 2);
    drop(server);
    log.assert_is(&["server", "pool"]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn guards_dropped_in_the_right_order_are_not_deferred() {
    let (manager, log) = (manager(), OrderLog::new());
    let recorder = Recorder::on(&manager);
    let pool = manager.guard("pool", log.cleanup("pool"));
    drop(after(&manager, &log, "server", &pool));
    drop(pool);
    log.assert_is(&["server", "pool"]);
    assert_eq!(recorder.of("pool"), ["registered", "cleaned"]);
}

#[test]
fn a_deferral_is_told_and_ends_as_cleaned() {
    let (manager, log) = (manager(), OrderLog::new());
    let recorder = Recorder::on(&manager);
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    assert_eq!(recorder.of("pool"), ["registered", "deferred"]);
    drop(server);
    assert_eq!(recorder.of("pool"), ["registered", "deferred", "cleaned"]);
    assert_eq!(manager.stats().cleaned, 2);
}

#[test]
fn what_a_teardown_skips_behind_a_deferred_one_is_cleaned_when_the_last_dependent_goes() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let cache = after(&manager, &log, "cache", &pool);
    let _job = after(&manager, &log, "job", &pool);
    let session = manager.resource("session").depends_on(&cache).priority(Priority::Critical);
    let _session = session.guard(log.cleanup("session")).unwrap();
    let spared = ResourceGuard::id(&cache);
    drop(pool);
    drop(cache);
    // The session sets the cache free, which goes before the job: so it is the job that sets the pool free.
    drop(manager.teardown().exclude(&[spared]).run());
    log.assert_is(&["session", "cache", "job", "pool"]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn the_value_of_a_deferred_resource_lives_until_its_cleanup_has_run() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("pool")).unwrap();
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    log.assert_is(&[]);
    drop(server);
    log.assert_is(&["server", "pool", "pool dropped"]);
}

#[test]
fn a_shared_value_is_alive_for_the_cleanup_of_its_deferred_resource() {
    let (manager, log) = (manager(), OrderLog::new());
    let told = log.clone();
    let pool = manager.guard_value("pool", String::from("orders"), move |name: &String| told.push(name));
    let weak = Arc::downgrade(&*pool);
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    assert!(weak.upgrade().is_some());
    drop(server);
    log.assert_is(&["server", "orders"]);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_deferred_cleanup_runs_on_the_thread_that_saw_the_last_dependent_go() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let ran_on = Arc::new(Mutex::new(None));
        let told = Arc::clone(&ran_on);
        let pool = manager.guard("pool", move || *lock(&told) = Some(thread::current().id()));
        let server = after(&manager, &log, "server", &pool);
        drop(pool);
        let dropping = thread::spawn(move || {
            drop(server);
            thread::current().id()
        });
        assert_eq!(dropping.join().unwrap(), lock(&ran_on).expect("it ran before drop returned"));
    });
}

#[test]
fn a_dependency_waits_for_the_last_of_its_dependents() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let [one, two, three] = ["one", "two", "three"].map(|label| after(&manager, &log, label, &pool));
    drop(pool);
    drop(two);
    drop(one);
    log.assert_is(&["two", "one"]);
    drop(three);
    log.assert_is(&["two", "one", "three", "pool"]);
}

#[test]
fn one_dependent_may_hold_several_dependencies_back() {
    let (manager, log) = (manager(), OrderLog::new());
    let pools = ["first", "second"].map(|label| manager.guard(label, log.cleanup(label)));
    let server = manager.resource("server").depends_on_all(&pools).guard(log.cleanup("server")).unwrap();
    drop(pools);
    log.assert_is(&[]);
    drop(server);
    let mut entries = log.entries();
    assert_eq!(entries.remove(0), "server");
    entries.sort();
    assert_eq!(entries, ["first", "second"]);
}

#[test]
fn a_diamond_dropped_from_the_bottom_is_cleaned_from_the_top() {
    let (manager, log) = (manager(), OrderLog::new());
    let base = manager.guard("base", log.cleanup("base"));
    let (left, right) = (after(&manager, &log, "left", &base), after(&manager, &log, "right", &base));
    let registration = manager.resource("top").depends_on(&left).depends_on(&right);
    let top = registration.guard(log.cleanup("top")).unwrap();
    drop((base, left, right));
    log.assert_is(&[]);
    drop(top);
    let entries = log.entries();
    assert_eq!((&*entries[0], &*entries[3], entries.len()), ("top", "base", 4));
}

#[test]
fn a_chain_of_ten_thousand_dropped_in_the_wrong_order_ends_in_the_right_one() {
    // A recursion through the chain would need some megabytes of this stack.
    const LENGTH: usize = 10_000;
    let chain = || {
        let (manager, log, drops) = (manager(), Arc::new(Mutex::new(Vec::new())), DropCounter::new());
        let mut chain: Vec<ResourceGuard<_>> = Vec::new();
        for link in 0..LENGTH {
            let told = Arc::clone(&log);
            let mut registration = manager.resource("link");
            if let Some(last) = chain.last() {
                registration = registration.depends_on(last);
            }
            let cleanup = Cleanup::sync(move || lock(&told).push(link));
            chain.push(registration.keep(drops.value(), cleanup).unwrap());
        }
        // From the front: each is a dependency of the next.
        chain.into_iter().for_each(drop);
        assert!(lock(&log).iter().copied().eq((0..LENGTH).rev()));
        drops.assert_each_once();
        assert_eq!(manager.resource_count(), 0);
    };
    watchdog(LIMIT, move || {
        let small = thread::Builder::new().stack_size(256 * 1024);
        small.spawn(chain).unwrap().join().unwrap();
    });
}

#[test]
fn a_close_with_live_dependents_is_deferred_and_says_behind_which() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("pool")).unwrap();
    let (one, two) = (after(&manager, &log, "one", &pool), after(&manager, &log, "two", &pool));
    let error = ResourceGuard::close(pool).unwrap_err();
    let CleanupErrorKind::Deferred { behind, .. } = &error.kind else { panic!("{:?}", error.kind) };
    let mut behind: Vec<&str> = behind.iter().map(|label| &**label).collect();
    behind.sort_unstable();
    assert_eq!(behind, ["one", "two"]);
    assert!(error.to_string().contains("pool"), "{error}");
    log.assert_is(&[]);
    drop(one);
    drop(two);
    log.assert_is(&["one", "two", "pool", "pool dropped"]);
}

#[test]
fn a_deferral_by_close_is_no_failure() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    ResourceGuard::close(pool).unwrap_err();
    drop(server);
    assert_eq!((manager.stats().failed, manager.stats().cleaned), (0, 2));
}

#[test]
fn a_close_of_the_last_dependent_runs_what_it_held_back() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    ResourceGuard::close(server).unwrap();
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_released_dependent_lets_its_deferred_dependency_go() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    ResourceGuard::release(server);
    log.assert_is(&["pool"]);
    assert_eq!(manager.resource_count(), 0);
}

#[test]
fn an_unregistered_dependent_lets_its_deferred_dependency_go() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = after(&manager, &log, "server", &pool);
    drop(pool);
    assert!(matches!(manager.unregister(ResourceGuard::id(&server)), Ok(true)));
    log.assert_is(&["pool"]);
}

#[test]
fn a_released_dependency_leaves_its_dependents_without_it() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.resource("pool").keep(7, log.cleanup_value("pool")).unwrap();
    let server = after(&manager, &log, "server", &pool);
    assert_eq!(ResourceGuard::release(pool), 7);
    assert_eq!(ResourceGuard::state(&server), ResourceState::Live);
    assert!(ResourceGuard::info(&server).unwrap().dependencies.is_empty());
    drop(server);
    log.assert_is(&["server"]);
}

#[test]
fn a_dependent_that_fails_or_panics_lets_its_deferred_dependency_go() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let failing = manager.resource("failing").depends_on(&pool).guard(log.failing("failing")).unwrap();
    let panicking = manager.resource("panicking").depends_on(&pool).guard(|| panic!("boom")).unwrap();
    drop(pool);
    drop(failing);
    log.assert_is(&["failing"]);
    drop(panicking);
    log.assert_is(&["failing", "pool"]);
}

#[test]
fn a_teardown_cleans_a_deferred_resource_in_its_order() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let _server = after(&manager, &log, "server", &pool);
        drop(pool);
        let report = manager.cleanup();
        assert_eq!((report.processed(), report.cleaned()), (2, 2));
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn a_teardown_of_the_dependent_alone_lets_its_deferred_dependency_go() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = after(&manager, &log, "server", &pool);
        drop(pool);
        let report = manager.cleanup_batch(&[ResourceGuard::id(&server)]);
        assert_eq!((report.processed(), report.cleaned()), (1, 1));
        until("the pool to be cleaned", || manager.resource_count() == 0);
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn a_dependency_whose_dependent_was_already_torn_down_is_cleaned_at_once() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = after(&manager, &log, "server", &pool);
        assert!(manager.cleanup_batch(&[ResourceGuard::id(&server)]).is_success());
        drop(pool);
        log.assert_is(&["server", "pool"]);
        drop(server);
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn a_dependency_added_later_holds_back_as_well() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = manager.guard("pool", log.cleanup("pool"));
    let server = manager.guard("server", log.cleanup("server"));
    manager.add_dependency(ResourceGuard::id(&server), ResourceGuard::id(&pool)).unwrap();
    drop(pool);
    log.assert_is(&[]);
    drop(server);
    log.assert_is(&["server", "pool"]);
}

#[test]
fn a_deferred_resource_outlives_every_handle_of_its_manager() {
    let log = OrderLog::new();
    let server = {
        let manager = manager();
        let pool = manager.resource("pool").keep(log.value("pool"), log.cleanup_value("pool")).unwrap();
        after(&manager, &log, "server", &pool)
    };
    log.assert_is(&[]);
    drop(server);
    log.assert_is(&["server", "pool", "pool dropped"]);
}
