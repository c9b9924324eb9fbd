//! Which traits the types have, for which parameters. Most of it is checked when this file compiles.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::panic::UnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use castoff::{
    AlreadyInitialized, Always, Cleanup, CleanupContext, CleanupError, DependencyError, Label, ManagerConfig,
    OnSuccess, OnUnwind, RegisterError, ResourceEvent, ResourceGuard, ResourceId, ResourceInfo,
    ResourceManager, ResourceStats, Subscription, TeardownError, TeardownPlan, TeardownReport,
    UnregisterError,
};

use crate::support::{OrderLog, manager};

const fn send_sync<T: Send + Sync>() {}
const fn send<T: Send>() {}
const fn unpin<T: Unpin>() {}
const fn unwind_safe<T: UnwindSafe>() {}
const fn debug<T: Debug>() {}
const fn error<T: Error + Send + Sync + 'static>() {}

struct WithoutDebug;

const _: () = {
    send_sync::<ResourceGuard<()>>();
    send_sync::<ResourceGuard<(), Always>>();
    send_sync::<ResourceGuard<(), OnUnwind>>();
    send_sync::<ResourceGuard<(), OnSuccess>>();
    send_sync::<ResourceGuard<Arc<String>, OnUnwind>>();
    send::<ResourceGuard<Cell<u8>>>();
    unpin::<ResourceGuard<()>>();
    unpin::<ResourceGuard<String, OnSuccess>>();
    unwind_safe::<ResourceGuard<()>>();
    unwind_safe::<ResourceGuard<Arc<String>, OnUnwind>>();
    debug::<ResourceGuard<WithoutDebug>>();
    debug::<ResourceGuard<WithoutDebug, OnUnwind>>();
    send_sync::<ResourceManager>();
    send_sync::<ManagerConfig>();
    send_sync::<ResourceId>();
    send_sync::<Label>();
    send_sync::<ResourceInfo>();
    send_sync::<ResourceStats>();
    send_sync::<ResourceEvent>();
    send_sync::<TeardownPlan>();
    send_sync::<TeardownReport>();
    send::<Subscription>();
    send::<Cleanup>();
    send_sync::<CleanupContext>();
    error::<RegisterError>();
    error::<UnregisterError>();
    error::<DependencyError>();
    error::<CleanupError>();
    error::<TeardownError>();
    error::<AlreadyInitialized>();
};

// Two implementations fit a type that has the trait, and the `_` is then ambiguous: the file compiles only
// without it.
trait NotSend<Marker> {
    const HOLDS: () = ();
}
impl<T: ?Sized> NotSend<()> for T {}
struct HasSend;
impl<T: ?Sized + Send> NotSend<HasSend> for T {}

trait NotSync<Marker> {
    const HOLDS: () = ();
}
impl<T: ?Sized> NotSync<()> for T {}
struct HasSync;
impl<T: ?Sized + Sync> NotSync<HasSync> for T {}

const _: () = <ResourceGuard<Rc<u8>> as NotSend<_>>::HOLDS;
const _: () = <ResourceGuard<Rc<u8>> as NotSync<_>>::HOLDS;
const _: () = <ResourceGuard<Cell<u8>> as NotSync<_>>::HOLDS;

#[test]
fn a_guard_of_a_value_without_debug_can_be_printed() {
    let log = OrderLog::new();
    let guard = manager().resource("odd").keep(WithoutDebug, log.cleanup_value("odd")).unwrap();
    assert!(!format!("{guard:?}").is_empty());
    log.assert_is(&[]);
}
