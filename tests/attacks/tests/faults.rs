//! System calls that fail, memory that ends, and SIGKILL, at every point of a run: whatever was cleaned was cleaned once
//! and in order, nothing hangs, and what is promised to survive survives.
//!
//! Each attack is swept: at the first such call of any thread, the second, and so on until no run is hit any more.
//! `CASTOFF_STRIDE` leaves out points: 5 tries every fifth. Needs strace.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // Killing the group of a program that hangs.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use support::{COUNT, ENDS, Ended, How, KINDS, attack};

/// Nobody calls anything more often than this; a sweep that comes here has not ended.
const FAR: usize = 20_000;

/// What a run may be that was hit.
#[derive(Clone, Copy)]
enum Promise {
    /// All is cleaned, and the parent sees what it would have seen.
    Survives,
    /// As many cleanups as were hit fail and are named; all others are cleaned, and the parent sees what it would have
    /// seen.
    FailsAndIsNamed,
    /// The process may end in one of these ways at any time; if it does not, all is cleaned.
    MayEndBy(&'static [How]),
}

/// A sweep over one kind of call.
struct Attack {
    name: &'static str,
    /// For strace, with `{k}` for the point.
    inject: &'static str,
    /// Only what concerns the log.
    log_only: bool,
    promise: Promise,
}

fn stride() -> usize {
    std::env::var("CASTOFF_STRIDE").map_or(1, |it| it.parse().expect("CASTOFF_STRIDE is a number"))
}

#[derive(Default)]
struct Tally {
    hit: AtomicUsize,
    runs: AtomicUsize,
    cut: AtomicUsize,
}

/// Every end, with each kind of cleanup, at the points 1, 2 and so on until nothing is hit: `run` says whether it was.
fn sweep(name: &str, lossy: bool, run: impl Fn(&str, &str, How, usize) -> (Ended, bool) + Sync) {
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for (end, natural) in ENDS {
            for kind in KINDS {
                let (run, tally) = (&run, &tally);
                let points = move || {
                    for point in (1..FAR).step_by(stride()) {
                        let (ended, hit) = run(end, kind, natural, point);
                        let wrong = ended.wrong(lossy);
                        assert!(wrong.is_empty(), "{name}, {end} {kind}, at {point}: {wrong:#?} {ended:#?}");
                        assert_ne!(ended.how, How::Hangs, "{name}, {end} {kind}, at {point}: {ended:#?}");
                        tally.runs.fetch_add(1, SeqCst);
                        if !hit {
                            return;
                        }
                        tally.hit.fetch_add(1, SeqCst);
                        let cleaned = ended.cleaned().len();
                        tally.cut.fetch_add(usize::from((1..COUNT).contains(&cleaned)), SeqCst);
                    }
                    panic!("{name}, {end} {kind}: no end after {FAR} points");
                };
                // Two at a time would be enough for two cores; what waits costs nothing.
                scope.spawn(points);
            }
        }
    });
    assert!(tally.hit.load(SeqCst) > 0, "{name}: nothing was ever hit");
    let (runs, hit, cut) = (tally.runs.into_inner(), tally.hit.into_inner(), tally.cut.into_inner());
    println!(
        "{name}: {runs} runs, {hit} hit, {cut} of them with some cleaned and some not: 0 twice, 0 early, 0 hung"
    );
}

fn injected(attack_: &Attack) {
    sweep(attack_.name, attack_.log_only, |end, kind, natural, point| {
        let inject = format!("inject={}", attack_.inject.replace("{k}", &point.to_string()));
        let call = attack_.inject.split(':').next().expect("a call comes first");
        let trace = format!("trace={call}");
        let mut prefix = vec!["strace", "-f", "-qq", "-o", "{trace}", "-e", &trace, "-e", &inject];
        if attack_.log_only {
            prefix.extend(["-P", "{log}"]);
        }
        let ended = attack(&prefix, end, kind, &[]);
        let hits = ended.trace.lines().filter(|line| line.contains("(INJECTED)")).count();
        let killed = ended.how == How::Signal(libc::SIGKILL);
        keeps(attack_, &ended, natural, hits, (end, kind, point));
        (ended, hits > 0 || killed)
    });
}

fn keeps(attack: &Attack, ended: &Ended, natural: How, hits: usize, which: (&str, &str, usize)) {
    let name = attack.name;
    let lost = COUNT - ended.cleaned().len();
    // Hooks that were refused, and said so, leave a signal what it is without them.
    let without_hooks = ended.said('h') && lost == COUNT;
    let mut kept = ended.how == natural && (lost == 0 || without_hooks);
    match attack.promise {
        Promise::Survives => {}
        Promise::FailsAndIsNamed => {
            // The one that says that all are there is no cleanup's. A drop has nobody to return a failure to.
            let failed = hits - usize::from(!ended.said('r'));
            let named = failed == 0
                || matches!(which.0, "return" | "teardown")
                || ended.err.contains("No space left");
            kept = ended.how == natural && lost == failed && named;
        }
        Promise::MayEndBy(ways) => kept |= ways.contains(&ended.how),
    }
    assert!(kept, "{name}, {which:?}: {lost} were not cleaned, instead of {natural:?}: {ended:#?}");
}

