//! Tries every mutant with the tests that reach it, the quickest first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::{self, LeftOut, Mutant};
use crate::program::{Program, Verdict};

/// A byte for each mutant, as in chosen.rs.
const MOST: u64 = 1 << 16;
/// So many times what its tests took before a mutant has, besides the seconds of `SECONDS_FOR_TESTS`.
const TIMES: u32 = 5;
/// How many tests are tried at first, and after them.
const STEPS: [usize; 4] = [2, 6, 40, usize::MAX];

/// A test, or all of a module, and which mutants it reaches.
struct Test {
    program: usize,
    names: Vec<String>,
    took: Duration,
    reached: Vec<usize>,
}

/// What became of a mutant.
struct Tried {
    mutant: usize,
    end: End,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum End {
    Caught,
    Hung,
    Missed,
    NotReached,
}

pub(crate) fn run(tree: &Path, programs: Vec<PathBuf>) -> ExitCode {
    let mutants = list::read(&tree.join("mutants.json"));
    let left_out = list::read_left_out(tree);
    let programs: Vec<Program> = programs.into_iter().map(|path| Program::new(tree, path)).collect();
    let start = Instant::now();
    let tests = reach(tree, &programs);
    println!("{} tests or modules, each alone, in {:?}", tests.len(), start.elapsed());
    let start = Instant::now();
    let tried = try_all(tree, &programs, &tests, &mutants, &left_out);
    let all = mutants.len() - left_out.len();
    println!("{} of {all} mutants tried in {:?}", tried.len(), start.elapsed());
    report(&mutants, &left_out, &tried)
}

/// Does something for each of these, so many at once as `JOBS` says.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let jobs = number("JOBS").unwrap_or(2) as usize;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for job in 0..jobs {
            let (next, done, work) = (&next, &done, &work);
            scope.spawn(move || {
                while let Some(one) = all.get(next.fetch_add(1, Relaxed)) {
                    let result = work(job, one);
                    done.lock().expect("nobody panics with it").push(result);
                }
            });
        }
    });
    done.into_inner().expect("nobody has panicked with it")
}

/// Every test by itself, as the source is.
fn reach(tree: &Path, programs: &[Program]) -> Vec<Test> {
    let mut all = Vec::new();
    for (at, program) in programs.iter().enumerate() {
        let names = program.tests();
        let parts: Vec<&[String]> = if number("BY_MODULE").is_some() {
            names.chunk_by(|left, right| module(left) == module(right)).collect()
        } else {
            names.chunks(1).collect()
        };
        all.extend(parts.into_iter().map(|names| (at, names.to_vec())));
    }
    let mut tests = each(&all, |job, (program, names)| alone(tree, programs, job, *program, names));
    tests.sort_by_key(|test| test.as_ref().map(|test| (test.program, test.took)));
    tests.into_iter().flatten().collect()
}

fn module(test: &str) -> &str {
    test.rsplit_once("::").map_or("", |(module, _)| module)
}

/// `None` if it fails twice.
fn alone(tree: &Path, programs: &[Program], job: usize, program: usize, names: &[String]) -> Option<Test> {
    let path = tree.join(format!("reached-{job}"));
    for _ in 0..2 {
        let file = File::create(&path).expect("the copy can be written");
        file.set_len(MOST).expect("the copy can be written");
        let start = Instant::now();
        let arguments: Vec<&str> = names.iter().map(String::as_str).collect();
        let verdict = programs[program].verdict(&arguments, 0, Some(&path), 6 * at_least());
        let took = start.elapsed();
        if matches!(verdict, Verdict::Passed) {
            let bytes = fs::read(&path).expect("it was written");
            let reached = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            return Some(Test { program, names: names.to_vec(), took, reached });
        }
        println!("fails as the source is: {} ({verdict:?})", names[0]);
    }
    None
}

