//! Which mutants each test reaches, and how long it takes: every test by itself, as the source is.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::number;
use crate::program::{Program, Verdict};
use crate::run::{at_least, each};

/// A byte for each mutant, as in chosen.rs.
const MOST: u64 = 1 << 16;

/// A test, or all of a module, and which mutants it reaches.
pub(crate) struct Test {
    pub(crate) program: usize,
    pub(crate) names: Vec<String>,
    pub(crate) took: Duration,
    pub(crate) reached: Vec<usize>,
}

/// The quickest first. What was found of these very programs before is still true.
pub(crate) fn reach(tree: &Path, programs: &[Program]) -> Vec<Test> {
    let path = tree.join("reach");
    let skip = std::env::var("SKIP").unwrap_or_default();
    let of = json!([programs.iter().map(Program::version).collect::<Vec<_>>(), number("BY_MODULE"), skip]);
    if let Some(tests) = kept(&path, &of) {
        return tests;
    }
    let mut all = Vec::new();
    for (at, program) in programs.iter().enumerate() {
        let mut names = program.tests();
        names.retain(|name| !skip.split_whitespace().any(|part| name.contains(part)));
        let parts: Vec<&[String]> = if number("BY_MODULE").is_some() {
            names.chunk_by(|left, right| module(left) == module(right)).collect()
        } else {
            names.chunks(1).collect()
        };
        all.extend(parts.into_iter().map(|names| (at, names.to_vec())));
    }
    let tests = each(&all, |job, (program, names)| alone(tree, programs, job, *program, names));
    let mut tests: Vec<Test> = tests.into_iter().flatten().collect();
    tests.sort_by_key(|test| test.took);
    let lines: Vec<Value> = tests.iter().map(Test::line).collect();
    fs::write(&path, json!([of, lines]).to_string()).expect("the copy can be written");
    tests
}

fn kept(path: &Path, of: &Value) -> Option<Vec<Test>> {
    let text = fs::read_to_string(path).ok()?;
    let kept: Value = serde_json::from_str(&text).ok()?;
    if kept[0] != *of {
        return None;
    }
    kept[1].as_array()?.iter().map(Test::of).collect()
}

impl Test {
    fn line(&self) -> Value {
        json!([self.program, self.names, self.took.as_micros() as u64, self.reached])
    }

    fn of(line: &Value) -> Option<Test> {
        let names = line[1].as_array()?.iter().map(|name| Some(name.as_str()?.to_owned()));
        let reached = line[3].as_array()?.iter().map(|number| Some(number.as_u64()? as usize));
        Some(Test {
            program: line[0].as_u64()? as usize,
            names: names.collect::<Option<_>>()?,
            took: Duration::from_micros(line[2].as_u64()?),
            reached: reached.collect::<Option<_>>()?,
        })
    }
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
        let verdict = programs[program].verdict(&arguments, 0, Some(&path), 10 * at_least());
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
