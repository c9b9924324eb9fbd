//! The builder: [`Registration`] for one resource, [`ResourceDefinition`] for many that come from data.
//!
//! In come words and a cleanup; out goes a draft to the registry (`enter`), and a guard to the caller. What the
//! registry refuses behaves as a guard dropped at once.

mod batch;
mod enter;

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::cleanup::async_work;
use crate::cleanup::{Cleanup, CleanupContext, Outcome, Work, work, work_with_context};
use crate::error::RegisterError;
use crate::guard::{Always, ResourceGuard, Strategy};
use crate::id::{Label, ResourceId};
use crate::registration::enter::{draft, plain, refuse_with, register, register_plain, seen_in};
use crate::registry::entry::Extra;
use crate::registry::tree::Node;
use crate::registry::{Need, registry};
use crate::resource::{Category, MetadataValue, Priority, Resource};

pub use self::batch::ResourceDefinition;
pub(crate) use self::batch::register_batch;
pub(crate) use self::enter::register_short;

/// Registers one resource, with every option.
///
/// Ends in one of the guard methods ([`guard`](Registration::guard), [`guard_value`](Registration::guard_value),
/// [`keep`](Registration::keep), [`adopt`](Registration::adopt), ..), which return a guard, or a [`RegisterError`]
/// that says what is in the way. A refused registration behaves as if its guard had been dropped at once: the
/// cleanup runs, if the strategy says so, then the value is dropped. Ask [`check`](Registration::check) first where
/// that is not wanted.
///
/// # Examples
/// ```
/// use castoff::{Category, Priority, ResourceManager};
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("service");
/// let pool = manager.resource("orders pool").category(Category::Database).named("orders-db").guard(|| ())?;
/// let server = manager
///     .resource("http server")
///     .category(Category::Network)
///     .priority(Priority::High)
///     .timeout(Duration::from_secs(3))
///     .tag("public")
///     .metadata("port", 8080)
///     .depends_on(&pool)
///     .guard(|| ())?;
/// assert_eq!(manager.plan().order(), [(&server).into(), (&pool).into()]);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[must_use = "a registration does nothing until it is finished with a guard method"]
pub struct Registration<'m, S: Strategy = Always> {
    node: &'m Arc<Node>,
    label: Label,
    created_at: &'static Location<'static>,
    category: Option<Category>,
    priority: Option<Priority>,
    extra: Option<Box<Extra>>,
    needs: Vec<Need>,
    strategy: PhantomData<fn() -> S>,
}

impl<'m> Registration<'m> {
    #[inline]
    pub(crate) fn new(node: &'m Arc<Node>, label: Label, created_at: &'static Location<'static>) -> Self {
        let (category, priority, extra, needs) = (None, None, None, Vec::new());
        Registration { node, label, created_at, category, priority, extra, needs, strategy: PhantomData }
    }
}

impl<'m, S: Strategy> Registration<'m, S> {
    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The kind of resource: decides the default timeout, and is what teardowns filter by. `Event` unless set.
    #[inline]
    pub fn category(mut self, category: Category) -> Self {
        self.category = Some(category);
        self
    }

