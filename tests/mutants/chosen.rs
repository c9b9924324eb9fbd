//! Which mutant this process is: part of the copy that `plant` makes, and of nothing else.
//!
//! Asked before `main`, so that the question itself is a load: it is asked in signal handlers, in allocators, and at
//! the end of threads.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering::Relaxed};

/// As many as there may be, which is the length of the file too.
const MOST: usize = 1 << 16;

static CHOSEN: AtomicU32 = AtomicU32::new(0);
static REACHED: AtomicPtr<AtomicU8> = AtomicPtr::new(ptr::null_mut());

#[used]
// SAFETY: a list of functions that the C library calls before `main`; `start` needs nothing but that library.
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    // SAFETY: the name ends with a zero, and nobody else runs yet.
    let chosen = unsafe { libc::getenv(c"CASTOFF_MUTANT".as_ptr()) };
    if !chosen.is_null() {
        // SAFETY: what getenv found ends with a zero.
        let number = unsafe { libc::atoi(chosen) };
        CHOSEN.store(number as u32, Relaxed);
    }
    // SAFETY: as above.
    let path = unsafe { libc::getenv(c"CASTOFF_REACHED".as_ptr()) };
    if !path.is_null() {
        REACHED.store(shared(path), Relaxed);
    }
}

/// A file of a byte for each mutant: shared, so that what a child process reaches is noted too, however it ends.
fn shared(path: *const libc::c_char) -> *mut AtomicU8 {
    // SAFETY: what getenv found ends with a zero.
    let file = unsafe { libc::open(path, libc::O_RDWR) };
    let how = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new place in memory, which is never given back.
    let place = unsafe { libc::mmap(ptr::null_mut(), MOST, how, libc::MAP_SHARED, file, 0) };
    // SAFETY: it was opened here.
    unsafe { libc::close(file) };
    if place == libc::MAP_FAILED { ptr::null_mut() } else { place.cast() }
}

/// Called deprecated so that the compiler names every call that it has compiled.
#[deprecated]
#[inline]
pub(crate) fn mutant(number: u32) -> bool {
    let reached = REACHED.load(Relaxed);
    if !reached.is_null() {
        // SAFETY: the numbers are fewer than the bytes.
        let byte = unsafe { reached.add(number as usize) };
        // SAFETY: the file is there as long as the process.
        unsafe { &*byte }.store(1, Relaxed);
    }
    CHOSEN.load(Relaxed) == number
}
