//! What the tests of a process share: [`Shared`], made on first use and cleaned when the process ends.
//!
//! In comes a recipe (how it is made, how it is cleaned) in a `static`; out goes a reference to the thing. `recipe`
//! forgets the types of the closures, `making` knows who is being made and who needs whom, `error` says what went
//! wrong.
//!
//! 1. A recipe is followed once in a process, whoever asks: others wait, and a failure is remembered.
//! 2. What is shared is in a tree of managers of its own, which ends after the global one. So it is in no test's way:
//!    no test owns it, no test's leak check or teardown sees it, and all that uses it is cleaned before it.
//! 3. Among themselves the order is who needs whom: that is known from who asked for whom while it was being made.
//! 4. A recipe that awaits runs on a runtime of castoff's own, which ends with the process.

mod error;
mod making;
mod recipe;
#[cfg(feature = "tokio")]
mod runtime;

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use self::error::SharedError;
pub use self::recipe::Made;

use crate::cleanup::{CleanupReason, Outcome};
use crate::error::RegisterError;
use crate::exit::is_ending;
use crate::guard::ResourceGuard;
use crate::id::{Label, ResourceId};
use crate::manager::{Entered, ResourceManager};
use crate::registration::Registration;
use crate::resource::Category;
use crate::teardown::shutdown;
use crate::testing::shared::error::Cause;
use crate::testing::shared::making::{Making, needed, used};
use crate::testing::shared::recipe::Recipe;
use crate::testing::thread_name;
use crate::testing::verdict::say;
#[cfg(feature = "macros")]
use crate::testing::window::for_the_process;
use crate::unwind::contain;

