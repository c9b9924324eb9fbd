//! What `#[castoff::test]` expands to: the same test, with arguments. Not for use by hand; it may change at any time.

use std::panic::{Location, resume_unwind};
use std::process::{ExitCode, Termination};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::cleanup::CleanupReason;
use crate::config::LeakSeverity;
use crate::error::ExitHookError;
use crate::exit::ExitOptions;
use crate::id::Label;
use crate::manager::ResourceManager;
use crate::report::text;
use crate::runtime::helper;
use crate::teardown::shutdown_within;
use crate::testing::alone;
use crate::testing::trial::Trial;
use crate::testing::verdict::{Findings, fail, say};
use crate::testing::window::Window;

/// Resources that are named before the rest is only counted.
const NAMED: usize = 20;
/// What the teardown of a test has that was given up: a tenth of the deadline, and at least this.
const RESERVE: Duration = Duration::from_millis(100);

/// A test with arguments.
#[derive(Debug)]
pub struct Attribute {
    name: &'static str,
    site: &'static Location<'static>,
    terms: Terms,
    deadline: Option<Duration>,
    #[cfg(feature = "tokio")]
    workers: Workers,
}

/// What follows from a failure.
#[derive(Clone, Copy, Default, Debug)]
struct Terms {
    leaks: Option<LeakSeverity>,
    keep_on_failure: bool,
    should_panic: bool,
    footprint: bool,
}

#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug)]
enum Workers {
    /// The test's own thread alone.
    None,
    /// As many as there are processors.
    Usual,
    These(usize),
}

/// A body that has ended, and what was found then.
struct Judged {
    ended: thread::Result<ExitCode>,
    failed: bool,
    end: End,
}

enum End {
    Torn(Findings),
    Kept(String),
}

impl Attribute {
    /// By its whole path, of which the crate is the first part.
    #[track_caller]
    pub fn new(path: &'static str) -> Attribute {
        Attribute {
            name: path.split_once("::").map_or(path, |(_, name)| name),
            site: Location::caller(),
            terms: Terms::default(),
            deadline: None,
            #[cfg(feature = "tokio")]
            workers: Workers::None,
        }
    }

    /// `leaks = ".."`
    pub fn leaks(mut self, severity: LeakSeverity) -> Attribute {
        self.terms.leaks = Some(severity);
        self
    }

    /// `keep_on_failure`
    pub fn keep_on_failure(mut self) -> Attribute {
        self.terms.keep_on_failure = true;
        self
    }

    /// `footprint`
    pub fn footprint(mut self) -> Attribute {
        self.terms.footprint = true;
        self
    }

    /// `exit_hooks`: from now on a signal tears down, this test and all others of the process. They may be there already,
    /// by another test.
    pub fn exit_hooks(self) -> Attribute {
        match ResourceManager::global().install_exit_hooks(ExitOptions::default()) {
            Ok(hooks) => hooks.forget(),
            Err(ExitHookError::AlreadyInstalled) => {}
            Err(error) => say(&format!("the test `{}` has no exit hooks: {error}", self.name)),
        }
        self
    }

    /// `#[should_panic]` stands beside it.
    pub fn should_panic(mut self) -> Attribute {
        self.terms.should_panic = true;
        self
    }

    /// `deadline = ".."`
    pub fn deadline(mut self, milliseconds: u64) -> Attribute {
        self.deadline = Some(Duration::from_millis(milliseconds));
        self
    }

    /// `flavor = "multi_thread"`; zero for as many workers as there are processors.
    #[cfg(feature = "tokio")]
    pub fn multi_thread(mut self, workers: usize) -> Attribute {
        self.workers = if workers == 0 { Workers::Usual } else { Workers::These(workers) };
        self
    }

