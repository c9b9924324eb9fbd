//! The end of a thread that calls a closure of its user's.

use std::thread::{self, JoinHandle};

/// Waits for its end. A thread that ends itself is not waited for: that would take for ever. A panic is an error that says
/// whose closure it was.
pub(super) fn join(whose: &str, thread: JoinHandle<()>) -> Result<(), String> {
    if thread.thread().id() == thread::current().id() {
        return Ok(());
    }
    thread.join().map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("the {whose}'s closure panicked: {}", text.as_deref().unwrap_or("no text"))
    })
}
