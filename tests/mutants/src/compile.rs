//! What the compiler says of the copy: which mutants do not compile, and which are not compiled here.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::list::{self, LeftOut};
use crate::plant::{Source, Written};

const PACKAGE: [&str; 4] = ["--package", "castoff-sanitized", "--lib", "--quiet"];

/// What the compiler says of the copy.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) wrong: LeftOut,
    /// What it has not taken out because it is for other systems and features.
    pub(crate) compiled: BTreeSet<usize>,
}

pub(crate) fn check(tree: &Path, sources: &[Source], written: &[Written]) -> Checked {
    let output = Command::new("cargo")
        .current_dir(tree)
        .arg("check")
        .args(PACKAGE)
        .args(["--message-format", "json"])
        .output()
        .expect("cargo can be started");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut checked = Checked::default();
    let mut unknown = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let message = &message["message"];
        let Some(spans) = message["spans"].as_array().filter(|spans| !spans.is_empty()) else { continue };
        if message["code"]["code"] == "deprecated" {
            checked.compiled.extend(asked(&spans[0]));
        }
        if message["level"] != "error" {
            continue;
        }
        let found = blamed(tree, sources, written, spans);
        if found.is_empty() {
            unknown.push(message["rendered"].as_str().unwrap_or_default().to_owned());
        }
        checked.wrong.extend(found);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || !checked.wrong.is_empty(), "{}\n{errors}", unknown.concat());
    checked
}

/// The number that a call of `mutant` gives.
fn asked(span: &Value) -> Option<usize> {
    let line = span["text"][0]["text"].as_str()?;
    let end = span["column_end"].as_u64()? as usize;
    let rest: String = line.chars().skip(end - 1).collect();
    rest.strip_prefix('(')?.split(')').next()?.parse().ok()
}

/// The mutants whose own text an error is about; else those that are put most closely around it.
fn blamed(tree: &Path, sources: &[Source], written: &[Written], spans: &[Value]) -> Vec<(usize, String)> {
    let mut own = Vec::new();
    let mut around: Vec<(usize, usize)> = Vec::new();
    for span in spans {
        let path = tree.join(span["file_name"].as_str().unwrap_or_default()).canonicalize();
        let Ok(path) = path else { continue };
        let Some(file) = sources.iter().position(|source| source.path == path) else { continue };
        let byte = |end: &str| span[end].as_u64().unwrap_or_default() as usize;
        let (from, to) = (byte("byte_start"), byte("byte_end"));
        let holds = |range: &Range<usize>| range.start <= from && to <= range.end;
        own.extend(written[file].own.iter().filter(|(range, _)| holds(range)).map(|(_, number)| *number));
        if span["is_primary"] == true {
            let all = written[file].around.iter().filter(|(range, _)| holds(range));
            around.extend(all.map(|(range, number)| (range.len(), *number)));
        }
    }
    if !own.is_empty() {
        return own.into_iter().map(|number| (number, list::UNVIABLE.to_owned())).collect();
    }
    let closest = around.iter().map(|(length, _)| *length).min();
    let closest = around.into_iter().filter(|(length, _)| Some(*length) == closest);
    closest.map(|(_, number)| (number, "does not fit beside what was there".to_owned())).collect()
}
