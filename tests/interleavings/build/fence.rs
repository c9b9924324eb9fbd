//! The fence of both sides, for who has no kernel.

use crate::stand_in::sync::atomic::{Ordering::SeqCst, fence};

pub(super) fn light() {
    fence(SeqCst);
}

pub(super) fn heavy() {
    fence(SeqCst);
}

pub(super) fn is_there() -> bool {
    true
}
