//! Code under test that is handed no manager.

#[cfg(doctest)]
#[doc = include_str!("examples.md")]
pub struct Examples;

use castoff::{ResourceGuard, ResourceManager};

/// A table that its guard drops.
pub fn table() -> ResourceGuard<()> {
    ResourceManager::current().guard("orders table", || ())
}
