//! One bug for each tool that has to find it. `scripts/verify` runs each under its tool, and fails if the test passes:
//! none of them is run anywhere else, which is why all are ignored.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // These are bugs that safe code can't have.

use std::hint::black_box;
use std::mem::MaybeUninit;

use castoff::{ManagerConfig, ResourceGuard, ResourceManager};

fn manager() -> ResourceManager {
    ResourceManager::isolated("planted", ManagerConfig::default())
}

/// AddressSanitizer, memcheck: a cleanup that reads what was freed.
#[test]
#[ignore = "a bug"]
fn a_cleanup_uses_memory_after_it_was_freed() {
    let freed = black_box(Box::into_raw(Box::new(7_u64))).expose_provenance();
    let pointer = std::ptr::with_exposed_provenance_mut::<u64>(freed);
    // SAFETY: from `into_raw`, and freed once.
    drop(unsafe { Box::from_raw(pointer) });
    let guard = manager().guard("planted", move || {
        // The bug.
        let read = unsafe { std::ptr::with_exposed_provenance::<u64>(freed).read_volatile() };
        black_box(read);
    });
    drop(guard);
}

/// LeakSanitizer, memcheck: a value that a guard gave back, and nobody dropped.
#[test]
#[ignore = "a bug"]
fn a_released_value_is_lost() {
    let guard = manager().guard_value("planted", vec![7_u8; 33_333], |_| ());
    std::mem::forget(black_box(ResourceGuard::release(guard)));
}

/// MemorySanitizer, memcheck: a cleanup that decides by what nobody has written.
#[test]
#[ignore = "a bug"]
fn a_cleanup_decides_by_memory_that_was_never_written() {
    let memory = Box::new(MaybeUninit::<[u8; 64]>::uninit());
    let guard = manager().guard("planted", move || {
        // The bug.
        let byte = unsafe { black_box(memory.as_ptr().cast::<u8>()).add(5).read_volatile() };
        if byte == 7 {
            std::fs::metadata("/").map(drop).unwrap_or_default();
        }
    });
    drop(guard);
}

/// memcheck: a descriptor that nobody closes.
#[test]
#[ignore = "a bug"]
fn a_descriptor_is_left_open() {
    let file = std::fs::File::open("/dev/zero").expect("it is there");
    let guard = manager().guard_value("planted", file, |_| ());
    std::mem::forget(ResourceGuard::release(guard));
}
