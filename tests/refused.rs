//! Threads and runtimes that the system refuses: cleanups run all the same, on the thread that asked, and who listens is told
//! before each that has no limit there.
//!
//! A seccomp filter refuses a kind of call to one thread, and to those that it starts: nothing has to be used up for it, and
//! no other thread feels it. A process of its own all the same: a helper thread that another test has left idle would do.
#![cfg(all(target_os = "linux", feature = "tokio"))]
#![allow(unsafe_code)] // `prctl`, to install the filter.

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use castoff::{
    CleanupErrorKind, DumpError, ExitHookError, ExitOptions, ManagerConfig, ResourceEvent, ResourceGuard,
    ResourceManager, Subscription, dump_on,
};
use tokio::runtime::{Builder, Runtime};

const LIMIT: Duration = Duration::from_secs(60);

/// What starts a thread, and what a runtime waits by.
const THREADS: [libc::c_long; 2] = [libc::SYS_clone3, libc::SYS_clone];
const RUNTIMES: [libc::c_long; 1] = [libc::SYS_epoll_create1];

/// From now on these calls fail with this error, on this thread and on those that it starts, for as long as they live.
fn refuse(calls: &[libc::c_long], error: i32) {
    let step = |code: u32, jump_if_not: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_if_not,
        k,
    };
    // The call's number is the first word of what a filter sees.
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for call in calls {
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, *call as u32));
        filter.push(step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes numbers; a thread that gains no rights any more may filter its own calls.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its steps live until the call returns, which copies them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "no filter can be installed: {}", io::Error::last_os_error());
}

fn refuse_threads() {
    refuse(&THREADS, libc::EAGAIN);
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "there is a thread after all");
}

/// Runs `body` on a thread of its own while no thread of castoff's is there, and fails if it has not ended in time.
fn alone(body: impl FnOnce() + Send + 'static) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = lock(&TURN);
    let start = Instant::now();
    while is_castoffs_there() {
        assert!(start.elapsed() < LIMIT, "a thread of castoff's never ends");
        thread::sleep(Duration::from_millis(10));
    }
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        body();
        tell.send(()).unwrap_or(());
    });
    if told.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("not done after {LIMIT:?}");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn is_castoffs_there() -> bool {
    tasks("comm").iter().any(|name| name.starts_with("castoff-"))
}

