//! Programs with exit hooks, which wait for a signal.
//!
//! Some look at what only the C library tells, or change it.

use std::future::Future;
use std::io::Read;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use castoff::{
    CleanupReason, ExitHookError, ExitOptions, ExitReporting, ExitSignal, ManagerConfig, ResourceManager,
};

use crate::ends::limited;
use crate::fleet::{Kind, fleet, global, hanging, install, one, wait_for_ever};
use crate::log::say;

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    match case {
        "wait" => {
            let _guards = fleet(global(), kind);
            ready(ExitOptions::default())
        }
        "wait-reason" => {
            let why = global().resource("why").guard_with_context(|cx| match cx.reason() {
                CleanupReason::Signal(number) => say(format!("signal {number}")),
                other => say(format!("{other:?}")),
            });
            let _why = why.expect("it can be registered");
            ready(ExitOptions::default())
        }
        "wait-in-a-read" => {
            let _guards = fleet(global(), kind);
            // The end comes late enough for who was interrupted to say so.
            install(ExitOptions::default().drain(Duration::from_millis(300))).forget();
            let (mut reader, _writer) = std::io::pipe().expect("a pipe can be had");
            say("ready");
            say(format!("read: {:?}", reader.read(&mut [0])));
            wait_for_ever()
        }
        "wait-as-child-manager" => {
            let _base = one(global(), kind, "base", &[]);
            let service = ResourceManager::new("service");
            let _guards = fleet(&service, kind);
            let _newest = one(global(), kind, "newest", &[]);
            service.install_exit_hooks(ExitOptions::default()).expect("the hooks can be installed").forget();
            say("ready");
            wait_for_ever()
        }
        "wait-as-isolated" => {
            let _base = one(global(), kind, "base", &[]);
            let lonely = ResourceManager::isolated("lonely", ManagerConfig::default());
            let _guards = fleet(&lonely, kind);
            lonely.install_exit_hooks(ExitOptions::default()).expect("the hooks can be installed").forget();
            say("ready");
            wait_for_ever()
        }
        "wait-hanging" => {
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            ready(ExitOptions::default().deadline(Duration::from_secs(1)))
        }
        "wait-hanging-long" => {
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            ready(ExitOptions::default())
        }
        "wait-hanging-callback" => {
            let _guards = fleet(global(), kind);
            let hang = |_| thread::sleep(Duration::from_secs(600));
            ready(ExitOptions::default().deadline(Duration::from_secs(1)).before(hang))
        }
        "wait-hanging-child-manager" => {
            let _base = one(global(), kind, "base", &[]);
            let service = ResourceManager::new("service");
            let _hanging = hanging(&service, kind);
            let options = ExitOptions::default().deadline(Duration::from_secs(1));
            service.install_exit_hooks(options).expect("the hooks can be installed").forget();
            say("ready");
            wait_for_ever()
        }
        "wait-without-hooks" => {
            let _guards = fleet(global(), kind);
            say("ready");
            wait_for_ever()
        }
        "tokens" => tokens(kind, ExitOptions::default()),
        "tokens-then-exit" => tokens(kind, ExitOptions::default().after(|_| std::process::exit(11))),
        "token-then-return" => {
            let _guards = fleet(global(), kind);
            install(ExitOptions::default()).forget();
            say("ready");
            global().shutdown_requested().wait();
            say("main returns");
            Some(ExitCode::SUCCESS)
        }
        "hooks-are-a-local-of-main" => {
            let _hooks = install(ExitOptions::default());
            let _guards = fleet(global(), kind);
            let slow = global().resource("slow").guard(|| thread::sleep(Duration::from_millis(200)));
            std::mem::forget(slow.expect("it can be registered"));
            say("ready");
            global().shutdown_requested().wait();
            Some(ExitCode::SUCCESS)
        }
        "dropped-when-the-signal-came" => {
            let hooks = install(ExitOptions::default());
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            say("ready");
            global().shutdown_requested().wait();
            drop(hooks);
            say("dropped");
            wait_for_ever()
        }
        "order-of-things" => {
            let _guards = fleet(global(), kind);
            let asked = Arc::new(Counter::default());
            let waiter = asked.clone();
            thread::spawn(move || {
                global().shutdown_requested().wait();
                say("token");
                waiter.0.fetch_add(1, SeqCst);
            });
            let options = ExitOptions::default().drain(Duration::from_millis(300)).before(move |signal| {
                assert_eq!(asked.0.load(SeqCst), 1, "the token fires before the drain");
                say(format!("before {signal}"));
            });
            ready(options.after(|report| say(format!("after {}", report.cleaned()))))
        }
        "callbacks-panic" => {
            let _guards = fleet(global(), kind);
            let options = ExitOptions::default().before(|_| panic!("before"));
            ready(options.after(|_| panic!("after")))
        }
        "after-exits" => {
            let _guards = fleet(global(), kind);
            ready(ExitOptions::default().after(|_| std::process::exit(11)))
        }
        "before-exits" => {
            let _guards = fleet(global(), kind);
            ready(ExitOptions::default().before(|_| std::process::exit(12)))
        }
        "report-always" => {
            let _guards = fleet(global(), kind);
            ready(ExitOptions::default().report(ExitReporting::Always))
        }
        "report-failing" | "report-never" => {
            let _guards = (fleet(global(), kind), global().guard("journal", || Err("disk full")));
            let when = if case == "report-never" { ExitReporting::Never } else { ExitReporting::OnFailure };
            ready(ExitOptions::default().report(when))
        }
        "progress" | "no-progress" => {
            let config = ManagerConfig::default().slow_after(Duration::from_millis(150));
            ResourceManager::init_global(config).expect("nobody was first");
            let base = one(global(), kind, "base", &[]);
            let pool = one(global(), kind, "pool", &[&base]);
            let slow = global().resource("orders-db").depends_on(&pool);
            let slow = slow.guard(|| thread::sleep(Duration::from_millis(700)));
            let _slow = slow.expect("it can be registered");
            ready(ExitOptions::default().progress(case == "progress"))
        }
        "only-sigterm" => {
            let _guards = fleet(global(), kind);
            ready(ExitOptions::default().signals([ExitSignal::Terminate]))
        }
        "installed-twice" => {
            let hooks = install(ExitOptions::default());
            assert_eq!(format!("{hooks:?}"), "ExitHooks { .. }");
            for manager in [global(), &ResourceManager::new("other")] {
                let again = manager.install_exit_hooks(ExitOptions::default());
                assert!(matches!(again, Err(ExitHookError::AlreadyInstalled)), "{again:?}");
            }
            Some(ExitCode::SUCCESS)
        }
        "uninstalled" => {
            let _guards = fleet(global(), kind);
            drop(install(ExitOptions::default()));
            say("ready");
            wait_for_ever()
        }
        "reinstalled" => {
            let _guards = fleet(global(), kind);
            for _ in 0..20 {
                drop(install(ExitOptions::default()));
            }
            say(format!("threads {}", settled_threads(2)));
            ready(ExitOptions::default())
        }
        "dispositions" => dispositions(),
        "called-by-another-handler" => called_by_another_handler(),
        "foreign" => {
            let _guards = fleet(global(), kind);
            handle(libc::SIGTERM);
            let before = ALL.map(disposition);
            let refused = global().install_exit_hooks(ExitOptions::default());
            assert!(matches!(refused, Err(ExitHookError::ForeignHandler { signal: 15 })), "{refused:?}");
            assert!(ALL.map(disposition) == before, "nothing was changed");
            // What is not asked for may be foreign.
            let options = ExitOptions::default().signals([ExitSignal::Interrupt]);
            drop(install(options));
            assert!(ALL.map(disposition) == before, "it was put back");
            say("ready");
            while !HANDLED.load(SeqCst).eq(&1) {
                thread::sleep(Duration::from_millis(1));
            }
            say("handled by its owner");
            Some(ExitCode::SUCCESS)
        }
        "stdout-locked" => {
            let _guards = fleet(global(), kind);
            let stdout = thread::spawn(|| {
                let _lock = std::io::stdout().lock();
                say("locked");
                wait_for_ever()
            });
            std::mem::forget(stdout);
            ready(ExitOptions::default())
        }
        "limited-wait" => {
            limited();
            let _guards = (fleet(global(), kind), hanging(global(), kind));
            ready(ExitOptions::default())
        }
        _ => None,
    }
}