/// The judge itself has to see what is wrong.
#[test]
fn without_attacks_everything_is_cleaned() {
    for (end, natural) in ENDS {
        for kind in KINDS {
            let ended = attack(&["env"], end, kind, &[]);
            assert_eq!(
                (ended.how, ended.cleaned().len(), ended.err.as_str()),
                (natural, COUNT, ""),
                "{ended:#?}"
            );
            assert_eq!(ended.wrong(false), [""; 0], "{end} {kind}: {ended:#?}");
        }
    }
}

#[test]
fn killed_at_any_write_it_has_cleaned_nothing_twice_and_nothing_early() {
    injected(&Attack {
        name: "SIGKILL at every write",
        inject: "write:signal=SIGKILL:when={k}",
        log_only: false,
        promise: Promise::MayEndBy(&[How::Signal(libc::SIGKILL)]),
    });
}

#[test]
fn a_full_disk_fails_the_cleanup_that_writes_and_no_other() {
    injected(&Attack {
        name: "ENOSPC at every write to the log",
        inject: "write:error=ENOSPC:when={k}",
        log_only: true,
        promise: Promise::FailsAndIsNamed,
    });
}

#[test]
fn calls_that_are_interrupted_are_made_again() {
    interrupted("write:error=EINTR:when={k}+2");
    interrupted("read:error=EINTR:when={k}+2");
}

/// Every second call. Not `futex`: strace would leave out a wake as well, which no kernel does.
fn interrupted(inject: &'static str) {
    // A program that is being loaded reads as well, and takes an error for the end.
    let promise = match inject.starts_with("read") {
        true => Promise::MayEndBy(&[How::Code(127), How::Signal(libc::SIGABRT), How::Code(101)]),
        false => Promise::Survives,
    };
    let attack_ = Attack { name: inject, inject, log_only: false, promise };
    let (point, mut all_hits) = (1, 0);
    let call = format!("trace={}", inject.split(':').next().expect("a call comes first"));
    for (end, natural) in ENDS {
        for kind in KINDS {
            let inject = format!("inject={}", attack_.inject.replace("{k}", &point.to_string()));
            let prefix = ["strace", "-f", "-qq", "-o", "{trace}", "-e", &call, "-e", &inject];
            let ended = attack(&prefix, end, kind, &[]);
            let hits = ended.trace.matches("(INJECTED)").count();
            all_hits += hits;
            assert_eq!(ended.wrong(false), [""; 0], "{inject}, {end} {kind}: {ended:#?}");
            keeps(&attack_, &ended, natural, hits, (end, kind, point));
        }
    }
    assert!(all_hits > 0, "{inject}: nothing was ever hit");
    println!(
        "{inject}: {} runs, {all_hits} calls hit: all cleaned, once and in order",
        ENDS.len() * KINDS.len()
    );
}

#[test]
fn threads_that_are_refused_are_done_without() {
    injected(&Attack {
        name: "EAGAIN at every start of a thread, and all after it",
        inject: "clone3:error=EAGAIN:when={k}+",
        log_only: false,
        promise: Promise::Survives,
    });
}

#[test]
fn a_kernel_that_refuses_the_fence_is_done_without() {
    injected(&Attack {
        name: "ENOSYS at every membarrier, and all after it",
        inject: "membarrier:error=ENOSYS:when={k}+",
        log_only: false,
        promise: Promise::Survives,
    });
}

#[test]
fn memory_maps_that_are_refused_end_the_process_or_nothing() {
    injected(&Attack {
        name: "ENOMEM at every mmap",
        inject: "mmap:error=ENOMEM:when={k}",
        log_only: false,
        promise: Promise::MayEndBy(&[
            How::Signal(libc::SIGABRT),
            How::Code(127),
            How::Code(101),
            How::Signal(libc::SIGSEGV),
        ]),
    });
}

#[test]
fn memory_that_is_refused_aborts_or_nothing_and_cleans_nothing_twice() {
    for from in ["", "+"] {
        let name = if from == "+" {
            "every allocation from the k-th on refused"
        } else {
            "the k-th allocation refused"
        };
        sweep(name, false, |end, kind, natural, point| {
            let ended = attack(&["env"], end, kind, &[("CASTOFF_REFUSE", &format!("{point}{from}"))]);
            let hit = ended.said('!') || ended.err.contains("memory allocation of");
            let all = ended.how == natural && ended.cleaned().len() == COUNT;
            // async-task aborts by a second panic, which may take until the deadline to print.
            let aborts =
                ended.how == How::Signal(libc::SIGABRT) || ended.err.contains("aborting the process");
            let aborted = hit && aborts;
            assert!(all || aborted, "{name}, {end} {kind}, at {point}: {ended:#?}");
            (ended, hit)
        });
    }
}