/// This file of each thread.
fn tasks(file: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is there on Linux").flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join(file)).ok()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A manager, what was told of its resources, and which steps ran on which thread.
struct World {
    manager: ResourceManager,
    told: Arc<Mutex<Vec<String>>>,
    ran: Arc<Mutex<Vec<(&'static str, ThreadId)>>>,
    _subscription: Subscription,
}

impl World {
    fn new() -> World {
        let manager = ResourceManager::isolated("test", ManagerConfig::default());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = told.clone();
        let subscription = manager.subscribe(move |event| {
            let word = match event {
                ResourceEvent::Unwatched { .. } => "unwatched",
                ResourceEvent::Cleaned { .. } => "cleaned",
                ResourceEvent::CleanupFailed { .. } => "failed",
                _ => return,
            };
            let of = event.label().filter(|_| event.id().is_some());
            lock(&hears).push(format!("{word} {}", of.map_or("nothing", |label| &**label)));
        });
        World { manager, told, ran: Arc::default(), _subscription: subscription }
    }

    /// A step that notes that it ran, and where.
    fn step(&self, name: &'static str) -> impl FnOnce() + Send + 'static + use<> {
        let ran = self.ran.clone();
        move || lock(&ran).push((name, thread::current().id()))
    }

    fn failing(
        &self,
        name: &'static str,
    ) -> impl FnOnce() -> Result<(), &'static str> + Send + 'static + use<> {
        let step = self.step(name);
        move || {
            step();
            Err("no disk")
        }
    }

    /// These and no others have been told since the last time.
    #[track_caller]
    fn assert_told(&self, words: &[&str]) {
        assert_eq!(std::mem::take(&mut *lock(&self.told)), words);
    }

    /// These and no others have run since the last time, all of them here.
    #[track_caller]
    fn assert_ran_here(&self, steps: &[&'static str]) {
        let here = thread::current().id();
        let expected: Vec<_> = steps.iter().map(|step| (*step, here)).collect();
        assert_eq!(std::mem::take(&mut *lock(&self.ran)), expected);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("it needs no thread")
}

/// The system's own error that a cleanup failed with.
#[track_caller]
fn refusal_of(kind: &CleanupErrorKind) -> Option<i32> {
    let CleanupErrorKind::Failed(cause) = kind else { panic!("it did not fail: {kind}") };
    cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error)
}

#[test]
fn a_close_that_is_awaited_runs_on_the_thread_that_awaits_and_is_told_once() {
    alone(|| {
        let (world, runtime) = (World::new(), runtime());
        refuse_threads();
        runtime.block_on(async {
            let plain = world.manager.guard("plain", world.step("plain"));
            assert!(ResourceGuard::close_async(plain).await.is_ok());
            world.assert_told(&["unwatched plain", "cleaned plain"]);
            let limited = world.manager.resource("limited").timeout(LIMIT).guard(world.step("limited"));
            assert!(ResourceGuard::close_async(limited.expect("nothing refuses it")).await.is_ok());
            world.assert_told(&["unwatched limited", "cleaned limited"]);
            world.assert_ran_here(&["plain", "limited"]);
        });
    });
}

#[test]
fn an_asynchronous_cleanup_fails_where_only_a_runtimes_own_thread_is_left_and_its_last_resort_runs() {
    alone(|| {
        let (world, runtime) = (World::new(), runtime());
        refuse_threads();
        let awaiting = || async { panic!("it can't run here") };
        runtime.block_on(async {
            let error = ResourceGuard::close_async(world.manager.guard_async("awaited", awaiting)).await;
            assert_eq!(refusal_of(&error.expect_err("there is no thread").kind), Some(libc::EAGAIN));
            world.assert_told(&["failed awaited"]);
            let forced = world.manager.resource("forced").last_resort(world.step("force"));
            let error =
                ResourceGuard::close_async(forced.guard_async(awaiting).expect("nothing refuses it")).await;
            assert_eq!(refusal_of(&error.expect_err("there is no thread").kind), Some(libc::EAGAIN));
            world.assert_told(&["unwatched forced", "failed forced"]);
            // As by a drop, which hands it over.
            drop(world.manager.guard_async("dropped", awaiting));
            world.manager.settle_async().await;
            world.assert_told(&["failed dropped"]);
            // Closed without awaiting it would be driven on this thread, which is a runtime's.
            let error = ResourceGuard::close(world.manager.guard_async("closed", awaiting));
            let message = error.expect_err("there is no thread").to_string();
            assert!(message.contains("this one is a runtime's own"), "{message}");
            world.assert_told(&["unwatched closed", "failed closed"]);
        });
        world.assert_ran_here(&["force"]);
    });
}

#[test]
fn outside_of_a_runtime_an_asynchronous_cleanup_is_awaited_on_the_thread_that_asked() {
    alone(|| {
        let world = World::new();
        refuse_threads();
        let sleep = |time| tokio::time::sleep(Duration::from_millis(time));
        let step = world.step("fine");
        let fine = world.manager.resource("fine").timeout(LIMIT).guard_async(move || async move {
            sleep(1).await;
            step();
        });
        assert!(ResourceGuard::close(fine.expect("nothing refuses it")).is_ok());
        let step = world.step("for ever");
        let endless =
            world.manager.resource("for ever").timeout(Duration::MAX).guard_async(move || async move {
                sleep(1).await;
                step();
            });
        assert!(ResourceGuard::close(endless.expect("nothing refuses it")).is_ok());
        world.assert_told(&["unwatched fine", "cleaned fine", "unwatched for ever", "cleaned for ever"]);
        world.assert_ran_here(&["fine", "for ever"]);

        let failing = ResourceGuard::close(world.manager.guard_async("failing", || async { Err("no disk") }));
        assert!(failing.expect_err("it fails").to_string().ends_with("failed: no disk"));
        let panics =
            ResourceGuard::close(world.manager.guard_async("panics", || async { panic!("on purpose") }));
        assert!(panics.expect_err("it panics").to_string().ends_with("panicked: on purpose"));
        let stuck = world.manager.resource("stuck").timeout(Duration::from_millis(20));
        let stuck =
            ResourceGuard::close(stuck.guard_async(std::future::pending::<()>).expect("nothing refuses it"));
        assert!(matches!(stuck.expect_err("it hangs").kind, CleanupErrorKind::TimedOut(_)));
    });
}

#[test]
fn a_last_resort_without_a_thread_is_told_as_the_step_before_it() {
    alone(|| {
        let world = World::new();
        refuse_threads();
        let forced = |label: &'static str| {
            let resource = world.manager.resource(label).timeout(LIMIT).last_resort(world.step("force"));
            resource.guard(world.failing("graceful")).expect("nothing refuses it")
        };
        drop(forced("dropped"));
        world.assert_told(&["unwatched dropped", "unwatched dropped", "failed dropped"]);
        world.assert_ran_here(&["graceful", "force"]);
        assert!(ResourceGuard::close(forced("closed")).is_err());
        world.assert_told(&["unwatched closed", "unwatched closed", "failed closed"]);
        world.assert_ran_here(&["graceful", "force"]);
        let _torn_down = forced("torn down");
        let report = world.manager.cleanup();
        world.assert_told(&["unwatched torn down", "unwatched torn down", "failed torn down"]);
        world.assert_ran_here(&["graceful", "force"]);
        let note = report.timeline()[0].note.as_deref();
        assert_eq!((report.failed(), note), (1, Some("the last resort was needed, and worked")));
        // Without a limit nothing had to be watched.
        let unlimited = world.manager.resource("unlimited").last_resort(world.step("force"));
        drop(unlimited.guard(world.failing("graceful")));
        world.assert_told(&["failed unlimited"]);
        world.assert_ran_here(&["graceful", "force"]);
    });
}

#[test]
fn a_teardown_runs_on_the_thread_that_asked_in_order_whatever_its_cleanups_are() {
    alone(|| {
        let (world, runtime) = (World::new(), runtime());
        refuse_threads();
        let fill = || {
            let pool = world.manager.guard("pool", world.step("pool"));
            let step = world.step("server");
            let server =
                world.manager.resource("server").depends_on(&pool).guard_async(move || async { step() });
            (pool, server.expect("nothing refuses it"))
        };
        let words = ["unwatched server", "cleaned server", "unwatched pool", "cleaned pool"];
        let guards = fill();
        let report = world.manager.teardown().concurrency(4).run();
        world.assert_told(&words);
        world.assert_ran_here(&["server", "pool"]);
        let note = "ran on the caller's thread: no helper thread could be started";
        assert!(report.is_success() && report.timeline().iter().all(|it| it.note.as_deref() == Some(note)));
        drop(guards);
        // Awaited, it blocks the thread that awaits.
        let _pool = world.manager.guard("pool", world.step("pool"));
        let report = runtime.block_on(world.manager.teardown().run_async());
        assert!(report.is_success(), "{report}");
        world.assert_told(&words[2..]);
        world.assert_ran_here(&["pool"]);
    });
}

#[test]
fn a_teardown_without_a_thread_waits_for_what_is_cleaned_elsewhere_and_does_the_rest_then() {
    alone(|| {
        let world = World::new();
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let pool = world.manager.guard("pool", world.step("pool"));
        let held = world.manager.resource("held").depends_on(&pool);
        let held = held.guard(move || {
            begin.send(()).unwrap_or(());
            ended.recv().unwrap_or(());
            thread::sleep(Duration::from_millis(20));
        });
        let first = world.step("first");
        let _first = world.manager.guard("first", move || {
            first();
            // What is cleaned elsewhere ends a moment later, when there is nothing left to do here.
            end.send(()).unwrap_or(());
        });
        let elsewhere = thread::spawn(move || drop(held.expect("nothing refuses it")));
        begun.recv().expect("it begins");
        refuse_threads();
        let report = world.manager.cleanup();
        assert!(report.is_success() && report.cleaned() == 3, "{report}");
        world.assert_ran_here(&["first", "pool"]);
        elsewhere.join().expect("it only drops");
    });
}

#[test]
fn a_teardown_that_is_refused_one_more_thread_does_with_those_it_has() {
    alone(|| {
        let world = World::new();
        let _first = world.manager.guard("first", || ());
        assert!(world.manager.cleanup().is_success());
        refuse_threads();
        let runners = || {
            let (tell, told) = mpsc::channel::<()>();
            let (older, newer) = (world.step("older"), world.step("newer"));
            let _older = world.manager.guard("older", move || (older(), tell.send(()).unwrap_or(())).1);
            let _newer = world.manager.guard("newer", move || {
                newer();
                // Whoever else works begins the older one meanwhile.
                told.recv_timeout(Duration::from_millis(100)).unwrap_or(());
            });
            assert_eq!(world.manager.teardown().concurrency(2).run().cleaned(), 2);
            std::mem::take(&mut *lock(&world.ran))
        };
        let mut ran = runners();
        // All of it here: the first one's thread has not yet come to wait for more, or has waited for long enough.
        while ran[0].1 == thread::current().id() {
            if !is_castoffs_there() {
                return;
            }
            ran = runners();
        }
        assert_eq!([ran[0].0, ran[1].0], ["newer", "older"]);
        assert_eq!(ran[0].1, ran[1].1);
    });
}

#[test]
fn without_a_runtime_an_asynchronous_cleanup_fails_with_the_systems_own_error() {
    alone(|| {
        let world = World::new();
        refuse(&RUNTIMES, libc::EMFILE);
        let closed = ResourceGuard::close(world.manager.guard_async("closed", || async {}));
        assert_eq!(refusal_of(&closed.expect_err("it can't be awaited").kind), Some(libc::EMFILE));
        world.assert_told(&["unwatched closed", "failed closed"]);
        // A teardown has threads, and no runtime on any of them.
        let _torn_down = world.manager.guard_async("torn down", || async {});
        let report = world.manager.cleanup();
        assert_eq!((report.failed(), report.processed()), (1, 1), "{report}");
        assert_eq!(refusal_of(&report.errors()[0].kind), Some(libc::EMFILE));
    });
}

#[test]
fn what_needs_a_thread_of_its_own_for_good_says_that_there_is_none() {
    alone(|| {
        let manager = ResourceManager::isolated("test", ManagerConfig::default());
        refuse_threads();
        let hooks = manager.install_exit_hooks(ExitOptions::default());
        let Err(ExitHookError::System(cause)) = hooks else { panic!("{hooks:?}") };
        assert_eq!(cause.raw_os_error(), Some(libc::EAGAIN));
        let dump = dump_on(libc::SIGUSR1);
        let Err(DumpError::System { signal: libc::SIGUSR1, source }) = dump else { panic!("{dump:?}") };
        assert_eq!(source.raw_os_error(), Some(libc::EAGAIN));
        let watch = manager.watch_memory(Duration::from_secs(1));
        assert_eq!(watch.expect_err("nobody can look").raw_os_error(), Some(libc::EAGAIN));
        // One that looks when it is told to needs none.
        assert!(manager.watch_memory(Duration::MAX).is_ok());
    });
}

#[cfg(feature = "tracing")]
#[test]
fn a_subscriber_of_tracing_is_warned_of_each() {
    use tracing::span::{Attributes, Id, Record};

    /// Writes down each event.
    struct Writer(Arc<Mutex<String>>);

    impl tracing::field::Visit for Writer {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            lock(&self.0).push_str(&format!(" {field}={value:?}"));
        }
    }

    impl tracing::Subscriber for Writer {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.is_event()
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            lock(&self.0).push_str(&format!("\n{}", event.metadata().level()));
            event.record(&mut Writer(self.0.clone()));
        }

        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    alone(|| {
        let (world, text) = (World::new(), Arc::default());
        refuse_threads();
        tracing::subscriber::with_default(Writer(Arc::clone(&text)), || {
            drop(world.manager.resource("limited").timeout(LIMIT).guard(world.step("limited")));
        });
        world.assert_told(&["unwatched limited", "cleaned limited"]);
        let text = lock(&text);
        let warned =
            text.lines().find(|line| line.starts_with("WARN message=cleanup without a thread of its own"));
        assert!(warned.is_some_and(|line| line.contains("resource=\"limited\"")), "{text}");
    });
}

#[test]
fn the_end_of_the_process_cleans_on_the_thread_that_ends_it_and_says_that_nothing_keeps_its_deadline() {
    let mut program = Command::new(std::env::current_exe().expect("it runs"));
    program.args(["--exact", "the_program_that_ends", "--ignored", "--nocapture"]);
    let ended = program.output().expect("it can be started");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(7), "{said}");
    let (refused, cleaned) = (said.find("the system refuses a thread"), said.find("it was cleaned"));
    assert!(refused.is_some() && refused < cleaned, "{said}");
}

#[test]
#[ignore = "the test above starts it"]
fn the_program_that_ends() {
    std::mem::forget(ResourceManager::global().guard("pool", || eprintln!("it was cleaned")));
    refuse_threads();
    std::process::exit(7);
}
