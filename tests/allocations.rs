//! What a guard allocates: nothing, as long as its label is a literal and its cleanup captures three words at most.
//!
//! The allocator of this process counts what the calling thread asks for. It is unsafe to implement; each call goes to the
//! system's allocator unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use castoff::{Category, ManagerConfig, Priority, ResourceGuard, ResourceManager};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: memory comes from and goes to the system's allocator, with the layout it was asked for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer is from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const TIMES: usize = 10_000;

/// How often the calling thread asks for memory while it does this so often, after it has done it as often already.
fn asked(act: impl Fn(&ResourceManager)) -> usize {
    let manager = ResourceManager::isolated("counted", ManagerConfig::default());
    let all = || (0..TIMES).for_each(|_| act(&manager));
    all();
    let before = ASKED.get();
    all();
    ASKED.get() - before
}

#[test]
fn a_guard_that_comes_and_goes_asks_for_no_memory() {
    assert_eq!(asked(|manager| drop(black_box(manager.guard("connection", || ())))), 0);
}

#[test]
fn nor_does_one_with_a_category_and_a_priority() {
    let register = |manager: &ResourceManager| {
        let connection = manager.resource("connection").category(Category::Network).priority(Priority::High);
        drop(black_box(connection.guard(|| ())).expect("nothing stands in its way"));
    };
    assert_eq!(asked(register), 0);
}

#[test]
fn nor_does_one_of_a_category_of_ones_own() {
    let register = |manager: &ResourceManager| {
        let lease = manager.resource("lease").category(Category::Custom("lease"));
        drop(black_box(lease.guard(|| ())).expect("nothing stands in its way"));
    };
    assert_eq!(asked(register), 0);
}

#[test]
fn nor_do_sixteen_at_once() {
    let register = |manager: &ResourceManager| {
        let open: [ResourceGuard<()>; 16] = std::array::from_fn(|_| manager.guard("connection", || ()));
        drop(black_box(open));
    };
    assert_eq!(asked(register), 0);
}

#[test]
fn a_cleanup_of_three_words_lies_in_the_registry_and_one_of_four_in_a_box() {
    let of_words = |words: usize| {
        asked(move |manager| {
            let (three, four) = ([words; 3], [words; 4]);
            drop(match words {
                3 => manager.guard("connection", move || _ = black_box(three)),
                _ => manager.guard("connection", move || _ = black_box(four)),
            });
        })
    };
    assert_eq!(of_words(3), 0);
    assert_eq!(of_words(4), TIMES);
}

#[test]
fn a_guard_that_another_thread_drops_asks_for_no_memory_there() {
    let manager = ResourceManager::isolated("counted", ManagerConfig::default());
    let open = |count| (0..count).map(|_| manager.guard("connection", || ())).collect::<Vec<_>>();
    let (first, second) = (open(TIMES), open(TIMES));
    let asked = std::thread::spawn(move || {
        // The first drops make what the thread needs.
        drop(first);
        let before = ASKED.get();
        second.into_iter().for_each(drop);
        ASKED.get() - before
    });
    assert_eq!(asked.join().expect("it only drops"), 0);
}
