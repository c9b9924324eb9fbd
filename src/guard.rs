//! The caller's handle on a resource: [`ResourceGuard`].
//!
//! A guard holds the value, the id and the way to hand the value over; everything else is in the registry. `Drop`
//! asks the registry for the cleanup and runs it, or leaves both with the registry.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::cleanup::CleanupReason;
use crate::error::CleanupError;
use crate::events::ResourceEvent;
use crate::fork;
use crate::id::ResourceId;
use crate::registry::entry::Kept;
use crate::registry::{Begun, Ending, Told, registry};
use crate::resource::{ResourceInfo, ResourceState};
use crate::runtime::is_inside;
use crate::unwind::contain;
#[cfg(feature = "tokio")]
use crate::work::run_away;
use crate::work::{conclude_release, forget_outcome, run_dropped, run_here, run_plain};

pub use scopeguard::{Always, OnSuccess, OnUnwind, Strategy};

/// Holds a resource: when it is dropped, the cleanup runs.
///
/// What a drop does, the first that applies:
/// 1. a teardown has cleaned the resource: only the value is dropped;
/// 2. the strategy says no ([`OnUnwind`] without a panic, [`OnSuccess`] with one): the resource is let go without
///    its cleanup;
/// 3. its cleanup runs elsewhere: the drop does not wait, and the value is dropped after that cleanup;
/// 4. others depend on the resource: its cleanup is deferred, and the value kept, until the last of them has gone;
/// 5. else the cleanup runs here, then the value is dropped. An error or a panic in it goes to the events and the
///    statistics; [`close`](ResourceGuard::close) returns it. An asynchronous cleanup runs on castoff's runtime
///    thread: on a thread of an asynchronous runtime the drop returns at once, and the value is dropped after the
///    cleanup; on any other it waits, within the resource's timeout or else its category's.
///
/// A drop never panics, but for the value's own drop. A guard that is leaked ([`std::mem::forget`], a reference
/// cycle, a `static`) is never dropped: then the manager cleans the resource.
///
/// In a forked child nothing runs, not even the value's drop: the resource is the parent's.
///
/// The functions are called as `ResourceGuard::close(guard)`, so that the value's own methods stay in reach.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use std::fs::{self, File};
///
/// let path = std::env::temp_dir().join(format!("castoff-guard-{}", std::process::id()));
/// let manager = ResourceManager::new("files");
/// let file = manager.guard_value("log", File::create(&path)?, {
///     let path = path.clone();
///     move |_| fs::remove_file(path)
/// });
/// assert_eq!(file.metadata()?.len(), 0);
/// drop(file);
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping the guard at once runs its cleanup at once; bind it: let _guard = …"]
pub struct ResourceGuard<T, S: Strategy = Always> {
    id: ResourceId,
    /// Taken when the guard lets go: then the resource is no longer its business.
    held: Option<Held<T>>,
    strategy: PhantomData<fn() -> S>,
}

struct Held<T> {
    value: T,
    /// Moves the value to the registry. Known here because the guard can't say `T: Send + 'static` itself.
    keep: fn(T) -> Kept,
    /// As wide as its neighbours: a new guard is moved at once, and words that were written in parts are slow to read.
    era: u64,
}

impl<T: Send + 'static, S: Strategy> ResourceGuard<T, S> {
    #[inline]
    pub(crate) fn new(value: T, id: ResourceId) -> Self {
        let held = Held { value, keep: |value| Box::new(value), era: era() };
        ResourceGuard { id, held: Some(held), strategy: PhantomData }
    }
}

impl<T, S: Strategy> ResourceGuard<T, S> {
    /// The resource's id.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let manager = ResourceManager::new("id");
    /// let guard = manager.guard("socket", || ());
    /// assert!(manager.get(ResourceGuard::id(&guard)).is_some());
    /// ```
    pub fn id(guard: &Self) -> ResourceId {
        guard.id
    }

    /// All that is known of the resource. `None` once it has ended.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let guard = ResourceManager::new("info").guard("socket", || ());
    /// assert_eq!(ResourceGuard::info(&guard).map(|info| info.label), Some("socket".into()));
    /// ```
    pub fn info(guard: &Self) -> Option<ResourceInfo> {
        registry().use_it(guard.id);
        registry().node_of(guard.id).and_then(|node| registry().info(&node, guard.id))
    }

    /// Where the resource is in its life.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager, ResourceState};
    /// let guard = ResourceManager::new("state").guard("socket", || ());
    /// assert_eq!(ResourceGuard::state(&guard), ResourceState::Live);
    /// ```
    pub fn state(guard: &Self) -> ResourceState {
        registry().state(guard.id)
    }

