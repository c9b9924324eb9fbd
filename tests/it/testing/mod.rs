//! Tests that fail when they leak: the scope around a body, what it finds at its end, and what it says.

#[cfg(feature = "tokio")]
mod asynchronous;
mod crowd;
mod scopes;
mod shared;
mod verdicts;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of the panic that this ends in; empty where it is no text.
#[track_caller]
fn failure<R>(test: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(_) => panic!("it should fail"),
        Err(payload) => message(&*payload),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| String::from(*text));
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
