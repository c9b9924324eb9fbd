//! castoff under another name. A comment `LEAK name` marks the line that a failing test has to name.

use harbour::{LeakSeverity, ResourceManager};

#[harbour::test(crate = "harbour", leaks = "fail")]
fn passes_renamed(manager: &ResourceManager) {
    let _guard = manager.guard("renamed", || ());
    assert!(LeakSeverity::Warn < LeakSeverity::Fail);
}

#[harbour::test(crate = "harbour")]
async fn passes_renamed_async(manager: ResourceManager) {
    let _guard = manager.guard_async("renamed", || async { harbour::done() });
}

#[harbour::test(crate = "harbour")]
fn fails_renamed(manager: &ResourceManager) {
    std::mem::forget(manager.guard("renamed", || ())); // LEAK fails_renamed
}
