//! What a teardown selects, and what it must skip because something outside of the selection still needs it.

use castoff::{
    Category, Label, Priority, ResourceGuard, ResourceManager, ResourceState, SkipReason, TeardownReport,
};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

/// Three resources that differ in all that filters ask for, oldest first.
fn three(manager: &ResourceManager, log: &OrderLog) -> [ResourceGuard<()>; 3] {
    let pool = manager.resource("pool").category(Category::Database).tag("orders").tag("eu");
    let file = manager.resource("file").category(Category::File).tag("orders").priority(Priority::Low);
    let timer = manager.resource("timer").category(Category::Timer).tag("eu").priority(Priority::Low);
    [("pool", pool), ("file", file), ("timer", timer)]
        .map(|(label, registration)| registration.guard(log.cleanup(label)).unwrap())
}

fn skipped(report: &TeardownReport) -> Vec<(&str, &SkipReason)> {
    report.skipped().iter().map(|skipped| (&*skipped.label, &skipped.reason)).collect()
}

fn labels(texts: &[&'static str]) -> Vec<Label> {
    texts.iter().copied().map(Label::from).collect()
}

#[track_caller]
fn cleans(
    choose: impl FnOnce(&ResourceManager, &[ResourceGuard<()>]) -> TeardownReport + Send + 'static,
    expected: &'static [&'static str],
) {
    watchdog(LIMIT, move || {
        let (manager, log) = (manager(), OrderLog::new());
        let guards = three(&manager, &log);
        let report = choose(&manager, &guards);
        assert!(report.is_success());
        assert_eq!((report.processed(), report.cleaned()), (expected.len(), expected.len()));
        log.assert_is(expected);
        assert_eq!(manager.resource_count(), guards.len() - expected.len());
    });
}

#[test]
fn by_category() {
    cleans(|manager, _| manager.cleanup_by_category(Category::File), &["file"]);
    cleans(|manager, _| manager.teardown().category(Category::Database).run(), &["pool"]);
    cleans(|manager, _| manager.cleanup_by_category(Category::Network), &[]);
}

#[test]
fn by_tag() {
    cleans(|manager, _| manager.teardown().tag("orders").run(), &["pool", "file"]);
    cleans(|manager, _| manager.teardown().tag("nothing").run(), &[]);
}

#[test]
fn by_priority() {
    cleans(|manager, _| manager.teardown().priority(Priority::Low).run(), &["timer", "file"]);
}

#[test]
fn by_id() {
    cleans(|manager, guards| manager.teardown().ids(&[ResourceGuard::id(&guards[1])]).run(), &["file"]);
    cleans(|manager, guards| manager.cleanup_batch(&[ResourceGuard::id(&guards[0])]), &["pool"]);
}

#[test]
fn a_batch_of_no_ids_selects_nothing() {
    cleans(|manager, _| manager.cleanup_batch(&[]), &[]);
}

#[test]
fn an_id_that_is_given_twice_is_one_resource() {
    let twice = |manager: &ResourceManager, guards: &[ResourceGuard<()>]| {
        let id = ResourceGuard::id(&guards[2]);
        manager.cleanup_batch(&[id, id])
    };
    cleans(twice, &["timer"]);
}

#[test]
fn an_id_that_is_gone_selects_nothing() {
    let gone = |manager: &ResourceManager, guards: &[ResourceGuard<()>]| {
        let gone = ResourceGuard::id(&manager.guard("gone", || ()));
        manager.cleanup_batch(&[gone, ResourceGuard::id(&guards[0])])
    };
    cleans(gone, &["pool"]);
}

#[test]
fn filters_of_one_kind_select_any_of_what_they_say() {
    let categories = |manager: &ResourceManager, _: &[ResourceGuard<()>]| {
        manager.teardown().category(Category::Database).category(Category::Timer).run()
    };
    cleans(categories, &["pool", "timer"]);
    cleans(|manager, _| manager.teardown().tag("orders").tag("eu").run(), &["pool", "timer", "file"]);
    let ids = |manager: &ResourceManager, guards: &[ResourceGuard<()>]| {
        let [pool, file, _] = guards else { panic!("three guards") };
        manager.teardown().ids(&[ResourceGuard::id(pool)]).ids(&[ResourceGuard::id(file)]).run()
    };
    cleans(ids, &["pool", "file"]);
}

#[test]
fn filters_of_several_kinds_must_all_hold() {
    cleans(|manager, _| manager.teardown().tag("eu").category(Category::Timer).run(), &["timer"]);
    cleans(|manager, _| manager.teardown().tag("orders").category(Category::Timer).run(), &[]);
    cleans(|manager, _| manager.teardown().tag("orders").priority(Priority::Low).run(), &["file"]);
    let with_id = |manager: &ResourceManager, guards: &[ResourceGuard<()>]| {
        manager
            .teardown()
            .ids(&[ResourceGuard::id(&guards[0])])
            .tag("eu")
            .exclude_category(Category::Database)
            .run()
    };
    cleans(with_id, &[]);
}

