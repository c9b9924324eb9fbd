//! Pools of whatever kind: r2d2's, bb8's, deadpool's, or one that castoff has never heard of.
//!
//! Most pools have no way to close. They end when the last handle is dropped, and what they have lent holds or finds one
//! of these. So the pool is kept here, and lent from through a handle that its cleanup counts.
//!
//! Invariants:
//! 1. Who takes the pool out is its cleanup or `into_inner`; nobody gets a handle after that.
//! 2. A handle is counted until it is dropped, so that nobody is between asking for a connection and having it unseen.

#[cfg(any(feature = "r2d2", feature = "bb8", feature = "deadpool"))]
mod known;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use crate::adapters::held::{Held, closed};
use crate::adapters::pause::{before_it_is_given_up, ends_within};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

const GRACE: Duration = Duration::from_secs(5);

/// A pool of connections, of any kind.
///
/// Its cleanup gives no handle any more, closes the pool where that has a way to be closed, waits for what is lent to
/// come back, and lets go of the pool, which closes its connections. What has not come back within the grace (5 s) is
/// given up: the cleanup fails with [`StillLent`], and these are closed when they come back. There is no last resort:
/// nobody can take a connection from who has it.
///
/// | pool | made by | what closing it is |
/// |---|---|---|
/// | r2d2 | `From`, with the feature `r2d2` | there is none: it ends when its last handle is dropped; its threads at their next round, up to 30 s later, or at once with neither `max_lifetime` nor `idle_timeout` |
/// | bb8 | `From`, with the feature `bb8` | there is none: it ends when its last handle is dropped; the task of its reaper at its next round |
/// | deadpool | `From`, with the feature `deadpool` | `close`: also who kept a handle, and who waits, is refused |
/// | another, or another release of these | [`blocking`](ConnectionPool::blocking), `awaiting` | what [`closed_by`](ConnectionPool::closed_by) says |
///
/// So keep no handle of a pool that can't be closed but this: whoever has one can borrow from it ever after, and keeps its
/// connections open. What is borrowed through such a handle is waited for, as the pool counts it.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::ConnectionPool;
/// use std::sync::{Arc, Mutex};
///
/// // Somebody's pool: it lends an `Arc`, and what only it has is not lent.
/// struct Desks(Mutex<Vec<Arc<u32>>>);
/// impl Desks {
///     fn lent(&self) -> usize {
///         self.0.lock().unwrap().iter().filter(|desk| Arc::strong_count(desk) > 1).count()
///     }
///     fn sit(&self) -> Option<Arc<u32>> {
///         self.0.lock().unwrap().iter().find(|desk| Arc::strong_count(desk) == 1).cloned()
///     }
/// }
///
/// let manager = ResourceManager::new("office");
/// let desks = Desks(Mutex::new(vec![Arc::new(1), Arc::new(2)]));
/// let desks = manager.adopt(ConnectionPool::blocking("desks", desks, Desks::lent));
/// let desk = desks.handle()?.sit();
/// drop(desk);
/// assert!(manager.cleanup().is_success());
/// assert!(desks.handle().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ConnectionPool<P> {
    label: Label,
    pool: Held<Arc<P>>,
    ways: Held<Ways<P>>,
    grace: Duration,
    #[cfg(feature = "tokio")]
    awaits: bool,
}

/// What differs from pool to pool.
struct Ways<P> {
    lent: Box<dyn Fn(&P) -> usize + Send>,
    close: Box<dyn FnOnce(&P) + Send>,
}

impl<P: Send + Sync + 'static> ConnectionPool<P> {
    /// Takes a pool of threads that block. `lent` tells how many of its connections are out.
    pub fn blocking(
        label: impl Into<Label>,
        pool: P,
        lent: impl Fn(&P) -> usize + Send + 'static,
    ) -> ConnectionPool<P> {
        let ways = Ways { lent: Box::new(lent), close: Box::new(|_| ()) };
        ConnectionPool {
            label: label.into(),
            pool: Held::new(Arc::new(pool)),
            ways: Held::new(ways),
            grace: GRACE,
            #[cfg(feature = "tokio")]
            awaits: false,
        }
    }

    /// Takes a pool of tasks that await: the cleanup must block none of them.
    #[cfg(feature = "tokio")]
    pub fn awaiting(
        label: impl Into<Label>,
        pool: P,
        lent: impl Fn(&P) -> usize + Send + 'static,
    ) -> ConnectionPool<P> {
        ConnectionPool { awaits: true, ..ConnectionPool::blocking(label, pool, lent) }
    }

    /// How the pool is closed, where it can be: it lends no more, and drops what nobody has. It must not wait.
    pub fn closed_by(self, close: impl FnOnce(&P) + Send + 'static) -> ConnectionPool<P> {
        let before = self.ways.with(|ways| std::mem::replace(&mut ways.close, Box::new(close)));
        drop(before); // somebody else's, and so with no lock held
        self
    }

    /// Under this label instead of what kind of pool it is.
    pub fn labelled(self, label: impl Into<Label>) -> ConnectionPool<P> {
        ConnectionPool { label: label.into(), ..self }
    }

    /// How long the cleanup waits for what is lent: 5 s unless set. A pool of threads that block is waited for no longer
    /// than nine tenths of what the cleanup's timeout leaves.
    pub fn grace(self, grace: Duration) -> ConnectionPool<P> {
        ConnectionPool { grace, ..self }
    }

    /// The pool, to borrow from: `pool.handle()?.get()`. The cleanup waits until the handle is dropped, so drop it when
    /// the connection is there.
    ///
    /// # Errors
    /// After the cleanup, that it is closed.
    pub fn handle(&self) -> io::Result<Arc<P>> {
        self.pool.with(|pool| Arc::clone(pool)).ok_or_else(|| closed(&self.label))
    }

    /// The pool itself, with whatever is lent. `None` after its cleanup.
    pub fn into_inner(self) -> Option<Arc<P>> {
        self.pool.take()
    }
}

