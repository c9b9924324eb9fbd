//! What is alive that should not be.
//!
//! In comes what the registry holds; out goes a list, worst first, or a [`LeakReport`] grouped by the line that made
//! each. It only looks: nothing is cleaned. `detect` finds, `follow` tells listeners what was found and later what of
//! it has ended, `report` groups and shows, `allow` takes away what is known, and `check` is what the ends of the
//! process and of a test do, and what a signal can ask for. `watch` looks again and again, and `growth` says how fast what
//! is held grows. `trace` keeps the evidence that is there only for who asks.

mod allow;
mod check;
mod detect;
mod follow;
pub(crate) mod footprint;
mod growth;
mod report;
mod series;
#[cfg(test)]
mod tests;
mod trace;
mod watch;

pub use self::allow::{AllowListError, LeakAllowList, StaleRule};
pub use self::growth::{CategoryGrowth, MemoryGrowth, SiteGrowth, Trend};
pub use self::report::{LeakBaseline, LeakGroup, LeakReport};
pub use self::watch::MemoryWatch;

#[cfg(feature = "tokio")]
pub(crate) use self::check::is_settling;
#[cfg(unix)]
pub(crate) use self::check::now;
pub(crate) use self::check::{at_end_of_test, at_exit, settle};
pub(crate) use self::detect::{Moment, detect};
pub(crate) use self::trace::trace;
