//! Guards that no drop reaches are cleaned at exit, in order, whatever holds them.

use std::time::Duration;

use crate::support::{FLEET, How, Program, each};

fn are_cleaned(holder: &str) {
    each(|kind| {
        let ended = Program::victim(holder, kind).run().ended(How::Code(9)).quietly();
        ended.said(FLEET).within(Duration::from_secs(2));
    });
}

#[test]
fn guards_in_a_static_are_cleaned() {
    are_cleaned("static");
}

#[test]
fn guards_in_a_once_cell_are_cleaned() {
    are_cleaned("once-cell");
}

#[test]
fn guards_in_thread_locals_of_main_are_cleaned() {
    are_cleaned("thread-local");
}

#[test]
fn guards_in_thread_locals_of_a_thread_that_still_runs_are_cleaned() {
    are_cleaned("thread-local-elsewhere");
}

#[test]
fn guards_in_a_leaked_box_are_cleaned() {
    are_cleaned("leaked-box");
}

#[test]
fn guards_in_a_circle_of_references_are_cleaned() {
    are_cleaned("rc-cycle");
}

#[test]
fn guards_on_a_detached_thread_are_cleaned() {
    are_cleaned("detached-thread");
}
