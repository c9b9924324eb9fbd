//! A binary whose tests pass, and which holds something to its end that no test owns.

use std::sync::OnceLock;

use castoff::{ResourceGuard, ResourceManager};

static SHARED: OnceLock<ResourceGuard<()>> = OnceLock::new();

#[castoff::test]
fn passes_with_a_static() {
    SHARED.get_or_init(|| {
        ResourceManager::global().guard("shared by the suite", || eprintln!("shared: cleaned"))
    });
}
