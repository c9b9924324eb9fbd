//! Code that has a cleanup registry of its own: [`ForeignRegistry`] makes it one resource among others.

use std::fmt;
use std::sync::Arc;

use crate::cleanup::{BoxError, Cleanup, CleanupContext, Outcome};
use crate::id::Label;
use crate::resource::{Category, Resource};

type Live = Arc<dyn Fn() -> usize + Send + Sync>;
type Clean = Box<dyn FnOnce(&CleanupContext) -> Result<(), BoxError> + Send>;

/// A bridge to code that keeps a cleanup registry of its own: something that knows how many things it holds, and can
/// clean all of them. Adopted, it is one resource: it has its place in the order, a timeout, and a line in the report, and
/// nothing of that code is rewritten.
///
/// The cleanup tells it to clean everything, and then asks how many are left: any that are make it a failure, so that
/// what that code forgets is not lost in silence. [`expect_none`](Self::expect_none) is for tests: what was live by then
/// is a failure, too.
///
/// Its things are not resources: they have no line of their own, and an order among them is that code's affair.
///
/// # Examples
/// ```
/// use castoff::{Category, ForeignRegistry, ResourceManager};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Janitor {
///     brooms: Mutex<Vec<&'static str>>,
/// }
///
/// let janitor = Arc::new(Janitor::default());
/// let count = { let it = janitor.clone(); move || it.brooms.lock().map_or(0, |brooms| brooms.len()) };
/// let sweep = { let it = janitor.clone(); move || drop(it.brooms.lock().map(|mut brooms| brooms.clear())) };
///
/// let manager = ResourceManager::new("legacy");
/// let pool = manager.guard("pool", || ());
/// let legacy = ForeignRegistry::new("janitor", count, sweep);
/// let legacy = manager.resource("janitor").category(Category::File).depends_on(&pool).adopt(legacy)?;
///
/// janitor.brooms.lock().unwrap().push("the wide one");
/// assert_eq!(legacy.live(), 1);
///
/// let report = manager.cleanup();
/// assert_eq!(report.timeline()[0].label, "janitor"); // before the pool
/// assert_eq!((report.cleaned(), legacy.live()), (2, 0));
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[must_use = "it does nothing until it is adopted: `manager.adopt(..)`"]
pub struct ForeignRegistry {
    label: Label,
    live: Live,
    clean: Option<Clean>,
    expects_none: bool,
}

impl ForeignRegistry {
    /// What it is called, how many things it holds, and what cleans all of them. Both closures may be called on any
    /// thread.
    pub fn new<L, C, O>(label: impl Into<Label>, live: L, clean: C) -> ForeignRegistry
    where
        L: Fn() -> usize + Send + Sync + 'static,
        C: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        let clean: Clean = Box::new(move |_| clean().into_result());
        ForeignRegistry { label: label.into(), live: Arc::new(live), clean: Some(clean), expects_none: false }
    }

    /// The same with a cleanup that asks why it runs, and how long it has.
    pub fn with_context<L, C, O>(label: impl Into<Label>, live: L, clean: C) -> ForeignRegistry
    where
        L: Fn() -> usize + Send + Sync + 'static,
        C: FnOnce(&CleanupContext) -> O + Send + 'static,
        O: Outcome,
    {
        let clean: Clean = Box::new(move |context| clean(context).into_result());
        ForeignRegistry { label: label.into(), live: Arc::new(live), clean: Some(clean), expects_none: false }
    }

    /// Whatever is live when the cleanup begins is a failure of it, after it was cleaned: a test in which that happens
    /// fails.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ForeignRegistry, ResourceGuard, ResourceManager};
    ///
    /// let left = ForeignRegistry::new("janitor", || 3, || ()).expect_none();
    /// let Err(error) = ResourceGuard::close(ResourceManager::new("test").adopt(left)) else { panic!("3 are left") };
    /// assert!(error.to_string().contains("3 of 3 are still live"));
    /// ```
    pub fn expect_none(self) -> ForeignRegistry {
        ForeignRegistry { expects_none: true, ..self }
    }

    /// How many things it holds now.
    pub fn live(&self) -> usize {
        (self.live)()
    }
}

impl Resource for ForeignRegistry {
    const CATEGORY: Category = Category::Custom("registry");

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (clean, live, expects_none) = (self.clean.take(), self.live.clone(), self.expects_none);
        Cleanup::with_context(move |context| clean_all(context, &live, clean, expects_none))
    }
}

fn clean_all(
    context: &CleanupContext,
    live: &Live,
    clean: Option<Clean>,
    expects_none: bool,
) -> Result<(), ForeignRegistryError> {
    let before = live();
    let cleaned = clean.map_or(Ok(()), |clean| clean(context));
    let left = live();
    match cleaned {
        Err(source) => Err(ForeignRegistryError::Failed { live: before, left, source }),
        Ok(()) if left > 0 => Err(ForeignRegistryError::StillLive { live: before, left }),
        Ok(()) if expects_none && before > 0 => Err(ForeignRegistryError::WereLive { live: before }),
        Ok(()) => Ok(()),
    }
}

impl fmt::Debug for ForeignRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignRegistry")
            .field("label", &self.label)
            .field("expects_none", &self.expects_none)
            .finish_non_exhaustive()
    }
}

/// Why a [`ForeignRegistry`] is not clean: the error in
/// [`CleanupErrorKind::Failed`](crate::CleanupErrorKind::Failed).
///
/// # Examples
/// ```
/// use castoff::{CleanupErrorKind, ForeignRegistry, ForeignRegistryError, ResourceGuard, ResourceManager};
///
/// let stuck = ForeignRegistry::new("janitor", || 1, || Err("the door is locked"));
/// let Err(error) = ResourceGuard::close(ResourceManager::new("legacy").adopt(stuck)) else { panic!("it is locked") };
/// let CleanupErrorKind::Failed(cause) = &error.kind else { panic!("{error}") };
/// let cause = cause.downcast_ref::<ForeignRegistryError>();
/// assert!(matches!(cause, Some(ForeignRegistryError::Failed { live: 1, left: 1, .. })));
/// ```
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ForeignRegistryError {
    /// Its cleanup failed.
    #[error("of its own registry {left} of {live} are still live, as the cleanup of that failed: {source}")]
    Failed {
        /// How many there were before.
        live: usize,
        /// How many there are after it.
        left: usize,
        /// What it said.
        source: BoxError,
    },
    /// Its cleanup said that all is well, and it is not.
    #[error("of its own registry {left} of {live} are still live, though that was cleaned without an error")]
    StillLive {
        /// How many there were before.
        live: usize,
        /// How many there are after it.
        left: usize,
    },
    /// All is cleaned, but [none was expected](ForeignRegistry::expect_none) to be there.
    #[error("its own registry still held {live} where none was expected; they are cleaned now")]
    WereLive {
        /// How many there were.
        live: usize,
    },
}
