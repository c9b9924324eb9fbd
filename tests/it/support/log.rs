//! Order and drops: a log of what happened, and values that are counted when they are dropped.

use std::sync::{Arc, Mutex};

use castoff::Cleanup;

use super::lock;

/// What happened, in order. A cleanup that ran twice is in it twice.
#[derive(Clone, Default)]
pub(crate) struct OrderLog(Arc<Mutex<Vec<String>>>);

impl OrderLog {
    pub(crate) fn new() -> OrderLog {
        OrderLog::default()
    }

    pub(crate) fn push(&self, entry: &str) {
        lock(&self.0).push(entry.to_owned());
    }

    /// A cleanup that writes `entry`.
    pub(crate) fn cleanup(&self, entry: &str) -> impl FnOnce() + Send + 'static + use<> {
        let (log, entry) = (self.clone(), entry.to_owned());
        move || log.push(&entry)
    }

    /// A cleanup that writes `entry` and fails.
    pub(crate) fn failing(
        &self,
        entry: &str,
    ) -> impl FnOnce() -> Result<(), &'static str> + Send + 'static + use<> {
        let run = self.cleanup(entry);
        move || {
            run();
            Err("no disk")
        }
    }

    /// `cleanup` as a value, for the registrations that take one.
    pub(crate) fn cleanup_value(&self, entry: &str) -> Cleanup {
        Cleanup::sync(self.cleanup(entry))
    }

    /// A value that writes `<entry> dropped` when it is dropped.
    pub(crate) fn value(&self, entry: &str) -> Logged {
        Logged { log: self.clone(), entry: format!("{entry} dropped") }
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &[&str]) {
        assert_eq!(self.entries(), expected);
    }
}

pub(crate) struct Logged {
    log: OrderLog,
    entry: String,
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.push(&self.entry);
    }
}

/// Counts the drops of each value it made: a double drop is seen, even where another value's missing one
/// levels the sum.
#[derive(Clone, Default)]
pub(crate) struct DropCounter(Arc<Mutex<Vec<usize>>>);

impl DropCounter {
    pub(crate) fn new() -> DropCounter {
        DropCounter::default()
    }

    pub(crate) fn value(&self) -> Counted {
        let mut drops = lock(&self.0);
        drops.push(0);
        Counted { counter: self.clone(), index: drops.len() - 1 }
    }

    pub(crate) fn dropped(&self) -> usize {
        lock(&self.0).iter().sum()
    }

    #[track_caller]
    pub(crate) fn assert_each_once(&self) {
        for (index, drops) in lock(&self.0).iter().enumerate() {
            assert_eq!(*drops, 1, "value {index} was dropped {drops} times");
        }
    }
}

pub(crate) struct Counted {
    counter: DropCounter,
    index: usize,
}

impl Counted {
    fn record(&self) {
        lock(&self.counter.0)[self.index] += 1;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.record();
    }
}

mod tests {
    use super::*;

    #[test]
    fn the_order_log_keeps_the_order_and_every_repetition() {
        let log = OrderLog::new();
        log.cleanup("first")();
        drop(log.value("second"));
        assert_eq!(log.failing("third")(), Err("no disk"));
        log.push("first");
        log.assert_is(&["first", "second dropped", "third", "first"]);
    }

    #[test]
    #[should_panic(expected = "left == right")]
    fn the_order_log_refuses_another_order() {
        let log = OrderLog::new();
        log.push("second");
        log.push("first");
        log.assert_is(&["first", "second"]);
    }

    #[test]
    fn the_drop_counter_is_content_when_each_value_was_dropped_once() {
        let counter = DropCounter::new();
        drop([counter.value(), counter.value()]);
        assert_eq!(counter.dropped(), 2);
        counter.assert_each_once();
    }

    #[test]
    #[should_panic(expected = "value 0 was dropped 2 times")]
    fn a_double_drop_fails_even_beside_a_missing_one() {
        let counter = DropCounter::new();
        let (dropped_twice, forgotten) = (counter.value(), counter.value());
        dropped_twice.record();
        drop(dropped_twice);
        std::mem::forget(forgotten);
        assert_eq!(counter.dropped(), 2);
        counter.assert_each_once();
    }

    #[test]
    #[should_panic(expected = "value 1 was dropped 0 times")]
    fn a_value_that_was_never_dropped_fails() {
        let counter = DropCounter::new();
        drop(counter.value());
        std::mem::forget(counter.value());
        counter.assert_each_once();
    }
}