    /// How urgent the cleanup is, among those that no dependency holds back. Medium unless set, but Critical in the
    /// category Critical.
    #[inline]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long the cleanup may take. It holds in teardowns and, with a helper thread, on `drop` and `close` too.
    /// Zero gives up at once, `Duration::MAX` never.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.extra().timeout = Some(limit);
        self
    }

    /// A sentence about it, for infos.
    pub fn description(mut self, text: impl Into<Label>) -> Self {
        self.extra().description = Some(text.into());
        self
    }

    /// One more tag, for filters.
    pub fn tag(mut self, tag: impl Into<Label>) -> Self {
        self.extra().tags.push(tag.into());
        self
    }

    /// More tags, for filters.
    pub fn tags<L: Into<Label>>(mut self, tags: impl IntoIterator<Item = L>) -> Self {
        self.extra().tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Something else worth knowing. A key given again replaces its value.
    pub fn metadata(mut self, key: impl Into<Label>, value: impl Into<MetadataValue>) -> Self {
        self.extra().metadata.set(key.into(), value.into());
        self
    }

    /// A name, unique among the live ones of the manager: [`find`](crate::ResourceManager::find) and
    /// [`depends_on_name`](Registration::depends_on_name) use it. Free again when the resource has ended.
    pub fn named(mut self, name: impl Into<Label>) -> Self {
        self.extra().name = Some(name.into());
        self
    }

    /// It needs this one, which is cleaned after it: a guard by reference (`&*guard` for an `Arc` of one), or an id.
    pub fn depends_on(mut self, dependency: impl Into<ResourceId>) -> Self {
        self.needs.push(Need::Id(dependency.into()));
        self
    }

    /// It needs all of these.
    pub fn depends_on_all<D: Into<ResourceId>>(mut self, dependencies: impl IntoIterator<Item = D>) -> Self {
        self.needs.extend(dependencies.into_iter().map(|dependency| Need::Id(dependency.into())));
        self
    }

    /// It needs the live resource of this name, of its manager or the nearest one above that has it.
    pub fn depends_on_name(mut self, name: impl Into<Label>) -> Self {
        self.needs.push(Need::Name(name.into()));
        self
    }

    /// How old it has to be before it can be a leak. Its manager's unless set.
    pub fn leak_after(mut self, limit: Duration) -> Self {
        self.extra().leak_after = Some(limit);
        self
    }

    /// How much memory it holds, in bytes, for the statistics.
    pub fn estimated_bytes(mut self, bytes: usize) -> Self {
        self.extra().estimated_bytes = Some(bytes);
        self
    }

    /// It lives as long as the process: no leak while it runs.
    pub fn long_lived(mut self) -> Self {
        self.extra().long_lived = true;
        self
    }

    /// What to do when the cleanup failed, panicked or timed out: force. See [`Cleanup::last_resort`], over which
    /// this one wins.
    pub fn last_resort<F, O>(mut self, f: F) -> Self
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        self.extra().last_resort = Some(work(f));
        self
    }

    /// When a drop of the guard cleans: [`Always`], [`OnUnwind`](crate::OnUnwind), [`OnSuccess`](crate::OnSuccess),
    /// or one of your own. Asked by a drop alone, and for a refused registration.
    pub fn strategy<N: Strategy>(self) -> Registration<'m, N> {
        let Registration { node, label, created_at, category, priority, extra, needs, .. } = self;
        Registration { node, label, created_at, category, priority, extra, needs, strategy: PhantomData }
    }

    /// Whether this would be registered now. Another thread may still change that before it is.
    ///
    /// # Errors
    /// What stands in the way.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("check");
    /// assert!(manager.resource("").check().is_err());
    /// assert!(manager.resource("pool").check().is_ok());
    /// ```
    pub fn check(&self) -> Result<(), RegisterError> {
        let name = self.extra.as_ref().and_then(|extra| extra.name.as_ref());
        registry().check(self.node, &self.label, name, &self.needs)
    }

    /// Registers a cleanup without a value.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then.
    #[inline]
    #[track_caller]
    pub fn guard<F, O>(self, cleanup: F) -> Result<ResourceGuard<(), S>, RegisterError>
    where
        F: FnOnce() -> O + Send + 'static,
        O: Outcome,
    {
        self.finish((), work(cleanup))
    }

    /// Registers a cleanup that awaits. It runs on castoff's own runtime thread, whichever way it begins.
    ///
    /// # Errors
    /// As [`guard`](Self::guard).
    ///
    /// # Examples
    /// ```
    /// use castoff::{Category, ResourceManager};
    ///
    /// let manager = ResourceManager::new("async");
    /// let socket = manager.resource("socket").category(Category::Network).guard_async(|| async { castoff::done() })?;
    /// drop(socket);
    /// assert_eq!(manager.stats().cleaned, 1);
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    #[cfg(feature = "tokio")]
    #[track_caller]
    pub fn guard_async<F, Fut>(self, cleanup: F) -> Result<ResourceGuard<(), S>, RegisterError>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        self.finish((), async_work(cleanup))
    }

    /// Registers a value with a cleanup that awaits: the closure gets the value, which the guard and the cleanup
    /// share.
    ///
    /// # Errors
    /// As [`guard`](Self::guard).
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use castoff::{ResourceGuard, ResourceManager};
    /// use tokio::sync::Semaphore;
    ///
    /// let manager = ResourceManager::new("async");
    /// let permits = manager.resource("permits").guard_value_async(Semaphore::new(3), |permits| async move {
    ///     let all = permits.acquire_many(3).await?;
    ///     drop(all);
    ///     permits.close();
    ///     castoff::done()
    /// })?;
    /// let one = permits.acquire().await?;
    /// drop(one);
    /// ResourceGuard::close_async(permits).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })
    /// # .map_err(|error| error.to_string())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tokio")]
    #[track_caller]
    pub fn guard_value_async<T, F, Fut>(
        self,
        value: T,
        cleanup: F,
    ) -> Result<ResourceGuard<Arc<T>, S>, RegisterError>
    where
        T: Send + Sync + 'static,
        F: FnOnce(Arc<T>) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        let value = Arc::new(value);
        let shared = value.clone();
        self.finish(value, async_work(move || cleanup(shared)))
    }

    /// Registers a value that the guard and the cleanup share.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then.
    #[track_caller]
    pub fn guard_value<T, F, O>(self, value: T, cleanup: F) -> Result<ResourceGuard<Arc<T>, S>, RegisterError>
    where
        T: Send + Sync + 'static,
        F: FnOnce(&T) -> O + Send + 'static,
        O: Outcome,
    {
        let value = Arc::new(value);
        let shared = value.clone();
        self.finish(value, work(move || cleanup(&shared)))
    }

    /// Registers a cleanup that is told why it runs and how long it has.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then.
    #[track_caller]
    pub fn guard_with_context<F, O>(self, cleanup: F) -> Result<ResourceGuard<(), S>, RegisterError>
    where
        F: FnOnce(&CleanupContext) -> O + Send + 'static,
        O: Outcome,
    {
        self.finish((), work_with_context(cleanup))
    }

    /// Registers any cleanup, without a value.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then.
    #[track_caller]
    pub fn with_cleanup(self, cleanup: Cleanup) -> Result<ResourceGuard<(), S>, RegisterError> {
        self.keep((), cleanup)
    }

    /// Registers a value that the guard owns alone, so that `&mut` through the guard reaches it; the cleanup brings
    /// its own handle. For what can't be shared: a child process, a join handle, a receiver.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then, and the value was dropped after it.
    #[track_caller]
    pub fn keep<T: Send + 'static>(
        mut self,
        value: T,
        cleanup: Cleanup,
    ) -> Result<ResourceGuard<T, S>, RegisterError> {
        if let Some(force) = cleanup.last_resort {
            self.extra().last_resort.get_or_insert(force);
        }
        self.finish(value, cleanup.graceful)
    }

    /// Registers a value that knows its own cleanup. Its category is the resource's, unless set.
    ///
    /// # Errors
    /// What stands in the way; the cleanup has run then, and the value was dropped after it.
    #[track_caller]
    pub fn adopt<R: Resource>(mut self, mut resource: R) -> Result<ResourceGuard<R, S>, RegisterError> {
        self.category.get_or_insert(R::CATEGORY);
        let cleanup = resource.cleanup();
        self.keep(resource, cleanup)
    }

    #[inline(always)] // as what it hands on: see `register_plain`
    fn finish<T: Send + 'static>(self, value: T, work: Work) -> Result<ResourceGuard<T, S>, RegisterError> {
        // Taken apart, and put together only where it has to lie in memory.
        let Registration { node, label, created_at, category, priority, extra, needs, strategy } = self;
        let plain = if extra.is_none() && needs.is_empty() {
            plain(node, &label, created_at, category, priority)
        } else {
            None
        };
        let id = match plain {
            Some(plain) => seen_in(node, register_plain(node, plain, work))
                .map_err(|refused| refuse_with::<S>(node, refused))?,
            // Refused, the value, a parameter, is dropped after the cleanup has run.
            None => Registration { node, label, created_at, category, priority, extra, needs, strategy }
                .ask(work)?,
        };
        Ok(ResourceGuard::new(value, id))
    }

    /// Where there is more to it, or it may be refused: then its cleanup has run.
    #[inline(never)]
    fn ask(self, work: Work) -> Result<ResourceId, RegisterError> {
        let (node, needs) = (self.node, self.needs);
        let draft = draft(node, self.label, self.created_at, self.category, self.priority, self.extra, work);
        register(node, draft, needs).map_err(|refused| refuse_with::<S>(node, refused))
    }
}

impl<S: Strategy> fmt::Debug for Registration<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("label", &self.label)
            .field("manager", &self.node.name)
            .field("created_at", &self.created_at.to_string())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}
