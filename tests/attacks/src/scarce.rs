//! The system's allocator, which refuses one request, or all from that one on.
//!
//! `CASTOFF_REFUSE=k` refuses the k-th request after [`arm`]; `k+` that and all after it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use castoff::ResourceManager;

use crate::log::say;

pub struct Scarce;

static ARMED: AtomicBool = AtomicBool::new(false);
static NEXT: AtomicUsize = AtomicUsize::new(1);
static FIRST: AtomicUsize = AtomicUsize::new(usize::MAX);
static LAST: AtomicUsize = AtomicUsize::new(usize::MAX);
static CALLS_BACK: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

/// From here on requests are counted.
pub fn arm() {
    let Ok(which) = std::env::var("CASTOFF_REFUSE") else { return };
    let first = which.trim_end_matches('+').parse().expect("CASTOFF_REFUSE is a number");
    FIRST.store(first, SeqCst);
    LAST.store(if which.ends_with('+') { usize::MAX } else { first }, SeqCst);
    ARMED.store(true, SeqCst);
}

/// From here on every request asks castoff how many resources there are.
pub fn call_back() {
    CALLS_BACK.store(true, SeqCst);
}

fn is_refused() -> bool {
    if !ARMED.load(SeqCst) {
        return false;
    }
    let this = NEXT.fetch_add(1, SeqCst);
    let is_refused = (FIRST.load(SeqCst)..=LAST.load(SeqCst)).contains(&this);
    if this == FIRST.load(SeqCst) {
        say(b'!', this).unwrap_or_default();
    }
    is_refused
}

fn ask() {
    thread_local! {
        static ASKING: Cell<bool> = const { Cell::new(false) };
    }
    if CALLS_BACK.load(SeqCst) && !ASKING.replace(true) {
        std::hint::black_box(ResourceManager::global().resource_count());
        ASKING.set(false);
    }
}

// SAFETY: memory comes from and goes to the system's allocator, with the layout it was asked for; null is an answer
// that callers of `alloc` have to expect.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused() {
            return null_mut();
        }
        ask();
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer is from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
