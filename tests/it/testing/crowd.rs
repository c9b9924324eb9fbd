//! Many tests beside each other in one process: each is judged by its own leaks.

use std::sync::{Arc, Barrier};
use std::thread;

use castoff::testing::scope;

use super::failure;
use crate::support::{LIMIT, watchdog};

const TESTS: usize = 100;
const RESOURCES: usize = 20;

#[test]
fn of_a_hundred_at_once_exactly_those_fail_that_leak_each_with_its_own() {
    watchdog(LIMIT, || {
        for _ in 0..5 {
            let start = Arc::new(Barrier::new(TESTS));
            let tests: Vec<_> = (0..TESTS)
                .map(|test| {
                    thread::spawn({
                        let start = start.clone();
                        move || {
                            start.wait();
                            if test % 10 == 0 {
                                let message = failure(|| one(test, true));
                                assert!(message.contains(&format!("`{test} leaks`")), "{message}");
                                assert!(message.contains("1 leak in "), "{message}");
                            } else {
                                one(test, false);
                            }
                        }
                    })
                })
                .collect();
            tests.into_iter().for_each(|test| test.join().expect("exactly those fail that leak"));
        }
    });
}

fn one(test: usize, leaks: bool) {
    scope(|manager| {
        let _guards: Vec<_> = (1..RESOURCES).map(|n| manager.guard(format!("{test}, {n}"), || ())).collect();
        let last = manager.guard(format!("{test} leaks"), || ());
        if leaks {
            std::mem::forget(last);
        }
    });
}