fn ready(options: ExitOptions) -> ! {
    install(options).forget();
    say("ready");
    wait_for_ever()
}

#[derive(Default)]
struct Counter(AtomicUsize);

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
}

/// Many who wait, in each of the ways there are; nothing is cleaned before all have heard.
fn tokens(kind: Kind, options: ExitOptions) -> Option<ExitCode> {
    let heard = Arc::new(Counter::default());
    let _guards = fleet(global(), kind);
    let all = heard.clone();
    let last = global().guard("all have heard", move || {
        let start = Instant::now();
        while all.0.load(SeqCst) < 9 {
            assert!(start.elapsed() < Duration::from_secs(8), "{} have heard", all.0.load(SeqCst));
            thread::sleep(Duration::from_millis(1));
        }
        say("all have heard");
    });
    std::mem::forget(last);
    let token = global().shutdown_requested();
    // One that waited and was dropped, with its waker.
    let waker = Arc::new(Unpark(thread::current()));
    let mut gone = token.clone();
    let pending = Pin::new(&mut gone).poll(&mut Context::from_waker(&Waker::from(waker.clone())));
    assert_eq!((pending, Arc::strong_count(&waker)), (Poll::Pending, 2));
    // Another waker takes the place of the first.
    let other = Arc::new(Unpark(thread::current()));
    assert!(Pin::new(&mut gone).poll(&mut Context::from_waker(&Waker::from(other.clone()))).is_pending());
    assert_eq!((Arc::strong_count(&waker), Arc::strong_count(&other)), (1, 2));
    drop(gone);
    assert_eq!(Arc::strong_count(&other), 1, "a dropped token leaves nothing behind");
    for at in 0..9 {
        let (mut token, heard) = (token.clone(), heard.clone());
        thread::spawn(move || {
            match at % 3 {
                0 => token.wait(),
                1 => assert!(token.wait_timeout(if at == 1 {
                    Duration::MAX
                } else {
                    Duration::from_secs(100)
                })),
                _ => {
                    block_on(&mut token);
                    // Ready for ever after.
                    block_on(&mut token);
                }
            }
            assert!(token.is_requested());
            heard.0.fetch_add(1, SeqCst);
        });
    }
    assert!(!token.is_requested() && !token.wait_timeout(Duration::from_millis(5)));
    ready(options)
}