    /// Runs a test that blocks.
    ///
    /// # Panics
    /// As [`scope`](crate::testing::scope), and past the deadline.
    #[track_caller]
    pub fn run<R: Termination>(self, body: impl FnOnce(&ResourceManager) -> R + Send + 'static) -> ExitCode {
        let terms = self.terms;
        self.watched(move |trial| {
            let window = terms.window();
            let (trial, ended) = trial.run(|manager| body(manager).report());
            let failed = terms.is_failure(&ended);
            Judged { ended, failed, end: terms.end(failed, trial) }.and(window)
        })
    }

    /// Runs a test that awaits, on a runtime of its own.
    ///
    /// # Panics
    /// As [`run`](Attribute::run), and where the system refuses a runtime.
    #[cfg(feature = "tokio")]
    #[track_caller]
    pub fn run_async<R, Fut>(self, body: impl FnOnce(ResourceManager) -> Fut + Send + 'static) -> ExitCode
    where
        R: Termination,
        Fut: Future<Output = R>,
    {
        let (terms, workers) = (self.terms, self.workers);
        self.watched(move |trial| {
            let made =
                || workers.runtime().unwrap_or_else(|error| panic!("the test has no runtime: {error}"));
            if terms.footprint {
                // The first of a process leaves things behind that are the process's.
                drop(made());
            }
            let window = terms.window();
            let runtime = made();
            let judged = runtime.block_on(terms.run_async(trial, body));
            // What its tasks hold is dropped with it.
            drop(runtime);
            judged.and(window)
        })
    }

    /// Runs a test that awaits on the runtime that another attribute has made.
    ///
    /// # Panics
    /// As [`async_scope`](crate::testing::async_scope).
    #[cfg(feature = "tokio")]
    pub async fn run_here<R, Fut>(self, body: impl FnOnce(ResourceManager) -> Fut) -> ExitCode
    where
        R: Termination,
        Fut: Future<Output = R>,
    {
        let (trial, terms) = (self.begin(), self.terms);
        terms.run_async(trial, body).await.verdict(terms)
    }

    /// What libtest calls it: a case of a fixture's has more to its name than its function.
    fn test(&self) -> String {
        let thread = thread::current();
        thread.name().filter(|name| *name != "main").unwrap_or(self.name).to_owned()
    }

    fn begin(&self) -> Trial {
        let Terms { leaks, keep_on_failure, .. } = self.terms;
        Trial::begin(Label::from(self.name), self.site, leaks, keep_on_failure)
    }

    /// Runs it here; with a deadline on a thread of the same name, which is left behind when that has passed.
    #[track_caller]
    fn watched(self, run: impl FnOnce(Trial) -> Judged + Send + 'static) -> ExitCode {
        if self.terms.footprint && !alone::is_alone(&self.test()) {
            return match alone::run(&self.test()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(message) => fail(None, &message),
            };
        }
        let (trial, terms) = (self.begin(), self.terms);
        let Some(deadline) = self.deadline else { return run(trial).verdict(terms) };
        let manager = trial.manager.clone();
        let (tell, told) = mpsc::channel();
        let name = thread::current().name().unwrap_or("test").to_owned();
        let there = move || drop(tell.send(run(trial)));
        let thread = thread::Builder::new()
            .name(name)
            .spawn(there)
            .unwrap_or_else(|error| panic!("the test has no thread to be watched on: {error}"));
        match told.recv_timeout(deadline) {
            Ok(judged) => judged.verdict(terms),
            Err(RecvTimeoutError::Timeout) => terms.give_up(&manager, deadline),
            // It panicked outside of the body: where no runtime was to be had.
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(payload) => resume_unwind(payload),
                Ok(()) => fail(terms.instead(), "the test ended without a verdict"),
            },
        }
    }
}

impl Judged {
    /// With what came to the process and stayed.
    fn and(self, window: Option<Window>) -> Judged {
        let end = match self.end {
            End::Torn(findings) => match window.and_then(Window::close) {
                Some(fault) => End::Torn(findings.and(fault)),
                None => End::Torn(findings),
            },
            kept => kept,
        };
        Judged { end, ..self }
    }