fn try_all(
    tree: &Path,
    programs: &[Program],
    tests: &[Test],
    mutants: &[Mutant],
    left_out: &LeftOut,
) -> Vec<Tried> {
    let mut log = File::create(tree.join("verdicts")).expect("the copy can be written");
    writeln!(log, "what\tms\tby\tmutant").expect("the copy can be written");
    let log = Mutex::new(log);
    let mut all: Vec<&Mutant> =
        mutants.iter().filter(|mutant| !left_out.contains_key(&mutant.number)).collect();
    // Mixed, the same way each time, so that what there was time for stands for all.
    all.sort_by_key(|mutant| mutant.number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let end =
        Instant::now() + Duration::from_secs(number("SECONDS_FOR_MUTANTS").unwrap_or(u64::from(u32::MAX)));
    let tried = each(&all, |_, mutant| {
        let start = Instant::now();
        if start > end {
            return None;
        }
        let (became, by) = try_one(programs, tests, mutant);
        let place = format!("{}:{}: {}", mutant.file, mutant.from.0, mutant.name);
        let line = format!("{}\t{}\t{by}\t{place}", word(became), start.elapsed().as_millis());
        writeln!(log.lock().expect("nobody panics with it"), "{line}").expect("the copy can be written");
        Some(Tried { mutant: mutant.number, end: became })
    });
    tried.into_iter().flatten().collect()
}

/// No test takes that long by itself, unless the machine is busy.
fn at_least() -> Duration {
    Duration::from_secs(number("SECONDS_FOR_TESTS").unwrap_or(10))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}

fn try_one(programs: &[Program], tests: &[Test], mutant: &Mutant) -> (End, String) {
    let mut end = (End::NotReached, String::new());
    for (at, program) in programs.iter().enumerate() {
        let reaching =
            tests.iter().filter(|test| test.program == at && test.reached.contains(&mutant.number));
        let mut reaching: Vec<&Test> = reaching.collect();
        for step in STEPS {
            let now: Vec<&Test> = reaching.drain(..step.min(reaching.len())).collect();
            if now.is_empty() {
                break;
            }
            let names: Vec<&str> = now.iter().flat_map(|test| &test.names).map(String::as_str).collect();
            let took: Duration = now.iter().map(|test| test.took).sum();
            match program.verdict(&names, mutant.number, None, at_least() + took * TIMES) {
                Verdict::Passed => end = (End::Missed, String::new()),
                Verdict::Failed(test) => return (End::Caught, format!("{} {test}", program.name)),
                Verdict::Died => return (End::Caught, format!("{} died", program.name)),
                Verdict::Hung => return (End::Hung, program.name.clone()),
            }
        }
    }
    end
}

fn word(end: End) -> &'static str {
    match end {
        End::Caught => "caught",
        End::Hung => "hung",
        End::Missed => "missed",
        End::NotReached => "not reached",
    }
}

/// A table, and whoever was not noticed.
fn report(mutants: &[Mutant], left_out: &LeftOut, tried: &[Tried]) -> ExitCode {
    let mut areas: BTreeMap<&str, BTreeMap<End, usize>> = BTreeMap::new();
    let mutant = |number: usize| &mutants[number - 1];
    for one in tried {
        *areas.entry(mutant(one.mutant).area()).or_default().entry(one.end).or_default() += 1;
    }
    let least = number("LEAST").unwrap_or(90) as usize;
    let mut enough = true;
    println!(
        "{:<10} {:>6} {:>7} {:>6} {:>7} {:>12} {:>9}",
        "area", "tried", "caught", "hung", "missed", "not reached", "noticed"
    );
    let mut row = |area: &str, ends: &BTreeMap<End, usize>| {
        let of = |end: End| ends.get(&end).copied().unwrap_or(0);
        let all: usize = ends.values().sum();
        let noticed = of(End::Caught) + of(End::Hung);
        let percent = 100.0 * noticed as f64 / all.max(1) as f64;
        enough &= noticed * 100 >= least * all;
        println!(
            "{area:<10} {all:>6} {:>7} {:>6} {:>7} {:>12} {percent:>7.1} %",
            of(End::Caught),
            of(End::Hung),
            of(End::Missed),
            of(End::NotReached)
        );
    };
    for (area, ends) in &areas {
        row(area, ends);
    }
    let mut total: BTreeMap<End, usize> = BTreeMap::new();
    for one in tried {
        *total.entry(one.end).or_default() += 1;
    }
    row("all", &total);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for why in left_out.values() {
        *reasons.entry(why).or_default() += 1;
    }
    println!("not tried: {reasons:?}");
    unexplained(mutants, tried);
    if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Survivors, but for those that survivors.txt explains: one a line, under a line with `#` and the reason.
fn unexplained(mutants: &[Mutant], tried: &[Tried]) {
    let known: BTreeSet<&str> = include_str!("../survivors.txt").lines().collect();
    let mut lines = Vec::new();
    for one in tried.iter().filter(|one| one.end >= End::Missed) {
        let mutant = &mutants[one.mutant - 1];
        if !known.contains(format!("{}: {}", mutant.file, mutant.name).as_str()) {
            lines.push(format!("{}:{}: {} ({})", mutant.file, mutant.from.0, mutant.name, word(one.end)));
        }
    }
    lines.sort();
    println!("survivors that survivors.txt does not explain: {}", lines.len());
    lines.iter().for_each(|line| println!("  {line}"));
}
