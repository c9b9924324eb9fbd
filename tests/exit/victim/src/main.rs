//! The programs that tests/exit starts, and looks at how they end: `castoff-victim CASE [KIND]`.
//!
//! What happens is written line by line to the file that `CASTOFF_LOG` names, each line by one `write`, so that the
//! log holds whatever was said before the end, in the order of it. KIND is what cleanups are: `sync` or `async`.

mod dump;
mod ends;
mod fleet;
#[cfg(feature = "frameworks")]
mod frameworks;
mod holders;
mod leaks;
mod log;
mod races;
mod random;
mod signals;

use std::process::ExitCode;

use crate::fleet::Kind;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().expect("the first argument is the case");
    let kind = Kind::named(arguments.next().as_deref().unwrap_or("sync"));
    let known = ends::run(&case, kind)
        .or_else(|| dump::run(&case, kind))
        .or_else(|| holders::run(&case, kind))
        .or_else(|| leaks::run(&case, kind))
        .or_else(|| signals::run(&case, kind))
        .or_else(|| races::run(&case, kind))
        .or_else(|| random::run(&case, kind));
    #[cfg(feature = "frameworks")]
    let known = known.or_else(|| frameworks::run(&case, kind));
    known.unwrap_or_else(|| panic!("no case is named {case:?}"))
}
