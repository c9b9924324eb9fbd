//! What is kept of the touches of one resource: the last few threads that used it, how often, and when.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Coarse;
use crate::finding::Touches;
use crate::id::Label;

/// Turns of threads that are kept; older ones are forgotten.
const KEPT: usize = 4;

/// The touches of one resource, the newest last. Touches by one thread in a row are one turn, so that a heartbeat does
/// not push everybody else out, and what is kept is bounded however often it beats.
#[derive(Default, Debug)]
pub(crate) struct TouchLog(Vec<Turn>);

#[derive(Debug)]
struct Turn {
    thread: Arc<str>,
    times: u64,
    first: Coarse,
    last: Coarse,
}

impl TouchLog {
    /// A thread is known by its name's place in memory: two may have the same name.
    pub(crate) fn add(&mut self, thread: Arc<str>, now: Coarse) {
        if let Some(turn) = self.0.last_mut().filter(|turn| Arc::ptr_eq(&turn.thread, &thread)) {
            turn.times = turn.times.saturating_add(1);
            turn.last = now;
            return;
        }
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Turn { thread, times: 1, first: now, last: now });
    }

    /// How long ago it was touched last. `None` where it never was.
    pub(crate) fn idle(&self, now: Coarse) -> Option<Duration> {
        self.0.last().map(|turn| now.since(turn.last))
    }

    /// As people are told of it: the newest first.
    pub(crate) fn told(&self, now: Coarse) -> Vec<Touches> {
        let told = |turn: &Turn| Touches {
            thread: Label::from(turn.thread.clone()),
            times: turn.times,
            first: now.since(turn.first),
            last: now.since(turn.last),
        };
        self.0.iter().rev().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touches_in_a_row_are_one_turn_and_the_oldest_turn_goes_first() {
        let (now, mut log) = (Coarse::now(), TouchLog::default());
        assert_eq!(log.idle(now), None);
        for _ in 0..1_000 {
            log.add("main".into(), now); // a name of its own each time: another thread each time
        }
        assert_eq!(log.told(now).iter().map(|turn| turn.times).collect::<Vec<_>>(), [1; KEPT]);
        let worker: Arc<str> = "worker".into();
        for _ in 0..1_000 {
            log.add(worker.clone(), now);
        }
        let told = log.told(now);
        assert_eq!((told.len(), &*told[0].thread, told[0].times), (KEPT, "worker", 1_000));
        assert!(log.0.capacity() <= KEPT, "{}", log.0.capacity());
    }
}
