//! Tries every mutant with the tests that reach it, the quickest first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::{self, Mutant};
use crate::number;
use crate::program::{Program, Verdict};
use crate::reach::{Test, reach};
use crate::report::{End, Tried, report, word};
use crate::survivors::{Survivors, explained};

/// So many times what its tests took before a mutant has, besides the seconds of `SECONDS_FOR_TESTS`.
const TIMES: u32 = 3;
/// Tests that take less than the first of these are tried first, whatever program they are in; then those that take less
/// than the next.
const CLASSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(500), Duration::from_secs(4)];
/// How many of one program and class are tried at first, and after them: most mutants fall at once.
const STEPS: [usize; 3] = [3, 20, usize::MAX];
/// What survivors.txt explains is tried with tests that take less than this alone.
const FOR_EXPLAINED: Duration = CLASSES[0];

/// What mutants are tried with.
struct Trial<'a> {
    programs: &'a [Program],
    /// The quickest first.
    tests: &'a [Test],
    /// So long may those of one mutant take, when nothing is wrong.
    budget: Duration,
}

pub(crate) fn run(tree: &Path, programs: Vec<PathBuf>) -> ExitCode {
    let mutants = list::read(&tree.join("mutants.json"));
    let left_out = list::read_left_out(tree);
    let programs: Vec<Program> = programs.into_iter().map(|path| Program::new(tree, path)).collect();
    let start = Instant::now();
    let tests = reach(tree, &programs);
    println!("{} tests or modules, each alone, in {:?}", tests.len(), start.elapsed());
    let start = Instant::now();
    let only = std::env::var_os("ONLY").map(|path| fs::read_to_string(path).expect("ONLY is a file"));
    let only = only.as_deref().map(Survivors::of);
    let mut all: Vec<&Mutant> =
        mutants.iter().filter(|mutant| !left_out.contains_key(&mutant.number)).collect();
    all.retain(|mutant| only.as_ref().is_none_or(|only| only.has(mutant)));
    let budget = Duration::from_secs(number("SECONDS_FOR_ONE").unwrap_or(20));
    let trial = Trial { programs: &programs, tests: &tests, budget };
    let tried = trial.all(tree, &mut all, only.is_some());
    println!("{} of {} mutants tried in {:?}", tried.len(), all.len(), start.elapsed());
    report(&mutants, &left_out, &tried)
}

/// Does something for each of these, so many at once as `JOBS` says.
pub(crate) fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
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

/// No test takes that long by itself, unless the machine is busy.
pub(crate) fn at_least() -> Duration {
    Duration::from_secs(number("SECONDS_FOR_TESTS").unwrap_or(6))
}

impl Trial<'_> {
    /// `fully`: those as well that are explained.
    fn all(&self, tree: &Path, mutants: &mut [&Mutant], fully: bool) -> Vec<Tried> {
        let mut log = File::create(tree.join("verdicts")).expect("the copy can be written");
        writeln!(log, "what\tms\tby\tmutant").expect("the copy can be written");
        let log = Mutex::new(log);
        // Mixed, the same way each time, so that what there was time for stands for all.
        mutants.sort_by_key(|mutant| mutant.number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let seconds = number("SECONDS_FOR_MUTANTS").unwrap_or(u64::from(u32::MAX));
        let (end, explained) = (Instant::now() + Duration::from_secs(seconds), explained());
        let of_the_name = |one: &Mutant| mutants.iter().filter(|other| other.line() == one.line()).count();
        let quickly: BTreeSet<usize> = mutants
            .iter()
            .filter(|mutant| !fully && explained.has_all(mutant, of_the_name(mutant)))
            .map(|mutant| mutant.number)
            .collect();
        let tried = each(mutants, |_, mutant| {
            let start = Instant::now();
            if start > end {
                return None;
            }
            let quickly = quickly.contains(&mutant.number);
            let (became, by) = self.one(mutant, if quickly { FOR_EXPLAINED } else { Duration::MAX });
            let took = start.elapsed().as_millis();
            let line = format!("{}\t{took}\t{by}\t{}", word(became), mutant.placed());
            writeln!(log.lock().expect("nobody panics with it"), "{line}").expect("the copy can be written");
            Some(Tried { mutant: mutant.number, end: became })
        });
        tried.into_iter().flatten().collect()
    }

    /// With the tests that take less than this.
    fn one(&self, mutant: &Mutant, below: Duration) -> (End, String) {
        let reaching: Vec<&Test> =
            self.tests.iter().filter(|test| test.reached.contains(&mutant.number)).collect();
        if reaching.is_empty() {
            return (End::NotReached, String::new());
        }
        for now in self.batches(reaching.into_iter().filter(|test| test.took < below)) {
            let program = &self.programs[now[0].program];
            let names: Vec<&str> = now.iter().flat_map(|test| &test.names).map(String::as_str).collect();
            let took: Duration = now.iter().map(|test| test.took).sum();
            match program.verdict(&names, mutant.number, None, at_least() + took * TIMES) {
                Verdict::Passed => {}
                Verdict::Failed(test) => return (End::Caught, format!("{} {test}", program.name)),
                Verdict::Died => return (End::Caught, format!("{} died", program.name)),
                Verdict::Hung => return (End::Hung, program.name.clone()),
            }
        }
        (End::Missed, String::new())
    }

    /// What is tried at once: tests of one program, and none that is much slower than the others.
    fn batches<'t>(&self, tests: impl Iterator<Item = &'t Test>) -> Vec<Vec<&'t Test>> {
        let class = |test: &Test| CLASSES.iter().filter(|limit| test.took >= **limit).count();
        let mut left = self.budget;
        let mut tests: Vec<&Test> = tests
            .take_while(|test| {
                let is_left = left > Duration::ZERO;
                left = left.saturating_sub(test.took);
                is_left
            })
            .collect();
        // Stable: of one program and class the quickest stay first.
        tests.sort_by_key(|test| (class(test), test.program));
        let mut batches = Vec::new();
        for alike in tests.chunk_by(|one, next| (class(one), one.program) == (class(next), next.program)) {
            let mut rest = alike;
            for step in STEPS {
                let (now, later) = rest.split_at(step.min(rest.len()));
                batches.push(now.to_vec());
                rest = later;
            }
        }
        batches.retain(|batch| !batch.is_empty());
        batches
    }
}
