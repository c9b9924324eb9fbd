//! What came to the process while a test ran, and stayed: for a test that is alone in its process.
//!
//! What is shared among tests is the process's own. What comes while that is made is known from then on.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::FootprintError;
use crate::leak::footprint::Footprint;
use crate::sync::Lock;

/// How often what came is looked at again, and for how long: it may be on its way out.
const TRIES: u32 = 20;
const GRACE: Duration = Duration::from_millis(500);

/// What was there before, while a test is looked at. One test at most: it is alone.
static BEFORE: Lock<Option<Footprint>> = Lock::new(None);

/// A test is looked at while this lives.
pub(super) struct Window {
    opened: Result<(), FootprintError>,
}

impl Window {
    pub(super) fn open() -> Window {
        let opened = Footprint::capture().map(|before| *BEFORE.lock() = Some(before));
        Window { opened }
    }

    /// What came and is still there after a moment of grace; or why that can't be told.
    pub(super) fn close(self) -> Option<String> {
        match self.opened.and_then(|()| what_came()) {
            Ok(came) => came,
            Err(error) => Some(format!("the test wants its footprint looked at: {error}")),
        }
    }
}

fn what_came() -> Result<Option<String>, FootprintError> {
    let Some(before) = BEFORE.lock().take() else { return Ok(None) };
    let start = Instant::now();
    let step = GRACE * 2 / (TRIES * (TRIES + 1));
    let mut pause = Duration::ZERO;
    loop {
        let came = Footprint::capture()?.since(&before);
        if came.is_empty() {
            return Ok(None);
        }
        if pause >= step * TRIES || start.elapsed() >= GRACE {
            return Ok(Some(came.to_string()));
        }
        pause += step;
        thread::sleep(pause);
    }
}

/// Makes something that is no test's own, and takes what comes by it for known. Where no test is looked at it is only
/// made.
pub(super) fn for_the_process<R>(make: impl FnOnce() -> R) -> R {
    if BEFORE.lock().is_none() {
        return make();
    }
    let before = Footprint::capture();
    let made = make();
    // Where the system refuses a look the test is told more than is true, rather than less.
    if let (Ok(before), Ok(after)) = (before, Footprint::capture())
        && let Some(known) = &mut *BEFORE.lock()
    {
        known.absorb(&before, &after);
    }
    made
}