    #[track_caller]
    fn verdict(self, terms: Terms) -> ExitCode {
        match self.end {
            End::Torn(findings) => findings.judge(self.ended, self.failed, terms.instead()),
            End::Kept(text) => {
                say(&text);
                self.ended.unwrap_or_else(|payload| resume_unwind(payload))
            }
        }
    }
}

impl Terms {
    fn window(self) -> Option<Window> {
        self.footprint.then(Window::open)
    }

    /// For a test that should panic, no panic is a way to fail: libtest fails it if it returns.
    fn instead(self) -> Option<ExitCode> {
        self.should_panic.then_some(ExitCode::SUCCESS)
    }

    fn is_failure(self, ended: &thread::Result<ExitCode>) -> bool {
        match ended {
            Ok(code) => *code != ExitCode::SUCCESS,
            Err(_) => !self.should_panic,
        }
    }

    fn end(self, failed: bool, trial: Trial) -> End {
        if failed && self.keep_on_failure { End::Kept(keep(trial)) } else { End::Torn(trial.findings()) }
    }

    #[cfg(feature = "tokio")]
    async fn run_async<R, Fut>(self, trial: Trial, body: impl FnOnce(ResourceManager) -> Fut) -> Judged
    where
        R: Termination,
        Fut: Future<Output = R>,
    {
        let (trial, ended) = trial.run_async(|manager| async { body(manager).await.report() }).await;
        let failed = self.is_failure(&ended);
        let end = if failed && self.keep_on_failure {
            End::Kept(keep(trial))
        } else {
            End::Torn(trial.findings_async().await)
        };
        Judged { ended, failed, end }
    }

    /// Fails a test that hangs, with what is live, and tears that down on yet another thread.
    #[track_caller]
    fn give_up(self, manager: &ResourceManager, deadline: Duration) -> ExitCode {
        let mut message = format!(
            "the test had not ended after its deadline of {}; {}",
            text::duration(deadline),
            live(manager, "live")
        );
        if !self.keep_on_failure {
            let reserve = (deadline / 10).max(RESERVE);
            let (node, (tell, told)) = (manager.node().clone(), mpsc::channel());
            let end = move || drop(tell.send(shutdown_within(&node, CleanupReason::ScopeEnded, reserve)));
            // Where no thread is to be had the end of the process cleans it.
            let report = helper("castoff-test", end).ok().and_then(|()| told.recv_timeout(reserve * 2).ok());
            if let Some(report) = report.filter(|report| !report.is_success()) {
                message.push('\n');
                message.push_str(&report.to_string());
            }
        }
        fail(self.instead(), &message)
    }
}

/// Leaves everything that is live alone, and says what that is.
fn keep(mut trial: Trial) -> String {
    trial.over = true;
    live(&trial.manager, "kept, as the test asked")
}

/// What is live: "2 resources are kept:", and a line for each.
fn live(manager: &ResourceManager, how: &str) -> String {
    let live = manager.resources();
    let line = |label: &str, site: &Location<'_>, thread: &str| {
        format!("\n  `{}` (made at {site} by {})", text::label(label), text::plain(thread))
    };
    let named = live.iter().take(NAMED).map(|info| line(&info.label, info.created_at, &info.thread));
    let named: String = named.collect();
    let more = match live.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    match live.len() {
        0 => format!("nothing is {how}"),
        1 => format!("1 resource is {how}:{named}"),
        count => format!("{count} resources are {how}:{named}{more}"),
    }
}

#[cfg(feature = "tokio")]
impl Workers {
    fn runtime(self) -> std::io::Result<tokio::runtime::Runtime> {
        use tokio::runtime::Builder;
        match self {
            Workers::None => Builder::new_current_thread().enable_all().build(),
            Workers::Usual => Builder::new_multi_thread().enable_all().build(),
            Workers::These(count) => Builder::new_multi_thread().worker_threads(count).enable_all().build(),
        }
    }
}