impl<P: Send + Sync + 'static> Resource for ConnectionPool<P> {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (label, pool, ways) = (self.label.clone(), self.pool.clone(), self.ways.clone());
        let grace = self.grace;
        #[cfg(feature = "tokio")]
        if self.awaits {
            return Cleanup::future(move || async move {
                match (pool.take(), ways.take()) {
                    (Some(pool), Some(ways)) => Ending::begin(label, pool, ways, grace).awaited().await,
                    _ => Ok(()),
                }
            });
        }
        Cleanup::with_context(move |cx| match (pool.take(), ways.take()) {
            (Some(pool), Some(ways)) => {
                let grace = before_it_is_given_up(grace, cx.deadline());
                Ending::begin(label, pool, ways, grace).waited_for()
            }
            _ => Ok(()),
        })
    }
}

/// A pool that gives no handle any more. It is let go of by being dropped.
struct Ending<P> {
    label: Label,
    pool: Arc<P>,
    lent: Box<dyn Fn(&P) -> usize + Send>,
    grace: Duration,
}

impl<P> Ending<P> {
    fn begin(label: Label, pool: Arc<P>, ways: Ways<P>, grace: Duration) -> Ending<P> {
        (ways.close)(&pool);
        Ending { label, pool, lent: ways.lent, grace }
    }

    /// Whether all is back.
    fn all_is_back(&self) -> Result<(), StillLent> {
        // The handles first: who had one has borrowed before it was dropped, and that must be seen, too.
        let handles = Arc::strong_count(&self.pool) - 1;
        fence(Ordering::Acquire);
        match ((self.lent)(&self.pool), handles) {
            (0, 0) => Ok(()),
            (lent, handles) => Err(StillLent { label: self.label.clone(), lent, handles, grace: self.grace }),
        }
    }

    fn waited_for(self) -> Result<(), StillLent> {
        let Ok(_) = ends_within(self.grace, || Ok::<_, Infallible>(self.all_is_back().is_ok()));
        self.all_is_back()
    }

    #[cfg(feature = "tokio")]
    async fn awaited(self) -> Result<(), StillLent> {
        let (start, mut pause) = (tokio::time::Instant::now(), crate::adapters::pause::Pause::default());
        loop {
            let left = self.grace.saturating_sub(start.elapsed());
            let back = self.all_is_back();
            if back.is_ok() || left.is_zero() {
                return back;
            }
            tokio::time::sleep(pause.next().min(left)).await;
        }
    }
}

/// Why the cleanup of a [`ConnectionPool`] failed: what it had lent did not come back within its grace.
///
/// # Examples
/// ```
/// use castoff::adapters::{ConnectionPool, StillLent};
/// use castoff::{CleanupErrorKind, ResourceGuard, ResourceManager};
/// use std::time::Duration;
///
/// let pool = ConnectionPool::blocking("orders", (), |_| 2).grace(Duration::ZERO);
/// let Err(error) = ResourceGuard::close(ResourceManager::new("shop").adopt(pool)) else { panic!("two are lent") };
/// let CleanupErrorKind::Failed(cause) = error.kind else { panic!("it says why") };
/// assert!(matches!(cause.downcast_ref(), Some(StillLent { lent: 2, .. })));
/// ```
#[derive(thiserror::Error, Clone, Debug)]
#[error(
    "`{label}` was closed {grace:.1?} ago, and still out are {lent} of its connections and {handles} of its handles; they are \
     closed when they come back: let who uses the pool depend on it, or give it a longer `grace`"
)]
#[non_exhaustive]
pub struct StillLent {
    /// Which pool.
    pub label: Label,
    /// How many connections were out.
    pub lent: usize,
    /// How many handles there were from [`ConnectionPool::handle`].
    pub handles: usize,
    /// How long they had.
    pub grace: Duration,
}

impl<P> fmt::Debug for ConnectionPool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ConnectionPool");
        out.field("label", &self.label).field("pool", &self.pool).finish_non_exhaustive()
    }
}
