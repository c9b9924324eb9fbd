//! Pools of r2d2, bb8 and deadpool over real connections, and one that castoff has never heard of.

#[cfg(all(feature = "redis", any(feature = "bb8", feature = "deadpool")))]
mod awaiting;
#[cfg(feature = "r2d2")]
mod of_r2d2;
mod unknown;

use std::time::Duration;

use castoff::adapters::{ConnectionPool, StillLent};
use castoff::{CleanupErrorKind, ResourceGuard};

use crate::alone::alone;
use crate::contract::manager;

/// What a cleanup said that failed.
fn still_lent<P: Send + Sync + 'static>(guard: ResourceGuard<ConnectionPool<P>>) -> StillLent {
    let error = ResourceGuard::close(guard).expect_err("something is lent");
    let CleanupErrorKind::Failed(cause) = error.kind else { panic!("{}", error.kind) };
    cause.downcast_ref::<StillLent>().expect("it says what").clone()
}
