//! Mutants in one build. `castoff-mutants plant TREE LIST` writes what cargo-mutants lists into a copy of the
//! repository; `castoff-mutants run TREE PROGRAM ...` tries each of them with these test programs, which were built from
//! that copy.
//!
//! `LEAST` is how many of a hundred have to be noticed, `JOBS` how many are tried at once, and after
//! `SECONDS_FOR_MUTANTS` no other is begun. A mutant is tried with tests that together took `SECONDS_FOR_ONE` (20)
//! before, the quickest of those that reach it: one that only others would notice counts as missed. They may take
//! `SECONDS_FOR_TESTS` (6) longer than three times what they took before, or they hang. `ONLY` is a file that names those
//! to be tried, as survivors.txt does; `SKIP` has parts of the names of tests that are not used. `BY_MODULE=1` is for a
//! machine that is busy: what is reached is then noted by module, not by test.

mod compile;
mod list;
mod places;
mod plant;
mod program;
mod reach;
mod report;
mod run;
mod survivors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["plant", tree, list] => plant::plant(Path::new(tree), Path::new(list)),
        ["run", tree, ref programs @ ..] => {
            return run::run(Path::new(tree), programs.iter().map(PathBuf::from).collect());
        }
        _ => {
            eprintln!("castoff-mutants plant TREE LIST | run TREE PROGRAM ...");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// What a variable of the environment is set to.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number")))
}
