//! Every way to end, with cleanups that block, that await, and that are faulty: castoff alone, judged.
//!
//! A cell is so many processes of a hundred files, of which each needs one older. What was cleaned is on its log: whether
//! once each, what depends first, and all that could be; and the parent looks at how the process ended.

mod victim;
mod way;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use self::way::{By, Cleaned, WAYS, Way};
use crate::process::Process;
use crate::work::FILES;

/// What has not ended by then hangs: longer than any deadline.
const HANGS: Duration = Duration::from_secs(40);
/// From when on a signal is a second one, and not the twin of the first.
const SECOND: Duration = Duration::from_millis(300);
/// So many processes at once: those with cleanups that hang take their time, and no processor.
const AT_ONCE: usize = 16;

/// What cleanups are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Sync,
    Async,
    /// Of ten one panics and one hangs until it is given up.
    Faulty,
}

const KINDS: [(&str, Kind); 3] = [("sync", Kind::Sync), ("async", Kind::Async), ("faulty", Kind::Faulty)];

impl Kind {
    /// How many can be cleaned.
    fn possible(self) -> usize {
        if self == Kind::Faulty { FILES - FILES / 5 } else { FILES }
    }
}

/// One of the processes.
pub fn victim(way: &str, kind: &str, folder: &str) -> ExitCode {
    let way = Way::named(way).expect("a way of the matrix");
    let (_, kind) = KINDS.into_iter().find(|(name, _)| *name == kind).expect("a kind of the matrix");
    victim::play(way.name, kind, PathBuf::from(folder))
}

/// What is wrong with one process, if anything is; and how much it has cleaned.
struct Judged {
    wrong: Option<String>,
    cleaned: usize,
}

pub fn main() -> ExitCode {
    let reps: usize = std::env::var("REPS").map_or(5, |reps| reps.parse().expect("REPS is a number"));
    println!("| death | promised | sync | async | faulty |\n|---|---|---|---|---|");
    let (start, mut wrong) = (Instant::now(), Vec::new());
    for way in WAYS {
        let cells: Vec<String> = KINDS.map(|kind| cell(way, kind, reps, &mut wrong)).into();
        println!("| {} | {}, {} | {} |", way.name, promised(way.cleaned), way.status, cells.join(" | "));
    }
    let processes = reps * WAYS.len() * KINDS.len();
    println!("\n{processes} processes in {:.0?}, {} not as promised", start.elapsed(), wrong.len());
    wrong.iter().take(20).for_each(|wrong| println!("{wrong}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn promised(cleaned: Cleaned) -> &'static str {
    match cleaned {
        Cleaned::All => "all",
        Cleaned::Some => "as many as chance has it",
        Cleaned::Nothing => "nothing",
    }
}

fn cell(way: Way, (name, kind): (&'static str, Kind), reps: usize, wrong: &mut Vec<String>) -> String {
    let (mut cleaned, mut left) = (0, reps);
    while left > 0 {
        let these: Vec<_> =
            (0..left.min(AT_ONCE)).map(|_| thread::spawn(move || one(way, name, kind))).collect();
        left -= these.len();
        for judged in these.into_iter().map(|it| it.join().expect("the driver does not panic")) {
            cleaned += judged.cleaned;
            wrong.extend(judged.wrong.map(|what| format!("{}, {name}: {what}", way.name)));
        }
    }
    format!("{cleaned}/{}", reps * kind.possible())
}

fn one(way: Way, name: &str, kind: Kind) -> Judged {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().to_str().expect("it is text");
    let ignored = if let By::Ignored(signal, _) = way.by { Some(signal) } else { None };
    let mut process = Process::start(&["matrix", way.name, name, path], ignored);
    match way.by {
        By::Itself => {}
        By::Ignored(ignored, signal) => [ignored, signal].into_iter().for_each(|it| process.send(it)),
        By::Signals(signals) => {
            for (at, signal) in signals.iter().enumerate() {
                if at > 0 {
                    thread::sleep(SECOND);
                }
                process.send(*signal);
            }
        }
    }
    let status = process.ended_within(HANGS).unwrap_or_else(|| {
        process.give_up();
        String::from("hangs")
    });
    judge(way, kind, &status, folder.path())
}

fn judge(way: Way, kind: Kind, status: &str, folder: &Path) -> Judged {
    let log = fs::read_to_string(folder.join(victim::LOG)).expect("the log was there before the end");
    let log: Vec<usize> = log.lines().map(|line| line.parse().expect("a number")).collect();
    let left = (0..FILES).filter(|number| folder.join(number.to_string()).exists()).count();
    let mut place = [None; FILES];
    let mut wrong = Vec::new();
    for (at, &number) in log.iter().enumerate() {
        if place[number].replace(at).is_some() {
            wrong.push(format!("{number} twice"));
        }
    }
    // The oldest needs nobody; and nobody waits for what was given up.
    for (needed, dependent) in (1..FILES).map(|number| (place[number / 2], place[number])) {
        if needed.is_some() && dependent > needed {
            wrong.push(format!("in the wrong order: {log:?}"));
        }
    }
    let due = match way.cleaned {
        Cleaned::All => kind.possible()..=kind.possible(),
        Cleaned::Some => 0..=kind.possible(),
        Cleaned::Nothing => 0..=0,
    };
    if !due.contains(&log.len()) || left != FILES - log.len() {
        wrong.push(format!("{} cleaned, {left} left", log.len()));
    }
    if status != way.status {
        wrong.push(format!("the parent sees {status}"));
    }
    Judged { wrong: (!wrong.is_empty()).then(|| wrong.join("; ")), cleaned: log.len() }
}
