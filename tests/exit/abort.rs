//! Where a panic aborts, the panic hook is the last that runs: it tears down, on whatever thread the panic is.

use std::time::Duration;

use crate::support::{FLEET, How, Program, after};

const ABRT: How = How::Signal(libc::SIGABRT);

#[test]
fn a_panic_that_aborts_cleans_in_order_first() {
    let ended = Program::aborting("panic-main").run().ended(ABRT).said(FLEET);
    ended.told("main is done for").within(Duration::from_secs(2));
}

#[test]
fn a_panic_that_aborts_on_a_worker_cleans_everything_for_it_is_the_end_of_the_process() {
    let ended = Program::aborting("panic-worker").run().ended(ABRT).said(after(&["worker's own"], &FLEET));
    ended.told("a worker is done for");
}

#[test]
fn a_hanging_cleanup_holds_an_abort_up_no_longer_than_the_deadline() {
    let ended = Program::aborting("panic-hanging").run().ended(ABRT).said(after(&["hangs"], &FLEET));
    ended.within(Duration::from_secs(2)).told("castoff: panic: teardown of `global`: 3 cleaned, 1 timed out");
}

#[test]
fn a_cleanup_that_panics_in_an_abort_does_not_take_the_others_with_it() {
    let ended = Program::aborting("panic-in-cleanups").run().ended(ABRT).said(FLEET);
    ended.within(Duration::from_secs(3)).told("torn");
}

#[test]
fn a_process_whose_panics_abort_ends_well_otherwise() {
    Program::aborting("exit").run().ended(How::Code(0)).said(FLEET).quietly();
}
