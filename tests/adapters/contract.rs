//! What must hold for every adapter: a [`Case`] says how to make one and how to see its end, [`contract!`] makes ten
//! tests of it.

use std::fmt::Debug;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use castoff::{CleanupErrorKind, ManagerConfig, Resource, ResourceGuard, ResourceManager, ResourceState};

use crate::alone::until;

/// An adapter on its real thing.
pub(crate) trait Case {
    /// The adapter.
    type Adopted: Resource;
    /// What sees the thing from outside, and keeps what it needs (a server, a directory).
    type Witness: Send + 'static;

    fn make() -> (Self::Adopted, Self::Witness);

    /// Whether the cleanup's work is done: the thing is closed, gone, put back.
    fn is_over(witness: &Self::Witness) -> bool;

    /// Ends the thing by itself or by somebody else, before its cleanup. Where an adapter has no such thing as "already
    /// gone", whatever comes nearest to it.
    fn end_first(adopted: &mut Self::Adopted, witness: &Self::Witness);
}

/// An adapter whose thing can refuse to end.
pub(crate) trait Hangs: Case {
    /// One whose cleanup does not end by itself within [`TIMEOUT`].
    fn make_hanging() -> (Self::Adopted, Self::Witness);

    /// After the cleanup was given up: checks what the last resort did, and ends what still hangs.
    fn after(witness: Self::Witness);
}

/// The timeout of a cleanup that hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

pub(crate) fn manager() -> ResourceManager {
    ResourceManager::isolated("test", ManagerConfig::default())
}

#[track_caller]
fn is_live<C: Case>(witness: &C::Witness) {
    assert!(!C::is_over(witness), "it is over before its cleanup");
}

#[track_caller]
fn gets_over<C: Case>(witness: &C::Witness) {
    until("the thing to be over", || C::is_over(witness));
}

#[track_caller]
pub(crate) fn is_cleaned_by_drop<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    is_live::<C>(&witness);
    drop(guard);
    settle(&manager);
    gets_over::<C>(&witness);
    assert_eq!((manager.stats().cleaned, manager.stats().failed), (1, 0));
}

#[track_caller]
pub(crate) fn is_cleaned_by_close<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    is_live::<C>(&witness);
    ResourceGuard::close(guard).expect("it closes well");
    gets_over::<C>(&witness);
}

#[track_caller]
pub(crate) fn is_cleaned_by_a_teardown_while_the_guard_is_held<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    is_live::<C>(&witness);
    let report = manager.cleanup();
    assert!(report.is_success(), "{report}");
    gets_over::<C>(&witness);
    assert_eq!(ResourceGuard::state(&guard), ResourceState::Cleaned);
}

#[track_caller]
pub(crate) fn is_cleaned_once<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    assert_eq!(manager.cleanup().cleaned(), 1);
    gets_over::<C>(&witness);
    assert_eq!(manager.cleanup().processed(), 0);
    ResourceGuard::close(guard).expect("the outcome is the teardown's");
    assert_eq!((manager.stats().cleaned, manager.resource_count()), (1, 0));
}

#[track_caller]
pub(crate) fn is_a_success_when_it_is_gone_already<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let mut guard = manager.adopt(adopted);
    C::end_first(&mut guard, &witness);
    ResourceGuard::close(guard).expect("already gone is a success");
    gets_over::<C>(&witness);
}

#[track_caller]
pub(crate) fn is_cleaned_on_another_thread<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    // Not dropped by whoever made it, and on a thread that has nothing of castoff's yet.
    thread::scope(|scope| {
        scope.spawn(|| ResourceGuard::close(guard).expect("it closes well"));
    });
    gets_over::<C>(&witness);
}

#[track_caller]
pub(crate) fn can_be_released_and_adopted_again<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let released = ResourceGuard::release(manager.adopt(adopted));
    is_live::<C>(&witness);
    ResourceGuard::close(manager.adopt(released)).expect("it closes well");
    gets_over::<C>(&witness);
}

