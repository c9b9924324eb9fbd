//! Waiting for what tells nobody when it ends.

use std::thread;
use std::time::{Duration, Instant};

/// How long until the next look: a moment at first, as most things end at once.
#[derive(Default)]
pub(super) struct Pause(u32);

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(20);
        Duration::from_millis(self.0.into())
    }
}

/// Looks until it has ended, or for so long. Whether it has, or why that can't be told.
pub(super) fn ends_within<E>(
    limit: Duration,
    mut has_ended: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let (start, mut pause) = (Instant::now(), Pause::default());
    while !has_ended()? {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(pause.next().min(left));
    }
    Ok(true)
}

/// The limit, cut down where the cleanup would be given up before it: whoever says so itself says more.
pub(super) fn before_it_is_given_up(limit: Duration, deadline: Option<Instant>) -> Duration {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    left.map_or(limit, |left| limit.min(left * 9 / 10))
}
