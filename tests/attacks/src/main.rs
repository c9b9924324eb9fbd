//! A program to be attacked: `castoff-attacked END [KIND]` guards [`COUNT`] resources, and ends.
//!
//! What happens is in the log that `CASTOFF_LOG` names: `r20` when all of them are there, `-n` when one is cleaned, `!k`
//! when memory is refused for the first time, `u` when a cleanup is told of that has no thread. KIND is what cleanups are: `sync` or `async`.

mod ends;
mod log;
mod scarce;

use std::process::ExitCode;

/// How many. Resource n needs resource n/2, so it is cleaned before that.
pub const COUNT: usize = 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let end = arguments.next().expect("the first argument is the end");
    let is_async = arguments.next().is_some_and(|kind| kind == "async");
    log::open();
    scarce::arm();
    ends::come(&end, is_async)
}