#[test]
fn exclusions_hold_whatever_selects() {
    cleans(|manager, _| manager.teardown().exclude_category(Category::File).run(), &["pool", "timer"]);
    cleans(
        |manager, guards| manager.teardown().exclude(&[ResourceGuard::id(&guards[0])]).run(),
        &["timer", "file"],
    );
    let both = |manager: &ResourceManager, guards: &[ResourceGuard<()>]| {
        let pool = ResourceGuard::id(&guards[0]);
        manager.teardown().ids(&[pool, ResourceGuard::id(&guards[1])]).exclude(&[pool]).run()
    };
    cleans(both, &["file"]);
}

#[test]
fn a_selected_resource_whose_dependent_is_not_selected_is_skipped_and_stays_live() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let report = manager.cleanup_batch(&[ResourceGuard::id(&pool)]);
        assert!(!report.is_success());
        assert_eq!((report.processed(), report.cleaned(), report.failed()), (1, 0, 0));
        let behind = SkipReason::DependentOutside { dependents: labels(&["server"]) };
        assert_eq!(skipped(&report), [("pool", &behind)]);
        assert_eq!(report.skipped()[0].id, ResourceGuard::id(&pool));
        log.assert_is(&[]);
        assert_eq!(ResourceGuard::state(&pool), ResourceState::Live);
        drop(server);
        drop(pool);
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn what_stands_behind_a_skipped_resource_is_skipped_too() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let disk = manager.guard("disk", log.cleanup("disk"));
        let pool = manager.resource("pool").depends_on(&disk).guard(log.cleanup("pool")).unwrap();
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let _unrelated = manager.guard("unrelated", log.cleanup("unrelated"));
        let report = manager.teardown().exclude(&[ResourceGuard::id(&server)]).run();
        assert_eq!((report.processed(), report.cleaned(), report.skipped().len()), (3, 1, 2));
        let outside = SkipReason::DependentOutside { dependents: labels(&["server"]) };
        let behind = SkipReason::BehindSkipped { dependents: labels(&["pool"]) };
        let mut skipped = skipped(&report);
        skipped.sort_unstable_by_key(|(label, _)| *label);
        assert_eq!(skipped, [("disk", &behind), ("pool", &outside)]);
        log.assert_is(&["unrelated"]);
    });
}

#[test]
fn a_filter_that_cuts_a_dependency_leaves_the_dependency_to_a_later_teardown() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = manager.guard("pool", log.cleanup("pool"));
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        assert!(manager.cleanup_batch(&[ResourceGuard::id(&server)]).is_success());
        log.assert_is(&["server"]);
        assert_eq!(ResourceGuard::state(&pool), ResourceState::Live);
        assert!(manager.cleanup_batch(&[ResourceGuard::id(&pool)]).is_success());
        log.assert_is(&["server", "pool"]);
    });
}

#[test]
fn force_cleans_what_something_outside_still_needs() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let disk = manager.guard("disk", log.cleanup("disk"));
        let pool = manager.resource("pool").depends_on(&disk).guard(log.cleanup("pool")).unwrap();
        let server = manager.resource("server").depends_on(&pool).guard(log.cleanup("server")).unwrap();
        let report = manager.teardown().exclude(&[ResourceGuard::id(&server)]).force().run();
        assert!(report.is_success());
        assert_eq!((report.processed(), report.cleaned()), (2, 2));
        assert!(report.skipped().is_empty());
        assert_eq!(ResourceGuard::state(&server), ResourceState::Live);
        drop(server);
        assert_eq!(log.entries().len(), 3);
        assert_eq!(log.entries().last().map(String::as_str), Some("server"));
    });
}

#[test]
fn a_plan_shows_the_same_selection_and_runs_nothing() {
    let (manager, log) = (manager(), OrderLog::new());
    let guards = three(&manager, &log);
    let plan = manager.teardown().tag("orders").plan();
    assert_eq!(plan.order(), [ResourceGuard::id(&guards[0]), ResourceGuard::id(&guards[1])]);
    assert_eq!(plan.len(), 2);
    log.assert_is(&[]);
    assert_eq!(manager.resource_count(), 3);
}

#[test]
fn a_teardown_that_is_never_run_does_nothing() {
    let (manager, log) = (manager(), OrderLog::new());
    let _guards = three(&manager, &log);
    drop(manager.teardown().tag("orders").force());
    log.assert_is(&[]);
}

#[test]
fn what_lives_long_is_cleaned_by_a_teardown_all_the_same() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guard = manager.resource("registry").long_lived().guard(log.cleanup("registry")).unwrap();
        assert_eq!(manager.cleanup().cleaned(), 1);
        log.assert_is(&["registry"]);
    });
}
