//! One test for each outcome. The name says which: what passes begins with `passes`, what fails with `fails`. A comment
//! `LEAK name` marks the line that a failing test has to name.

use std::mem::forget;
use std::process::ExitCode;
use std::time::Duration;

use castoff::{ResourceGuard, ResourceManager};
use castoff_downstream::table;

#[castoff::test]
fn passes_without_an_argument() {
    let _table = table();
}

/// With a doc comment.
#[castoff::test]
pub(crate) fn passes_with_a_reference(manager: &ResourceManager) {
    let _table = table();
    assert_eq!(manager.resource_count(), 1);
}

#[castoff::test]
fn passes_with_a_handle(manager: ResourceManager) {
    assert_eq!(manager.resource_count(), 0);
}

#[castoff::test]
fn passes_with_a_result() -> Result<(), std::num::ParseIntError> {
    let _table = table();
    "1".parse::<u8>()?;
    Ok(())
}

#[castoff::test]
fn passes_with_an_exit_code() -> ExitCode {
    ExitCode::SUCCESS
}

#[castoff::test]
#[should_panic(expected = "as it should")]
fn passes_by_its_panic() {
    let _table = table();
    panic!("as it should");
}

#[castoff::test]
#[should_panic(expected = "as it should")]
#[allow(clippy::unused_unit)] // What a macro that writes tests may write.
fn passes_by_its_panic_though_it_says_that_it_returns_nothing() -> () {
    panic!("as it should");
}

#[castoff::test(exit_hooks)]
fn passes_with_exit_hooks() {
    let _table = table();
}

/// Where both run in one process the hooks are there when the second asks for them.
#[castoff::test(exit_hooks)]
fn passes_with_exit_hooks_as_another_does() {
    let _table = table();
}

/// By its name it is run before the next.
#[test]
#[ignore = "it handles signals from then on"]
fn has_a_handler_of_its_own() {
    let heard = std::sync::Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGINT, heard).expect("nobody else has one");
}

#[castoff::test(exit_hooks)]
#[ignore = "it says what it does not have"]
fn passes_without_hooks_beside_a_handler_of_its_own() {
    let _table = table();
}

#[castoff::test]
#[ignore = "to see that it is"]
fn ignored() {
    panic!("it is not run");
}

#[castoff::test(leaks = "warn")]
fn passes_with_a_warning() {
    forget(table());
}

#[castoff::test(deadline = "10s")]
fn passes_within_its_deadline(manager: &ResourceManager) {
    let _table = table();
    assert_eq!(manager.resource_count(), 1);
}

#[castoff::test]
async fn passes_async(manager: ResourceManager) {
    let _session = manager.guard_async("session", || tokio::time::sleep(Duration::from_millis(1)));
    tokio::task::yield_now().await;
    assert_eq!(ResourceManager::current().resource_count(), 1);
}

#[castoff::test(flavor = "multi_thread", worker_threads = 2, deadline = "10s")]
async fn passes_async_on_many_threads(manager: &ResourceManager) -> Result<(), tokio::task::JoinError> {
    let there = castoff::task::spawn(async { drop(table()) });
    there.await?;
    assert_eq!(manager.resource_count(), 0);
    Ok(())
}

#[castoff::test]
#[tokio::test(flavor = "multi_thread")]
async fn passes_above_tokios() {
    let _table = table();
    tokio::task::yield_now().await;
}

#[tokio::test]
#[castoff::test]
async fn passes_below_tokios() {
    let _table = table();
    tokio::task::yield_now().await;
}

#[castoff::test]
fn fails_with_a_leak() {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_with_a_leak
}

#[castoff::test]
fn fails_with_a_leak_and_a_result() -> Result<(), String> {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_with_a_leak_and_a_result
    Ok(())
}

#[castoff::test]
fn fails_with_an_error_and_a_leak() -> Result<(), String> {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_with_an_error_and_a_leak
    Err(String::from("its own error"))
}

#[castoff::test]
fn fails_with_a_panic_and_a_leak() {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_with_a_panic_and_a_leak
    panic!("its own panic");
}

#[castoff::test]
#[should_panic(expected = "as it should")]
fn fails_by_a_leak_though_it_panics_as_it_should() {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_by_a_leak_though_it_panics_as_it_should
    panic!("as it should");
}

#[castoff::test]
#[should_panic]
fn fails_by_no_panic_and_has_a_leak() {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_by_no_panic_and_has_a_leak
}

#[castoff::test]
fn fails_by_a_drop(manager: &ResourceManager) {
    drop(manager.guard("journal", || Err("disk full"))); // LEAK fails_by_a_drop
}

#[castoff::test]
fn fails_by_its_teardown(manager: &ResourceManager) {
    ResourceGuard::leak(manager.guard("journal", || Err("disk full"))); // LEAK fails_by_its_teardown
}

#[castoff::test(keep_on_failure)]
fn fails_and_keeps(manager: &ResourceManager) {
    let _kept = manager.guard("kept", || eprintln!("this was cleaned")); // LEAK fails_and_keeps
    panic!("its own panic");
}

#[castoff::test(keep_on_failure)]
fn fails_and_has_nothing_to_keep() {
    panic!("its own panic");
}

#[castoff::test(keep_on_failure)]
async fn fails_async_and_keeps_more_than_it_names(manager: &ResourceManager) {
    let keep = |_| manager.guard("kept", || eprintln!("this was cleaned")); // LEAK fails_async_and_keeps_more_than_it_names
    let _kept: Vec<_> = (0..21).map(keep).collect();
    panic!("its own panic");
}

#[castoff::test(deadline = "300ms")]
fn fails_by_its_deadline_and_its_teardown(manager: &ResourceManager) {
    let _held = manager.guard("journal", || Err("disk full")); // LEAK fails_by_its_deadline_and_its_teardown
    std::thread::sleep(Duration::from_secs(60));
}

#[castoff::test(deadline = "300ms")]
fn fails_by_its_deadline(manager: &ResourceManager) {
    let _held = manager.guard("held meanwhile", || ()); // LEAK fails_by_its_deadline
    std::thread::sleep(Duration::from_secs(60));
}

#[castoff::test]
async fn fails_async_with_a_task_that_holds() {
    let (tell, told) = tokio::sync::oneshot::channel();
    castoff::task::spawn(async move {
        let _held = ResourceManager::current().guard("held", || ()); // LEAK fails_async_with_a_task_that_holds
        tell.send(()).ok();
        std::future::pending::<()>().await;
    });
    told.await.expect("the task holds it");
}

#[castoff::test(flavor = "multi_thread")]
async fn fails_async_with_a_panic_and_a_leak() {
    forget(ResourceManager::current().guard("forgotten", || ())); // LEAK fails_async_with_a_panic_and_a_leak
    tokio::task::yield_now().await;
    panic!("its own panic");
}