/// Something that the tests of a process share: made by the first that asks for it, cleaned when the process ends.
///
/// For what is too slow to be made for each test: a database server, a container, a compiled schema. It stands in a
/// `static`, and is used as what it holds. `new` takes the closures by reference, as a `static` has no room for them.
///
/// - It is **made once**, however many threads ask at once; the others wait. Under `cargo nextest`, where each test is a
///   process, that is once for each test that asks.
/// - If it **can't be made**, by an error or a panic, everybody who asks is told so, and why; it is not tried again. What
///   the attempt had registered is cleaned at once.
/// - It is **cleaned once**, when the process ends by the return of `main` or by [`std::process::exit`], which is how a
///   test binary ends, whether its tests pass or fail; by a signal, where [exit hooks](ResourceManager::install_exit_hooks)
///   are installed. That is after all that the tests have left, and after the global manager's resources. The value itself
///   is not dropped then: other threads may still hold references.
/// - One whose making asks for **another one** is cleaned before it.
/// - It is **nobody's leak**: neither of the test that was the first to ask, nor at the end of the process. The manager
///   that is [current](ResourceManager::current) while it is made is its own, so what the making registers through that is
///   kept as long, and cleaned after it.
///
/// As a local, or in a value that is dropped, it is cleaned by that drop.
///
/// # Examples
/// ```
/// use castoff::testing::Shared;
/// use castoff::Category;
///
/// struct Server {
///     port: u16,
/// }
///
/// impl Server {
///     fn start() -> Result<Server, std::io::Error> {
///         Ok(Server { port: 5432 })
///     }
///
///     fn stop(&self) {}
/// }
///
/// static SERVER: Shared<Server> =
///     Shared::new("database server", &Server::start, &Server::stop).category(Category::Database);
///
/// // In any test, on any thread:
/// assert_eq!(SERVER.port, 5432);
/// ```
pub struct Shared<T: 'static> {
    label: &'static str,
    created_at: &'static Location<'static>,
    recipe: Recipe<T>,
    category: Category,
    timeout: Option<Duration>,
    made: OnceLock<Result<ResourceGuard<Arc<T>>, SharedError>>,
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// How it is called, how it is made, and how it is cleaned. The making returns the thing, or a `Result` of it; the
    /// cleanup what any [cleanup](Outcome) may.
    ///
    /// The making runs on the thread that asks first. Where that is asynchronous code, ask by
    /// [`get_async`](Self::get_async), which makes it on another thread.
    #[track_caller]
    pub const fn new<M, R, C, O>(label: &'static str, make: &'static M, clean: &'static C) -> Shared<T>
    where
        M: Fn() -> R + Sync,
        R: Made<T>,
        C: Fn(&T) -> O + Sync,
        O: Outcome,
    {
        Shared::of(label, Recipe::Blocking { make, clean }, Location::caller())
    }

    /// The same with a making and a cleanup that await.
    ///
    /// A test's runtime ends with the test, and takes with it what was made on it: sockets, timers and tasks. So the
    /// making runs on a runtime of castoff's own, which has one thread and lives as long as the process; what it spawns
    /// goes on there. The thing can then be used from the runtimes of many tests: what waits on it is woken across
    /// runtimes. What can't be shared is what each test makes with it on its own runtime: a connection that a pool opens
    /// in one test is of that test's runtime, and dead when the next one is handed it. Share the address and open a
    /// pool for each test, or a pool whose connections are all opened in the making.
    ///
    /// The cleanup is handed an `Arc` of it, and runs on castoff's runtime for cleanups.
    ///
    /// # Examples
    /// ```
    /// use castoff::testing::Shared;
    /// use std::io::Result;
    /// use tokio::net::TcpListener;
    ///
    /// struct Echo(std::net::SocketAddr);
    ///
    /// async fn start() -> Result<Echo> {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let address = listener.local_addr()?;
    ///     tokio::spawn(async move { while listener.accept().await.is_ok() {} }); // as long as the process
    ///     Ok(Echo(address))
    /// }
    ///
    /// static ECHO: Shared<Echo> = Shared::new_async("echo server", &start, &async |_| castoff::done());
    ///
    /// # fn runtime() -> Result<tokio::runtime::Runtime> { tokio::runtime::Builder::new_current_thread().enable_all().build() }
    /// // In one test, and in another, each with its own runtime:
    /// for _ in 0..2 {
    ///     runtime()?.block_on(async {
    ///         let echo = ECHO.get_async().await;
    ///         tokio::net::TcpStream::connect(echo.0).await.map(drop)
    ///     })?;
    /// }
    /// # Result::Ok(())
    /// ```
    #[cfg(feature = "tokio")]
    #[track_caller]
    pub const fn new_async<M, F, R, C, G>(
        label: &'static str,
        make: &'static M,
        clean: &'static C,
    ) -> Shared<T>
    where
        M: Fn() -> F + Sync,
        F: Future<Output = R>,
        R: Made<T>,
        C: Fn(Arc<T>) -> G + Sync,
        G: Future + Send + 'static,
        G::Output: Outcome,
    {
        Shared::of(label, Recipe::Awaiting { make, clean }, Location::caller())
    }

    const fn of(label: &'static str, recipe: Recipe<T>, created_at: &'static Location<'static>) -> Shared<T> {
        let category = Category::Event;
        Shared { label, created_at, recipe, category, timeout: None, made: OnceLock::new() }
    }

    /// What kind of thing it is, which decides how long its cleanup may take. `Event`, which is 5 s, unless set.
    pub const fn category(mut self, category: Category) -> Shared<T> {
        self.category = category;
        self
    }

    /// How long its cleanup may take: its category's default unless set. All of what ends with the process has to do so
    /// within the global manager's [`shutdown_deadline`](crate::ManagerConfig::shutdown_deadline) (10 s).
    pub const fn timeout(mut self, limit: Duration) -> Shared<T> {
        self.timeout = Some(limit);
        self
    }

    /// The thing; the first call makes it. Going through the `static` as if it were the thing does the same.
    ///
    /// # Panics
    /// When it can't be made: with the [error](SharedError) of the one attempt.
    #[track_caller]
    pub fn get(&self) -> &T {
        match self.try_get() {
            Ok(thing) => thing,
            Err(error) => panic!("{error}"),
        }
    }

    /// The thing, or why there is none.
    ///
    /// # Errors
    /// When the making failed or panicked, be it now or when somebody else asked first; or it asks for this very thing.
    ///
    /// # Examples
    /// ```
    /// use castoff::testing::{Shared, SharedError};
    ///
    /// static SERVER: Shared<u16> = Shared::new("server", &|| "no port".parse::<u16>(), &|_| ());
    ///
    /// let Err(error) = SERVER.try_get() else { panic!("that is no port") };
    /// assert!(matches!(error, SharedError::Failed { .. }));
    /// assert!(error.to_string().contains("`server`") && error.to_string().contains("invalid digit"));
    /// ```
    pub fn try_get(&self) -> Result<&T, SharedError> {
        self.ask(thread_name)
    }

    /// The thing, without blocking the thread that awaits: whatever makes it runs on a thread of its own.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Dropped half-way, the making goes on, for whoever asks next.
    #[cfg(feature = "tokio")]
    pub async fn get_async(&'static self) -> &'static T {
        self.try_get_async().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The thing, or why there is none, without blocking the thread that awaits.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    ///
    /// # Cancel safety
    /// As [`get_async`](Self::get_async).
    #[cfg(feature = "tokio")]
    pub async fn try_get_async(&'static self) -> Result<&'static T, SharedError> {
        if self.made.get().is_none() {
            let by = thread_name();
            // An error is told by the question below, to everybody alike; but for a circle, of which nothing is kept.
            runtime::aside(move || self.ask(|| by).map(drop)).await?;
        }
        self.try_get()
    }

    fn ask(&self, by: impl FnOnce() -> Label) -> Result<&T, SharedError> {
        let made = match self.made.get() {
            Some(made) => made,
            None => {
                needed(self.key(), self.label)
                    .map_err(|path| self.error(by_nobody(), Cause::Circle(path)))?;
                self.made.get_or_init(|| self.make(by()))
            }
        };
        let guard = made.as_ref().map_err(SharedError::clone)?;
        used(guard.into());
        Ok(guard)
    }

    /// The one attempt.
    fn make(&self, by: Label) -> Result<ResourceGuard<Arc<T>>, SharedError> {
        let manager = ResourceManager::shared().child_at(self.label.into(), self.created_at);
        // After the manager is there: what ends the process looks for that after it has said so.
        if is_ending() {
            return Err(self.error(by, Cause::Failed("the process is ending".into())));
        }
        let making = Making::begin(self.key(), self.label, &manager);
        let made = {
            let _entered = Entered::enter(&manager);
            #[cfg(feature = "macros")]
            let made = for_the_process(|| self.recipe.make(&manager));
            // Nobody can ask for footprints.
            #[cfg(not(feature = "macros"))]
            let made = self.recipe.make(&manager);
            made
        };
        let needs = making.end();
        let cause = match made {
            Ok(value) => match self.register(&manager, value, needs) {
                Ok(guard) => return Ok(guard),
                Err(error) => Cause::Failed(Box::new(error)),
            },
            Err(cause) => cause,
        };
        // What it has made before it failed.
        let report = shutdown(manager.node(), CleanupReason::ScopeEnded);
        if !report.is_success() {
            contain(|| say(&report.to_string()));
        }
        contain(move || drop(report));
        Err(self.error(by, cause))
    }

    fn register(
        &self,
        manager: &ResourceManager,
        value: T,
        needs: Vec<ResourceId>,
    ) -> Result<ResourceGuard<Arc<T>>, RegisterError> {
        let value = Arc::new(value);
        let cleanup = self.recipe.cleanup(value.clone());
        let resource = Registration::new(manager.node(), self.label.into(), self.created_at);
        let resource = resource.category(self.category).long_lived().depends_on_all(needs);
        match self.timeout {
            Some(limit) => resource.timeout(limit).keep(value, cleanup),
            None => resource.keep(value, cleanup),
        }
    }

    fn error(&self, by: Label, cause: Cause) -> SharedError {
        SharedError::new(self.label, self.created_at, by, cause)
    }

    /// Which one it is, while somebody holds it.
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// A circle is nobody's attempt.
fn by_nobody() -> Label {
    Label::from("")
}

impl<T: Send + Sync + 'static> Deref for Shared<T> {
    type Target = T;

    /// As [`get`](Shared::get).
    #[track_caller]
    fn deref(&self) -> &T {
        self.get()
    }
}

/// Says which, and how far it is: nothing of the thing, which need not be `Debug`.
impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.made.get() {
            None => "not made",
            Some(Ok(_)) => "made",
            Some(Err(_)) => "failed",
        };
        f.debug_struct("Shared").field("label", &self.label).field("state", &state).finish_non_exhaustive()
    }
}
