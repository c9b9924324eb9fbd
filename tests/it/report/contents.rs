//! What a report contains: counts, categories, timeline, critical path.

use std::thread;
use std::time::Duration;

use castoff::{Category, CategorySummary, ResourceGuard, ResourceOutcome, TeardownReport};

use crate::support::{Hang, LIMIT, OrderLog, manager, watchdog};

const SHORT: Duration = Duration::from_millis(50);

fn of(report: &TeardownReport, category: Category) -> &CategorySummary {
    report
        .by_category()
        .iter()
        .find(|summary| summary.category == category)
        .expect("a summary of this category")
}

#[test]
fn the_summaries_by_category_add_up_to_the_counts() {
    watchdog(LIMIT, || {
        let (manager, hang) = (manager(), Hang::new());
        let in_category = |category| manager.resource("any").category(category);
        let file = in_category(Category::File).guard(|| ()).unwrap();
        let _files = [in_category(Category::File).guard(|| ()).unwrap()];
        let _failing = in_category(Category::File).guard(|| Err("no disk")).unwrap();
        let _panicking = in_category(Category::Database).guard(|| panic!("boom")).unwrap();
        let _stuck = in_category(Category::Network).timeout(SHORT).guard(hang.cleanup()).unwrap();
        let outside = in_category(Category::Custom("cache")).depends_on(&file).guard(|| ()).unwrap();
        let report = manager.teardown().exclude(&[ResourceGuard::id(&outside)]).run();
        let files = of(&report, Category::File);
        assert_eq!((files.cleaned, files.failed, files.timed_out, files.skipped), (1, 1, 0, 1));
        let databases = of(&report, Category::Database);
        assert_eq!(
            (databases.cleaned, databases.failed, databases.timed_out, databases.skipped),
            (0, 1, 0, 0)
        );
        let networks = of(&report, Category::Network);
        assert_eq!((networks.cleaned, networks.failed, networks.timed_out, networks.skipped), (0, 0, 1, 0));
        assert_eq!(report.by_category().len(), 3, "{:?}", report.by_category());
        let sum =
            |count: fn(&CategorySummary) -> usize| report.by_category().iter().map(count).sum::<usize>();
        assert_eq!(sum(|summary| summary.cleaned), report.cleaned());
        assert_eq!(sum(|summary| summary.failed), report.failed());
        assert_eq!(sum(|summary| summary.timed_out), report.timed_out());
        assert_eq!(sum(|summary| summary.skipped), report.skipped().len());
        let outcomes = report.cleaned() + report.failed() + report.timed_out() + report.skipped().len();
        assert_eq!((report.processed(), outcomes), (5, 5));
    });
}

#[test]
fn the_time_of_a_category_is_the_time_of_its_cleanups() {
    watchdog(LIMIT, || {
        let manager = manager();
        let slow = manager.resource("slow").category(Category::Database);
        let _slow = slow.guard(|| thread::sleep(Duration::from_millis(40))).unwrap();
        let report = manager.cleanup();
        assert!(of(&report, Category::Database).duration >= Duration::from_millis(40), "{report:?}");
    });
}

#[test]
fn the_timeline_has_every_cleanup_in_the_order_of_its_start() {
    watchdog(LIMIT, || {
        let manager = manager();
        let guards = [
            manager.guard("one", || ()),
            manager.guard("two", || Err("no disk")),
            manager.guard("three", || thread::sleep(Duration::from_millis(30))),
        ];
        let report = manager.cleanup();
        let timeline: Vec<_> =
            report.timeline().iter().map(|entry| (entry.id, &*entry.label, entry.outcome)).collect();
        let [one, two, three] = guards.each_ref().map(ResourceGuard::id);
        let expected = [
            (three, "three", ResourceOutcome::Cleaned),
            (two, "two", ResourceOutcome::Failed),
            (one, "one", ResourceOutcome::Cleaned),
        ];
        assert_eq!(timeline, expected);
    });
}

#[test]
fn the_timeline_knows_when_each_cleanup_ran_and_how_long() {
    watchdog(LIMIT, || {
        let (manager, pause) = (manager(), Duration::from_millis(40));
        let _after = manager.guard("after", || ());
        let _slow = manager.guard("slow", move || thread::sleep(pause));
        let report = manager.cleanup();
        let [slow, after] = report.timeline() else { panic!("{:?}", report.timeline()) };
        assert!(slow.duration >= pause, "{slow:?}");
        assert!(after.started >= slow.started + pause, "{slow:?} {after:?}");
        assert!(report.duration() >= after.started + after.duration, "{report:?}");
    });
}

#[test]
fn the_critical_path_is_the_chain_that_took_longest() {
    watchdog(LIMIT, || {
        let manager = manager();
        let slow = || thread::sleep(Duration::from_millis(40));
        let disk = manager.guard("disk", slow);
        let pool = manager.resource("pool").depends_on(&disk).guard(slow).unwrap();
        let _server = manager.resource("server").depends_on(&pool).guard(slow).unwrap();
        let _others = [(); 3].map(|()| manager.guard("quick", || ()));
        let report = manager.teardown().concurrency(4).run();
        let path: Vec<&str> = report.critical_path().iter().map(|entry| &*entry.label).collect();
        assert_eq!(path, ["server", "pool", "disk"]);
    });
}

#[test]
fn the_report_does_not_depend_on_flow_options() {
    watchdog(LIMIT, || {
        let counts = |run: fn(castoff::Teardown<'_>) -> TeardownReport| {
            let (manager, log) = (manager(), OrderLog::new());
            let pool =
                manager.resource("pool").category(Category::Database).guard(log.cleanup("pool")).unwrap();
            let _server = manager.resource("server").depends_on(&pool).guard(log.failing("server")).unwrap();
            let report = run(manager.teardown());
            let counts = (report.processed(), report.cleaned(), report.failed(), report.errors().len());
            (counts, report.timeline().len(), report.by_category().len(), report.is_success())
        };
        let plain = counts(|teardown| teardown.run());
        assert_eq!(plain, ((2, 1, 1, 1), 2, 2, false));
        assert_eq!(counts(|teardown| teardown.concurrency(4).run()), plain);
        assert_eq!(counts(|teardown| teardown.deadline(LIMIT).run()), plain);
        assert_eq!(counts(|teardown| teardown.force().run()), plain);
        assert_eq!(counts(|teardown| teardown.concurrency(2).deadline(LIMIT).force().run()), plain);
    });
}

#[test]
fn a_report_becomes_a_result() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _pool = manager.guard("pool", || ());
        let report = manager.cleanup().into_result().expect("all was cleaned");
        assert_eq!(report.cleaned(), 1);
        let _journal = manager.guard("journal", || Err("no disk"));
        let report = manager.cleanup();
        let shown = report.to_string();
        let error = report.into_result().expect_err("the journal failed");
        assert_eq!(error.report().failed(), 1);
        assert!(shown.contains("journal"), "{shown}");
        assert!(error.to_string().contains("journal"), "{error}");
    });
}

#[test]
fn a_skipped_resource_makes_the_result_an_error() {
    watchdog(LIMIT, || {
        let manager = manager();
        let _pool = manager.guard("pool", || ());
        let refused = manager.teardown().deadline(Duration::ZERO).run().into_result().expect_err("skipped");
        assert_eq!(refused.report().skipped().len(), 1);
    });
}
