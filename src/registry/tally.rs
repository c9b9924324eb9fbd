//! How many cleanups were handed over by drops and have not ended yet, and who waits for that to be none.

use std::task::{Context, Poll, Waker};

use crate::sync::Lock;

#[derive(Default)]
pub(crate) struct Tally(Lock<Count>);

#[derive(Default)]
struct Count {
    under_way: usize,
    waiting: Vec<Waker>,
}

impl Tally {
    pub(super) fn begin(&self) {
        self.0.lock().under_way += 1;
    }

    pub(super) fn end(&self) {
        let waiting = {
            let mut count = self.0.lock();
            count.under_way -= 1;
            if count.under_way > 0 {
                return;
            }
            std::mem::take(&mut count.waiting)
        };
        // A waker is foreign code: no lock is held.
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when none is under way.
    pub(crate) fn poll_none(&self, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let spare = {
            let mut count = self.0.lock();
            if count.under_way == 0 {
                drop(count);
                return Poll::Ready(());
            }
            match count.waiting.iter().any(|known| known.will_wake(&waker)) {
                true => Some(waker),
                false => {
                    count.waiting.push(waker);
                    None
                }
            }
        };
        drop(spare);
        Poll::Pending
    }
}