#[track_caller]
pub(crate) fn is_cleaned_once_by_whoever_is_first<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            let report = manager.cleanup();
            assert!(report.is_success(), "{report}");
        });
        scope.spawn(|| {
            start.wait();
            drop(guard);
        });
    });
    settle(&manager);
    gets_over::<C>(&witness);
    assert_eq!((manager.stats().cleaned, manager.stats().failed), (1, 0));
}

#[track_caller]
pub(crate) fn is_given_up_when_it_hangs<C: Hangs>() {
    let (manager, (adopted, witness)) = (manager(), C::make_hanging());
    let guard =
        manager.resource("hanging").timeout(TIMEOUT).adopt(adopted).expect("nothing is wrong with it");
    let error = ResourceGuard::close(guard).expect_err("it hangs");
    let kind = error.kind;
    assert!(matches!(kind, CleanupErrorKind::TimedOut(_) | CleanupErrorKind::Failed(_)), "{kind}");
    C::after(witness);
}

#[track_caller]
pub(crate) fn can_be_adopted_again_after_its_cleanup<C: Case>() {
    let (manager, (adopted, witness)) = (manager(), C::make());
    let guard = manager.adopt(adopted);
    assert!(manager.cleanup().is_success());
    gets_over::<C>(&witness);
    // There is nothing left to end: by castoff itself it is gone already, too.
    ResourceGuard::close(manager.adopt(ResourceGuard::release(guard))).expect("already gone is a success");
    gets_over::<C>(&witness);
    assert_eq!((manager.stats().cleaned, manager.stats().failed), (2, 0));
}

/// What is printed of it while it is live, and once it has been cleaned.
#[track_caller]
pub(crate) fn printed<R: Resource + Debug>(adopted: R) -> [String; 2] {
    let manager = manager();
    let guard = manager.adopt(adopted);
    let live = format!("{:?}", *guard);
    let report = manager.cleanup();
    assert!(report.is_success(), "{report}");
    [live, format!("{:?}", *guard)]
}

/// A cleanup that awaits may go on after the drop that began it.
fn settle(manager: &ResourceManager) {
    until("the cleanup to have ended", || manager.resource_count() == 0);
}

/// The tests of one adapter: `contract!(Case)`, or `contract!(Case, never hangs)`; with `in served` where they need more
/// than a process of their own.
macro_rules! contract {
    ($case:ty) => {
        contract!($case, in crate::alone::alone);
    };
    ($case:ty, never hangs) => {
        contract!($case, never hangs, in crate::alone::alone);
    };
    ($case:ty, in $place:path) => {
        contract!($case, never hangs, in $place);

        #[test]
        fn it_is_given_up_when_it_hangs() {
            $place(crate::contract::is_given_up_when_it_hangs::<$case>);
        }
    };
    ($case:ty, never hangs, in $place:path) => {
        contract!(@ $case, $place:
            it_is_cleaned_by_drop = is_cleaned_by_drop,
            it_is_cleaned_by_close = is_cleaned_by_close,
            it_is_cleaned_by_a_teardown_while_the_guard_is_held =
                is_cleaned_by_a_teardown_while_the_guard_is_held,
            it_is_cleaned_once = is_cleaned_once,
            it_is_a_success_when_it_is_gone_already = is_a_success_when_it_is_gone_already,
            it_is_cleaned_on_another_thread = is_cleaned_on_another_thread,
            it_is_cleaned_once_by_whoever_is_first = is_cleaned_once_by_whoever_is_first,
            it_can_be_released_and_adopted_again = can_be_released_and_adopted_again,
            it_can_be_adopted_again_after_its_cleanup = can_be_adopted_again_after_its_cleanup,
        );
    };
    (@ $case:ty, $place:path: $($name:ident = $check:ident,)*) => {$(
        #[test]
        fn $name() {
            $place(crate::contract::$check::<$case>);
        }
    )*};
}