#[test]
fn without_room_for_any_thread_cleanups_run_on_the_callers() {
    for kind in KINDS {
        let ended = attack(&["env"], "threadless", kind, &[]);
        assert_eq!((ended.how, ended.cleaned().len()), (How::Code(0), COUNT), "{ended:#?}");
        assert_eq!(ended.wrong(false), [""; 0], "{ended:#?}");
        // Told before each, and noted in the report.
        let mut expected = vec![format!("r{COUNT}"), format!("u{COUNT}"), format!("d{COUNT}")];
        for number in ended.cleaned() {
            expected.extend([String::from("u0"), format!("-{number}")]);
        }
        expected.push(format!("n{COUNT}"));
        assert_eq!(ended.log, expected, "{kind}: {ended:#?}");
    }
}

#[test]
fn an_end_of_the_process_without_a_thread_says_that_nothing_keeps_its_deadline() {
    for kind in KINDS {
        let inject = "inject=clone3:error=EAGAIN:when=1+";
        let prefix = ["strace", "-f", "-qq", "-o", "{trace}", "-e", "trace=clone3", "-e", inject];
        let ended = attack(&prefix, "exit", kind, &[]);
        assert_eq!((ended.how, ended.cleaned().len()), (How::Code(7), COUNT), "{ended:#?}");
        assert!(ended.err.contains("the system refuses a thread"), "{ended:#?}");
    }
}

#[test]
fn a_panic_hook_that_registers_and_tears_down_harms_nobody() {
    for kind in KINDS {
        let ended = attack(&["env"], "panic-hook", kind, &[]);
        assert_eq!((ended.how, ended.cleaned().len()), (How::Code(101), COUNT), "{ended:#?}");
        assert_eq!(ended.wrong(false), [""; 0], "{ended:#?}");
        assert_eq!(ended.log.iter().filter(|line| *line == "p0").count(), 2, "{ended:#?}");
    }
}

#[test]
fn an_allocator_that_asks_castoff_in_the_middle_of_its_work_is_told_so() {
    let ended = attack(&["env"], "allocator", "sync", &[]);
    assert_eq!(ended.how, How::Signal(libc::SIGABRT), "{ended:#?}");
    assert!(ended.err.contains("called by the allocator or a signal handler"), "{ended:#?}");
}

#[test]
fn few_descriptors_are_enough_for_what_awaits_nothing() {
    for (end, natural) in ENDS {
        // Standard streams and the log: nothing else can be opened once they are.
        let script = "ulimit -n 4; exec \"$0\" \"$@\"";
        let ended = attack(&["bash", "-c", script], end, "sync", &[]);
        assert_eq!(ended.wrong(false), [""; 0], "{ended:#?}");
        // Hooks need a pipe; without, the signal is the end.
        let without_hooks = ended.said('h') && ended.cleaned().is_empty();
        assert!(
            ended.how == natural && (ended.cleaned().len() == COUNT || without_hooks),
            "{end}: {ended:#?}"
        );
    }
}

/// Wherever the wall clock is, however fast it goes, and however long the machine has been up. The monotonic clock does
/// not jump: the kernel sees to that.
#[test]
fn clocks_that_jump_and_run_fast_change_nothing() {
    // Preloaded, and not by its wrapper: that would take the signal for its own.
    let library = std::fs::read_dir("/usr/lib").expect("it is there on Linux").flatten();
    let library = library.map(|it| it.path().join("faketime/libfaketime.so.1")).find(|it| it.exists());
    let preload = format!("LD_PRELOAD={}", library.expect("faketime is not installed").display());
    let wall = |how| vec!["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", &preload, how];
    let uptime = [
        "unshare",
        "--time",
        "--fork",
        "--kill-child",
        "--boottime",
        "700000000",
        "--monotonic",
        "700000000",
    ];
    let clocks = [
        wall("FAKETIME=-20y"),
        wall("FAKETIME=+20y"),
        wall("FAKETIME=+0 x50"),
        wall("FAKETIME=-1y x0.1"),
        uptime.into(),
    ];
    for clock in &clocks {
        for (end, natural) in ENDS {
            for kind in KINDS {
                let ended = attack(clock, end, kind, &[]);
                assert_eq!((ended.how, ended.cleaned().len()), (natural, COUNT), "{clock:?}: {ended:#?}");
                assert_eq!(ended.wrong(false), [""; 0], "{clock:?}, {end} {kind}: {ended:#?}");
            }
        }
    }
    println!("5 clocks: {} runs: all cleaned, once and in order", clocks.len() * ENDS.len() * KINDS.len());
}