    /// Runs the cleanup now, and tells how it went. The strategy is not asked. If the cleanup runs elsewhere this
    /// waits for its end, except inside that very cleanup, where it returns `Ok(())` at once.
    ///
    /// # Errors
    /// The cleanup's own error, panic or timeout, also when a teardown ran it before; or
    /// [`Deferred`](crate::CleanupErrorKind::Deferred) when others depend on the resource: then the cleanup runs after the last of
    /// them, as it does for a drop.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let guard = ResourceManager::new("close").guard("journal", || Err("disk full"));
    /// let Err(error) = ResourceGuard::close(guard) else { panic!("the disk is full") };
    /// assert!(error.to_string().ends_with("failed: disk full"));
    /// ```
    pub fn close(mut guard: Self) -> Result<(), CleanupError> {
        let id = guard.id;
        let Some(kept) = guard.let_go() else { return Ok(()) };
        // Dropped when this returns, after the cleanup in any case.
        let _value;
        match registry().begin(id, kept, !is_inside(id)) {
            Begun::Job(job, kept) => {
                _value = kept;
                run_here(job, CleanupReason::Closed)
            }
            Begun::Deferred(error, told) => {
                tell_deferred(id, told);
                Err(*error)
            }
            Begun::Ended(ending, kept) => {
                _value = kept;
                result_of(ending)
            }
            Begun::Busy(None) => Ok(()),
            Begun::Busy(Some(kept)) => {
                registry().wait_for_end(id);
                match registry().begin(id, kept, false) {
                    Begun::Ended(ending, kept) => {
                        _value = kept;
                        result_of(ending)
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Runs the cleanup now without blocking the thread that awaits, and tells how it went: the first choice in
    /// asynchronous code. An asynchronous cleanup runs on castoff's own runtime thread, within the resource's timeout
    /// or else its category's; any other on a helper thread. If it runs elsewhere already this awaits its end, except
    /// inside that very cleanup, where it returns `Ok(())` at once.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    ///
    /// # Cancel safety
    /// Dropped before it was first polled, it drops the guard. Dropped later, nothing is lost: the cleanup goes on to
    /// its end, and events tell how it went.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let manager = ResourceManager::new("sessions");
    /// let session = manager.guard_async("session", || async { Err("the peer is gone") });
    /// let Err(error) = ResourceGuard::close_async(session).await else { panic!("the peer is gone") };
    /// assert!(error.to_string().ends_with("failed: the peer is gone"));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn close_async(mut guard: Self) -> Result<(), CleanupError> {
        let id = guard.id;
        let Some(kept) = guard.let_go() else { return Ok(()) };
        drop(guard);
        match registry().begin(id, kept, !is_inside(id)) {
            Begun::Job(job, kept) => run_away(job, kept, CleanupReason::Closed).await,
            Begun::Deferred(error, told) => {
                tell_deferred(id, told);
                Err(*error)
            }
            Begun::Ended(ending, kept) => {
                drop(kept);
                result_of(ending)
            }
            Begun::Busy(None) => Ok(()),
            Begun::Busy(Some(kept)) => {
                let ending = registry().ending(id);
                // From here on the value is the registry's, whatever becomes of this future.
                match registry().begin(id, kept, false) {
                    Begun::Ended(ending, kept) => {
                        drop(kept);
                        result_of(ending)
                    }
                    _ => ending.await.map_or(Ok(()), result_of),
                }
            }
        }
    }

    /// Forgets the cleanup and gives the value back. What depends on the resource stays.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let guard = ResourceManager::new("release").guard_value("name", String::from("kept"), |_| panic!("not run"));
    /// assert_eq!(*ResourceGuard::release(guard), "kept");
    /// ```
    #[allow(clippy::missing_panics_doc)] // it never does: see the message
    pub fn release(mut guard: Self) -> T {
        let held = guard.held.take().expect("a guard has its value until it lets go, and it lets go once");
        if held.era == era() {
            conclude_release(guard.id, registry().release(guard.id));
        }
        held.value
    }

    /// The same guard without its type: the value moves to the registry and is dropped after the cleanup. For
    /// keeping guards of several types in one place.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let manager = ResourceManager::new("erase");
    /// let guards: Vec<ResourceGuard<()>> = vec![
    ///     ResourceGuard::erase(manager.guard_value("text", String::new(), |_| ())),
    ///     ResourceGuard::erase(manager.guard_value("number", 7, |_| ())),
    /// ];
    /// assert_eq!(manager.resource_count(), 2);
    /// drop(guards);
    /// assert_eq!(manager.resource_count(), 0);
    /// ```
    pub fn erase(mut guard: Self) -> ResourceGuard<(), S> {
        let id = guard.id;
        let held = guard.held.take().map(|Held { value, keep, era: made }| {
            if made == era() {
                // If the resource has ended the value goes here and now.
                drop(registry().keep(id, keep(value)));
            } else {
                std::mem::forget(value);
            }
            Held { value: (), keep: |()| Box::new(()) as Kept, era: made }
        });
        ResourceGuard { id, held, strategy: PhantomData }
    }

    /// Says that the resource is in use now, for the rule that finds resources nobody uses. Which threads said so last is
    /// [kept](crate::Touches), and told with the leak that it may become.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let manager = ResourceManager::new("touch");
    /// let guard = manager.guard("session", || ());
    /// ResourceGuard::touch(&guard);
    /// assert_eq!(manager.detect_leaks()[0].touches[0].times, 1);
    /// ```
    pub fn touch(guard: &Self) {
        registry().touch(guard.id);
    }

    /// Leaves the resource alive without a guard, on purpose: it is recorded as such and no leak. The value stays
    /// with the registry, and a teardown still cleans the resource.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    /// let manager = ResourceManager::new("leak");
    /// ResourceGuard::leak(manager.guard("for ever", || ()));
    /// assert_eq!(manager.resource_count(), 1);
    /// assert_eq!(manager.cleanup().cleaned(), 1);
    /// ```
    pub fn leak(mut guard: Self) {
        let id = guard.id;
        if let Some(kept) = guard.let_go() {
            drop(registry().leak(id, kept));
        }
    }

    /// Hands out the value for the registry. `None` in a forked child, or when the guard has let go before.
    fn let_go(&mut self) -> Option<Kept> {
        let held = self.held.take()?;
        if held.era != era() {
            std::mem::forget(held.value);
            return None;
        }
        Some((held.keep)(held.value))
    }

    /// Whether the strategy wants the cleanup. One that panics wants it.
    fn wants_cleanup() -> bool {
        contain(S::should_run).unwrap_or(true)
    }
}

/// This process's, to be compared with a guard's.
#[inline]
fn era() -> u64 {
    u64::from(fork::era())
}

fn result_of(ending: Ending) -> Result<(), CleanupError> {
    ending.error.map_or(Ok(()), Err)
}

fn tell_deferred(id: ResourceId, told: Option<Told>) {
    if let Some(Told { node, label }) = told {
        node.tell(&ResourceEvent::Deferred { id, label });
    }
}

impl<T, S: Strategy> Drop for ResourceGuard<T, S> {
    #[inline]
    fn drop(&mut self) {
        let Some(held) = &self.held else { return };
        if held.era != era() {
            std::mem::forget(self.held.take());
            return;
        }
        if !Self::wants_cleanup() {
            conclude_release(self.id, registry().release(self.id));
            return;
        }
        let panicking = std::thread::panicking();
        if panicking && self.stays() {
            return;
        }
        // The value is dropped as a field, after this.
        if !run_plain(self.id, panicking) {
            self.drop_linked(if panicking { CleanupReason::Panicking } else { CleanupReason::Dropped });
        }
    }
}

impl<T, S: Strategy> ResourceGuard<T, S> {
    /// Leaves the resource as it is, if it belongs to a failing test that asked for that.
    #[cold]
    fn stays(&mut self) -> bool {
        let stays = registry().node_of(self.id).is_some_and(|node| node.keeps_in_panics());
        if stays && let Some(Held { value, keep, .. }) = self.held.take() {
            drop(registry().leak(self.id, keep(value)));
        }
        stays
    }

    /// What has dependencies or dependents, or was cleaned before.
    #[cold]
    fn drop_linked(&mut self, reason: CleanupReason) {
        let Some(Held { value, keep, .. }) = self.held.take() else { return };
        match registry().begin(self.id, keep(value), false) {
            Begun::Job(job, kept) => drop(run_dropped(job, kept, reason)),
            Begun::Deferred(_, told) => tell_deferred(self.id, told),
            Begun::Ended(ending, kept) => {
                forget_outcome(result_of(ending));
                drop(kept);
            }
            Begun::Busy(kept) => drop(kept),
        }
    }
}

impl<T, S: Strategy> Deref for ResourceGuard<T, S> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        let held = self.held.as_ref();
        &held.expect("a guard has its value until it lets go, and then nobody can reach it").value
    }
}

/// For a value that the guard owns alone ([`keep`](crate::Registration::keep), [`adopt`](crate::ResourceManager::adopt)).
/// Where the value is an `Arc` that the cleanup shares, writing another `Arc` here parts the two: the cleanup still
/// gets the first.
impl<T, S: Strategy> DerefMut for ResourceGuard<T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let held = self.held.as_mut();
        &mut held.expect("a guard has its value until it lets go, and then nobody can reach it").value
    }
}

/// Says which resource, and in which state: nothing of the value, which need not be `Debug`.
impl<T, S: Strategy> fmt::Debug for ResourceGuard<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = registry().label_of(self.id);
        f.debug_struct("ResourceGuard")
            .field("id", &self.id)
            .field("label", &label.as_deref().unwrap_or("gone"))
            .field("state", &registry().state(self.id))
            .finish_non_exhaustive()
    }
}

impl<T, S: Strategy> From<&ResourceGuard<T, S>> for ResourceId {
    fn from(guard: &ResourceGuard<T, S>) -> ResourceId {
        guard.id
    }
}
