//! What cargo-mutants has found, and what became of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One change to the source.
pub(crate) struct Mutant {
    pub(crate) number: usize,
    /// As cargo-mutants says it, without the place: that changes with every line above it.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) genre: String,
    /// Lines and columns from 1, and the end past the last one.
    pub(crate) from: (usize, usize),
    pub(crate) to: (usize, usize),
    pub(crate) replacement: String,
}

impl Mutant {
    /// The part of the core that it is in.
    pub(crate) fn area(&self) -> &str {
        let path = self.file.trim_start_matches("src/");
        path.split(['/', '.']).next().unwrap_or(path)
    }

    /// As survivors.txt has it.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.file, self.name)
    }

    /// The same with its place.
    pub(crate) fn placed(&self) -> String {
        format!("{}:{}: {}", self.file, self.from.0, self.name)
    }
}

/// Numbered from 1: 0 is the source as it is.
pub(crate) fn read(list: &Path) -> Vec<Mutant> {
    let text = fs::read_to_string(list).unwrap_or_else(|e| panic!("no list of mutants {list:?}: {e}"));
    let all: Vec<Value> = serde_json::from_str(&text).expect("cargo-mutants writes JSON");
    all.iter().enumerate().map(|(at, value)| mutant(at + 1, value)).collect()
}

fn mutant(number: usize, value: &Value) -> Mutant {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let place = |end: &str| {
        let place = &value["span"][end];
        let number = |key: &str| place[key].as_u64().expect("a place has a line and a column") as usize;
        (number("line"), number("column"))
    };
    let name = text("name");
    // src/guard.rs:12:3: replace ...
    let name = name.split_once(": ").map_or(name.as_str(), |(_, rest)| rest).to_owned();
    Mutant {
        number,
        name,
        file: text("file"),
        genre: text("genre"),
        from: place("start"),
        to: place("end"),
        replacement: text("replacement"),
    }
}

/// Why a mutant is not among the branches.
pub(crate) const UNVIABLE: &str = "does not compile";
pub(crate) const NOT_COMPILED: &str = "not compiled here";

/// By number why it was left out.
pub(crate) type LeftOut = BTreeMap<usize, String>;

pub(crate) fn write_left_out(tree: &Path, left_out: &LeftOut) {
    let lines: Vec<String> = left_out.iter().map(|(number, why)| format!("{number}\t{why}\n")).collect();
    fs::write(tree.join("left-out"), lines.concat()).expect("the copy can be written");
}

pub(crate) fn read_left_out(tree: &Path) -> LeftOut {
    let text = fs::read_to_string(tree.join("left-out")).expect("`plant` has been here");
    let line = |line: &str| {
        let (number, why) = line.split_once('\t').expect("a number and a reason");
        (number.parse().expect("a number"), why.to_owned())
    };
    text.lines().map(line).collect()
}
