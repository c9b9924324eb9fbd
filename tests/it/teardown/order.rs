//! The order: dependencies always win, then priority with what it inherits, then the newest first.

use std::sync::mpsc;
use std::thread;

use castoff::{Category, Priority, ResourceGuard, ResourceManager};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

fn of(
    manager: &ResourceManager,
    log: &OrderLog,
    label: &'static str,
    priority: Priority,
) -> ResourceGuard<()> {
    manager.resource(label).priority(priority).guard(log.cleanup(label)).unwrap()
}

fn torn_down(manager: &ResourceManager, log: &OrderLog, expected: &[&str]) {
    let report = manager.cleanup();
    assert!(report.is_success());
    assert_eq!(report.processed(), expected.len());
    log.assert_is(expected);
}

#[test]
fn the_newest_goes_first() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        torn_down(&manager, &log, &["three", "two", "one"]);
    });
}

#[test]
fn the_category_does_not_decide_unless_it_is_critical() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let of = |label: &'static str, category| {
            manager.resource(label).category(category).guard(log.cleanup(label)).unwrap()
        };
        let _guards = [
            of("critical", Category::Critical),
            of("database", Category::Database),
            of("cache", Category::Custom("cache")),
            of("file", Category::File),
        ];
        torn_down(&manager, &log, &["critical", "file", "cache", "database"]);
    });
}

#[test]
fn the_lower_priority_value_goes_first() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = [
            of(&manager, &log, "critical", Priority::Critical),
            of(&manager, &log, "low", Priority::Low),
            of(&manager, &log, "high", Priority::High),
            of(&manager, &log, "medium", Priority::Medium),
            of(&manager, &log, "another high", Priority::High),
        ];
        torn_down(&manager, &log, &["critical", "another high", "high", "medium", "low"]);
    });
}

#[test]
fn a_dependency_wins_over_age() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let server = manager.guard("server", log.cleanup("server"));
        let pool = manager.guard("pool", log.cleanup("pool"));
        manager.add_dependency(ResourceGuard::id(&server), ResourceGuard::id(&pool)).unwrap();
        torn_down(&manager, &log, &["server", "pool"]);
    });
}

#[test]
fn a_priority_never_moves_a_resource_past_its_dependent() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = of(&manager, &log, "pool", Priority::Critical);
        let registration = manager.resource("cache").priority(Priority::Low).depends_on(&pool);
        let _cache = registration.guard(log.cleanup("cache")).unwrap();
        torn_down(&manager, &log, &["cache", "pool"]);
    });
}

#[test]
fn what_stands_before_a_critical_resource_is_as_urgent_as_it() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = of(&manager, &log, "pool", Priority::Critical);
        let registration = manager.resource("cache").priority(Priority::Low).depends_on(&pool);
        let _cache = registration.guard(log.cleanup("cache")).unwrap();
        let _unrelated = of(&manager, &log, "unrelated", Priority::High);
        torn_down(&manager, &log, &["cache", "pool", "unrelated"]);
    });
}

#[test]
fn urgency_is_inherited_through_a_whole_chain() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = of(&manager, &log, "pool", Priority::Critical);
        let low = |label, of: &ResourceGuard<()>| {
            manager.resource(label).priority(Priority::Low).depends_on(of).guard(log.cleanup(label)).unwrap()
        };
        let cache = low("cache", &pool);
        let _view = low("view", &cache);
        let _unrelated = of(&manager, &log, "unrelated", Priority::High);
        torn_down(&manager, &log, &["view", "cache", "pool", "unrelated"]);
    });
}

#[test]
fn urgency_is_not_inherited_by_what_an_urgent_resource_depends_on() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let low = of(&manager, &log, "low", Priority::Low);
        let registration = manager.resource("critical").priority(Priority::Critical).depends_on(&low);
        let _critical = registration.guard(log.cleanup("critical")).unwrap();
        let _medium = of(&manager, &log, "medium", Priority::Medium);
        torn_down(&manager, &log, &["critical", "medium", "low"]);
    });
}

#[test]
fn an_info_shows_the_priority_of_its_own_not_the_inherited_one() {
    let (manager, log) = (manager(), OrderLog::new());
    let pool = of(&manager, &log, "pool", Priority::Critical);
    let cache = manager.resource("cache").priority(Priority::Low).depends_on(&pool).guard(|| ()).unwrap();
    assert_eq!(ResourceGuard::info(&cache).unwrap().priority, Priority::Low);
}

