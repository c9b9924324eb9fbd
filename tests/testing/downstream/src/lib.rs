//! Code under test that is handed no manager.

use castoff::{ResourceGuard, ResourceManager};

/// A table that its guard drops.
pub fn table() -> ResourceGuard<()> {
    ResourceManager::current().guard("orders table", || ())
}