const ALL: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
}

fn handle(signal: libc::c_int) {
    // SAFETY: the handler does one atomic addition.
    unsafe { libc::signal(signal, handler as extern "C" fn(libc::c_int) as usize) };
}

/// Handler and flags, but for the one that the C library adds by itself.
fn disposition(signal: libc::c_int) -> (usize, libc::c_int) {
    // SAFETY: a plain structure of integers.
    let mut found = unsafe { std::mem::zeroed::<libc::sigaction>() };
    // SAFETY: only looks, and writes to a place that is there.
    assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut found) }, 0);
    const RESTORER: libc::c_int = 0x0400_0000;
    (found.sa_sigaction, found.sa_flags & !RESTORER)
}

/// Nothing is touched before the hooks are installed, and everything is as before when they are gone.
fn dispositions() -> Option<ExitCode> {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let before = ALL.map(disposition);
    let guard = global().guard("early", || ());
    assert!(ALL.map(disposition) == before, "a registration touches no signal");
    for _ in 0..3 {
        let hooks = install(ExitOptions::default());
        assert!(disposition(libc::SIGINT).0 != before[0].0 && disposition(libc::SIGTERM).0 != before[1].0);
        assert!(disposition(libc::SIGHUP) == before[2], "what is ignored stays ignored");
        drop(hooks);
        assert!(ALL.map(disposition) == before, "all is as before");
    }
    drop(guard);
    // What somebody put in front of the hooks is left there.
    let hooks = install(ExitOptions::default());
    handle(libc::SIGTERM);
    let theirs = disposition(libc::SIGTERM);
    drop(hooks);
    assert!(disposition(libc::SIGTERM) == theirs && disposition(libc::SIGINT) == before[0]);
    Some(ExitCode::SUCCESS)
}

static THEIRS: AtomicUsize = AtomicUsize::new(0);

/// A handler that calls the one that it found.
extern "C" fn in_front(signal: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
    // SAFETY: what was found is a handler without `SA_SIGINFO`: a function of this type.
    let behind = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(THEIRS.load(SeqCst)) };
    behind(signal);
}

/// Hooks that are gone are no longer asked, though somebody in front of them goes on to call them.
fn called_by_another_handler() -> Option<ExitCode> {
    let _guard = global().guard("pool", || say("pool"));
    let hooks = install(ExitOptions::default());
    THEIRS.store(disposition(libc::SIGTERM).0, SeqCst);
    // SAFETY: the handler does one atomic addition, and what the one does that it has found.
    unsafe { libc::signal(libc::SIGTERM, in_front as extern "C" fn(libc::c_int) as usize) };
    drop(hooks);
    for _ in 0..3 {
        // SAFETY: takes a number; handled on this thread before it returns.
        unsafe { libc::raise(libc::SIGTERM) };
    }
    say(format!("handled {}", HANDLED.load(SeqCst)));
    Some(ExitCode::SUCCESS)
}

/// How many threads there are once it is so many, or after a while.
fn settled_threads(wanted: usize) -> usize {
    let count = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let start = Instant::now();
    while count() != wanted && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(1));
    }
    count()
}
