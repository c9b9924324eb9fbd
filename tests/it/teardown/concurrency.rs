//! Concurrency: what is ready runs together along the graph, priority class by priority class, and never more
//! than asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use castoff::{Priority, ResourceGuard, ResourceManager};

use crate::support::{Hang, LIMIT, OrderLog, PATIENCE, lock, manager, watchdog};

/// Where cleanups meet: each waits until all have come, and fails if they do not.
#[derive(Clone)]
struct Meeting(Arc<(Mutex<usize>, Condvar)>);

impl Meeting {
    fn of(number: usize) -> Meeting {
        Meeting(Arc::new((Mutex::new(number), Condvar::new())))
    }

    fn arrive(&self) {
        let mut missing = lock(&self.0.0);
        *missing -= 1;
        self.0.1.notify_all();
        let (missing, _) = self.0.1.wait_timeout_while(missing, PATIENCE, |missing| *missing > 0).unwrap();
        assert_eq!(*missing, 0, "the others did not come");
    }
}

/// How many ran at once, at most.
#[derive(Clone, Default)]
struct Crowd(Arc<(AtomicUsize, AtomicUsize)>);

impl Crowd {
    fn cleanup(&self) -> impl FnOnce() + Send + 'static + use<> {
        let crowd = self.clone();
        move || {
            let now = crowd.0.0.fetch_add(1, Ordering::SeqCst) + 1;
            crowd.0.1.fetch_max(now, Ordering::SeqCst);
            // Long enough for one too many to come in.
            thread::sleep(Duration::from_millis(10));
            crowd.0.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

fn meeting(manager: &ResourceManager, meeting: &Meeting) -> ResourceGuard<()> {
    let meeting = meeting.clone();
    manager.resource("meeting").timeout(LIMIT).guard(move || meeting.arrive()).unwrap()
}

#[test]
fn a_thread_that_has_waited_for_work_again_and_again_is_no_reason_to_start_fewer_for_the_next() {
    watchdog(LIMIT, || {
        let (manager, all) = (manager(), Meeting::of(3));
        let mut guards: Vec<_> = (0..3).map(|_| meeting(&manager, &all)).collect();
        let mut behind = guards.len();
        for _ in 0..4 {
            let below = &guards[guards.len() - behind..];
            let long = manager.resource("long").depends_on_all(below);
            let long = long.guard(|| thread::sleep(Duration::from_millis(20))).unwrap();
            // Whoever does this one has nothing to do then, and waits for the long one to end.
            guards.extend([long, manager.guard("short", || ())]);
            behind = 2;
        }
        assert_eq!(manager.teardown().concurrency(3).run().cleaned(), guards.len());
    });
}

#[test]
fn independent_cleanups_run_together() {
    watchdog(LIMIT, || {
        let (manager, all) = (manager(), Meeting::of(4));
        let _guards = [(); 4].map(|()| meeting(&manager, &all));
        let report = manager.teardown().concurrency(4).run();
        assert!(report.is_success(), "{report}");
        assert_eq!(report.cleaned(), 4);
    });
}

#[test]
fn dependents_of_one_dependency_run_together_before_it() {
    watchdog(LIMIT, || {
        let (manager, log, all) = (manager(), OrderLog::new(), Meeting::of(3));
        let pool = manager.guard("pool", log.cleanup("pool"));
        let _servers = [(); 3].map(|()| {
            let (all, log) = (all.clone(), log.clone());
            let server = manager.resource("server").timeout(LIMIT).depends_on(&pool);
            server.guard(move || {
                all.arrive();
                log.push("server");
            })
        });
        assert!(manager.teardown().concurrency(3).run().is_success());
        log.assert_is(&["server", "server", "server", "pool"]);
    });
}

#[test]
fn never_more_run_at_once_than_asked_for() {
    watchdog(LIMIT, || {
        let (manager, crowd) = (manager(), Crowd::default());
        let _guards = [(); 12].map(|()| manager.guard("one of many", crowd.cleanup()));
        assert_eq!(manager.teardown().concurrency(3).run().cleaned(), 12);
        assert!((1..=3).contains(&crowd.most()), "{} at once", crowd.most());
    });
}

#[test]
fn one_at_a_time_unless_asked_otherwise() {
    for concurrency in [None, Some(1)] {
        watchdog(LIMIT, move || {
            let (manager, crowd) = (manager(), Crowd::default());
            let _guards = [(); 4].map(|()| manager.guard("one of many", crowd.cleanup()));
            let teardown = manager.teardown();
            let teardown = match concurrency {
                Some(limit) => teardown.concurrency(limit),
                None => teardown,
            };
            assert_eq!(teardown.run().cleaned(), 4);
            assert_eq!(crowd.most(), 1);
        });
    }
}

#[test]
fn one_at_a_time_keeps_the_order_that_was_never_declared() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let _guards = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        assert!(manager.teardown().concurrency(1).run().is_success());
        log.assert_is(&["three", "two", "one"]);
    });
}

