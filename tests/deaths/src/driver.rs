//! Starts each program, has it end, and looks at what it left: prints the table.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::death::{By, DEATHS, Death, Every};
use crate::peer::{PEERS, Peer};
use crate::process::Process;
use crate::work::FILES;

/// What has not ended by then hangs: each of those that have a limit has one of a second.
const HANGS: Duration = Duration::from_secs(5);
/// What a signal has not ended by then goes on.
const GOES_ON: Duration = Duration::from_secs(2);
/// From when on a signal is a second one, and not the twin of the first.
const SECOND: Duration = Duration::from_millis(300);

/// How one process ended.
struct Ended {
    status: String,
    cleaned: usize,
    took: Duration,
}

pub fn main() -> ExitCode {
    let reps = std::env::var("REPS").map_or(10, |reps| reps.parse().expect("REPS is a number"));
    let peers: Vec<&Peer> = PEERS.iter().collect();
    println!("| death |{}", peers.iter().map(|peer| format!(" {} |", peer.name)).collect::<String>());
    println!("|---|{}", "---|".repeat(peers.len()));
    let start = Instant::now();
    for death in DEATHS {
        let cells: Vec<String> = peers.iter().map(|peer| cell(peer, death, reps)).collect();
        println!("| {} | {} |", death.name, cells.join(" | "));
    }
    let processes = reps * (DEATHS.len() * peers.len() - skipped(&peers));
    println!(
        "\n{reps} processes of {FILES} files for each cell, {processes} in all, in {:.0?}",
        start.elapsed()
    );
    ExitCode::SUCCESS
}

fn applies(peer: &Peer, death: Death) -> bool {
    peer.is_general || death.every_tenth == Every::Cleans
}

fn skipped(peers: &[&Peer]) -> usize {
    DEATHS.iter().flat_map(|death| peers.iter().map(|peer| applies(peer, *death))).filter(|it| !it).count()
}

/// Every process of a cell: how much was cleaned of how much, and how they ended.
fn cell(peer: &'static Peer, death: Death, reps: usize) -> String {
    if !applies(peer, death) {
        return String::from("does not apply");
    }
    let mut ended: Vec<Ended> = Vec::new();
    let mut left = reps;
    while left > 0 {
        // A few at once: those that hang take their time, and no processor.
        let these: Vec<_> = (0..left.min(5)).map(|_| thread::spawn(move || one(peer, death))).collect();
        left -= these.len();
        ended.extend(these.into_iter().map(|it| it.join().expect("the driver does not panic")));
    }
    let possible = match death.every_tenth {
        Every::Cleans => FILES,
        Every::Panics | Every::Hangs => FILES - FILES / 10,
    };
    let cleaned: usize = ended.iter().map(|it| it.cleaned).sum();
    let mut how: BTreeMap<&str, usize> = BTreeMap::new();
    ended.iter().for_each(|it| *how.entry(&it.status).or_default() += 1);
    let how: Vec<String> = match how.len() {
        1 => how.into_keys().map(String::from).collect(),
        _ => how.into_iter().map(|(how, times)| format!("{how} ({times} times)")).collect(),
    };
    let slowest = ended.iter().map(|it| it.took).max().unwrap_or_default();
    let slow = if slowest > Duration::from_millis(500) && slowest < HANGS {
        format!(", {:.1} s", slowest.as_secs_f64())
    } else {
        String::new()
    };
    if matches!(death.by, By::Ignored(_)) {
        // It is not to end, and so not to clean.
        return how.join(", ");
    }
    let all = reps * possible;
    let cleaned = if cleaned == all { format!("{cleaned}/{all}") } else { format!("**{cleaned}**/{all}") };
    format!("{cleaned}, {}{slow}", how.join(", "))
}

fn one(peer: &Peer, death: Death) -> Ended {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().to_str().expect("it is text");
    let ignored = if let By::Ignored(signal) = death.by { Some(signal) } else { None };
    let mut process = Process::start(&[peer.name, death.name, path], ignored);
    let start = Instant::now();
    let status = end(&mut process, death.by);
    let took = start.elapsed();
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    Ended { status, cleaned: FILES - left, took }
}

fn end(process: &mut Process, by: By) -> String {
    match by {
        By::Signal(signal) => process.send(signal),
        By::Twice(signal) => {
            process.send(signal);
            thread::sleep(SECOND);
            process.send(signal);
        }
        By::Ignored(signal) => {
            process.send(signal);
            if process.ended_within(GOES_ON).is_none() {
                process.give_up();
                return String::from("goes on");
            }
        }
        By::Return | By::Exit | By::ExitElsewhere | By::Panic | By::Abort => {}
    }
    process.ended_within(HANGS).unwrap_or_else(|| {
        process.give_up();
        format!("hangs for more than {} s", HANGS.as_secs())
    })
}
