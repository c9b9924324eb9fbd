//! A global allocator that counts the live bytes of the whole process, while told to.
//!
//! Bytes are what was asked for, not what the system allocator rounds it up to: that part differs from one allocator to
//! the next and is the same for equal requests. Switched off it costs each allocation one plain load.
#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait; every call is handed to the system allocator unchanged.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);

pub(crate) struct Counting;

/// Bytes allocated and not yet freed since counting began; what was allocated before and freed after counts below zero.
pub(crate) fn live_bytes() -> isize {
    LIVE.load(Ordering::Relaxed)
}

pub(crate) fn count(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

fn add(bytes: isize) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A layout is at most `isize::MAX` bytes, by its own rules.
fn signed(size: usize) -> isize {
    size.cast_signed()
}

// SAFETY: each method passes its arguments to `System` and returns what that gave; counting touches no memory of either.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(signed(layout.size()));
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(-signed(layout.size()));
        // SAFETY: the block came from `System` with this layout, as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(signed(size) - signed(layout.size()));
        // SAFETY: as in `dealloc`; the caller promises that `size` is valid for the layout's alignment.
        unsafe { System.realloc(block, layout, size) }
    }
}