#[test]
fn no_dependency_starts_before_its_dependents_have_ended() {
    watchdog(LIMIT, || {
        const LAYERS: usize = 6;
        const WIDTH: usize = 5;
        let (manager, log) = (manager(), OrderLog::new());
        let mut layers: Vec<Vec<ResourceGuard<()>>> = Vec::new();
        for layer in 0..LAYERS {
            let below = layers.last().map(Vec::as_slice).unwrap_or_default();
            let made = (0..WIDTH).map(|_| {
                let log = log.clone();
                let registration = manager.resource("node").depends_on_all(below);
                registration.guard(move || {
                    log.push(&format!("start {layer}"));
                    thread::yield_now();
                    log.push(&format!("end {layer}"));
                })
            });
            let made = made.collect::<Result<_, _>>().unwrap();
            layers.push(made);
        }
        assert_eq!(manager.teardown().concurrency(8).run().cleaned(), LAYERS * WIDTH);
        let entries = log.entries();
        for layer in 1..LAYERS {
            let last_end = entries.iter().rposition(|entry| *entry == format!("end {layer}"));
            let first_start = entries.iter().position(|entry| *entry == format!("start {}", layer - 1));
            assert!(last_end.unwrap() < first_start.unwrap(), "layer {layer}: {entries:?}");
        }
    });
}

#[test]
fn a_priority_class_starts_only_when_the_more_urgent_one_has_ended() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let of = |label: &'static str, priority| {
            let log = log.clone();
            let cleanup = move || {
                log.push(&format!("start {label}"));
                thread::sleep(Duration::from_millis(10));
                log.push(&format!("end {label}"));
            };
            manager.resource(label).priority(priority).guard(cleanup).unwrap()
        };
        let _guards = [
            of("critical", Priority::Critical),
            of("low", Priority::Low),
            of("critical", Priority::Critical),
            of("low", Priority::Low),
        ];
        assert!(manager.teardown().concurrency(4).run().is_success());
        let entries = log.entries();
        let last_critical = entries.iter().rposition(|entry| entry == "end critical");
        let first_low = entries.iter().position(|entry| entry == "start low");
        assert!(last_critical.unwrap() < first_low.unwrap(), "{entries:?}");
        assert_eq!(entries.len(), 8);
    });
}

#[test]
fn a_hang_takes_one_place_and_the_others_go_on() {
    watchdog(LIMIT, || {
        let (manager, log, hang) = (manager(), OrderLog::new(), Hang::new());
        let _others = ["one", "two", "three"].map(|label| manager.guard(label, log.cleanup(label)));
        let stuck = manager.resource("stuck").timeout(Duration::from_millis(200));
        let _stuck = stuck.guard(hang.cleanup()).unwrap();
        let report = manager.teardown().concurrency(2).run();
        assert_eq!((report.cleaned(), report.timed_out()), (3, 1));
        assert_eq!(log.entries().len(), 3);
    });
}

#[test]
fn failures_side_by_side_are_all_in_the_report() {
    watchdog(LIMIT, || {
        let (manager, all) = (manager(), Meeting::of(3));
        let _guards = [(); 3].map(|()| {
            let all = all.clone();
            let registration = manager.resource("journal").timeout(LIMIT);
            registration.guard(move || {
                all.arrive();
                Err("no disk")
            })
        });
        let report = manager.teardown().concurrency(3).run();
        assert_eq!((report.failed(), report.errors().len(), report.cleaned()), (3, 3, 0));
    });
}

#[test]
fn concurrency_goes_with_filters() {
    watchdog(LIMIT, || {
        let (manager, log) = (manager(), OrderLog::new());
        let tagged =
            |label: &'static str| manager.resource(label).tag("orders").guard(log.cleanup(label)).unwrap();
        let _guards = [tagged("one"), manager.guard("other", log.cleanup("other")), tagged("two")];
        assert_eq!(manager.teardown().tag("orders").concurrency(4).run().cleaned(), 2);
        let mut entries = log.entries();
        entries.sort();
        assert_eq!(entries, ["one", "two"]);
    });
}