#[test]
fn a_diamond_is_cleaned_from_its_top() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let top = manager.guard("top", log.cleanup("top"));
        let left = manager.guard("left", log.cleanup("left"));
        let right = manager.guard("right", log.cleanup("right"));
        let base = manager.guard("base", log.cleanup("base"));
        for (dependent, dependency) in [(&top, &left), (&top, &right), (&left, &base), (&right, &base)] {
            manager.add_dependency(ResourceGuard::id(dependent), ResourceGuard::id(dependency)).unwrap();
        }
        torn_down(&manager, &log, &["top", "right", "left", "base"]);
    });
}

#[test]
fn newest_first_holds_across_threads_where_one_registration_happens_after_another() {
    const ROUNDS: usize = 40;
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let labels: Vec<String> = (0..ROUNDS).map(|round| format!("round {round}")).collect();
        // Two long-lived threads and this one take turns; each turn starts after the last one has ended.
        let workers = [(); 2].map(|()| {
            let (ask, asked) = mpsc::channel::<String>();
            let (answer, answered) = mpsc::channel();
            let (manager, log) = (manager.clone(), log.clone());
            thread::spawn(move || {
                for label in asked {
                    let cleanup = log.cleanup(&label);
                    answer.send(manager.guard(label, cleanup)).unwrap();
                }
            });
            (ask, answered)
        });
        let mut guards = Vec::new();
        for (round, label) in labels.iter().enumerate() {
            guards.push(match workers.get(round % 3) {
                Some((ask, answered)) => {
                    ask.send(label.clone()).unwrap();
                    answered.recv().unwrap()
                }
                None => manager.guard(label.clone(), log.cleanup(label)),
            });
        }
        assert!(manager.cleanup().is_success());
        assert!(log.entries().iter().eq(labels.iter().rev()), "{:?}", log.entries());
    });
}

#[test]
fn newest_first_holds_across_threads_that_come_and_go() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let labels: Vec<String> = (0..40).map(|round| format!("round {round}")).collect();
        let _guards: Vec<ResourceGuard<()>> = labels
            .iter()
            .map(|label| {
                let (manager, label, cleanup) = (manager.clone(), label.clone(), log.cleanup(label));
                thread::spawn(move || manager.guard(label, cleanup)).join().unwrap()
            })
            .collect();
        assert!(manager.cleanup().is_success());
        assert!(log.entries().iter().eq(labels.iter().rev()), "{:?}", log.entries());
    });
}

#[test]
fn a_place_in_the_storage_that_is_used_again_is_not_taken_for_an_old_resource() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let [one, two, three] = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        drop(one);
        let _four = manager.guard("four", log.cleanup("four"));
        drop(three);
        let _five = manager.guard("five", log.cleanup("five"));
        assert!(manager.cleanup().is_success());
        log.assert_is(&["one", "three", "five", "four", "two"]);
        drop(two);
    });
}

#[test]
fn the_plan_is_the_order_of_the_run() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let pool = of(&manager, &log, "pool", Priority::Critical);
        let cache = manager.resource("cache").priority(Priority::Low).depends_on(&pool);
        let _cache = cache.guard(log.cleanup("cache")).unwrap();
        let _guards = ["one", "two"].map(|label| manager.guard(label, log.cleanup(label)));
        let _low = of(&manager, &log, "low", Priority::Low);
        let plan = manager.plan();
        let report = manager.cleanup();
        let ran: Vec<_> = report.timeline().iter().map(|entry| entry.id).collect();
        assert_eq!(plan.order(), ran);
        log.assert_is(&["cache", "pool", "two", "one", "low"]);
    });
}

#[test]
fn ten_thousand_in_a_chain_are_cleaned_in_order() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let mut chain: Vec<ResourceGuard<()>> = Vec::new();
        for link in 0..10_000 {
            let registration = manager.resource("link").depends_on_all(chain.last());
            chain.push(registration.guard(log.cleanup(&link.to_string())).unwrap());
        }
        assert_eq!(manager.cleanup().cleaned(), chain.len());
        assert!(log.entries().iter().map(|entry| entry.parse::<i32>().unwrap()).eq((0..10_000).rev()));
    });
}
