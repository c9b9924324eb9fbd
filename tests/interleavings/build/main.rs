//! Copies castoff's source, with other things in the place of `std::sync`, `std::thread`, statics and thread-locals.
//! Nothing else is changed, so what is explored is what is shipped.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What starts nothing that the scenarios use, or would have to be there twice.
const LEFT_OUT: [&str; 2] = ["adapters", "testing"];

/// What asks the kernel, once for the whole process, and takes no part in an interleaving.
const AS_IT_IS: [&str; 4] = ["fork.rs", "registry/fence.rs", "usage.rs", "exit/sys.rs"];

fn main() {
    let source = Path::new("../../src");
    println!("cargo::rerun-if-changed=../../src");
    println!("cargo::rerun-if-changed=build");
    // Loom has models of the lock alone, in tests/loom: with it the rest would be too much to explore.
    let biased = env::var_os("CARGO_FEATURE_SHUTTLE").is_some();
    println!("cargo::rustc-cfg={}", if biased { "castoff_model" } else { "castoff_unbiased" });
    println!("cargo::rustc-cfg=castoff_explored");
    // The short way of the lock's owner from the first resource on.
    println!("cargo::rustc-cfg=castoff_eager");
    println!(
        "cargo::rustc-check-cfg=cfg(castoff_unbiased, castoff_bare, castoff_counted, castoff_eager, castoff_explored, castoff_model, castoff_realtime)"
    );
    println!("cargo::rustc-check-cfg=cfg(castoff_planted, values(any()))");
    for feature in ["macros", "serde", "tracing", "metrics", "tokio-process", "process"] {
        println!("cargo::rustc-check-cfg=cfg(feature, values(\"{feature}\"))");
    }
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("castoff");
    // Files that have gone since.
    if target.exists() {
        fs::remove_dir_all(&target).expect("the copy of before can be removed");
    }
    let mut modules = Vec::new();
    copy(source, source, &target);
    if biased {
        let fence = include_str!("fence.rs");
        fs::write(target.join("registry/fence.rs"), fence).expect("the copy can be written");
    }
    for line in fs::read_to_string(source.join("lib.rs")).expect("castoff has a root").lines() {
        modules.extend(root(line, &target));
    }
    modules.push(make_statics(&target));
    fs::write(target.join("modules.rs"), modules.join("\n")).expect("the copy can be written");
}

/// A line of castoff's root: its modules are elsewhere, its documentation is not needed, and it shows nothing that is
/// left out.
fn root(line: &str, target: &Path) -> Option<String> {
    let name = line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?;
    let gone = LEFT_OUT.contains(&name) || matches!(name, "task" | "serialize");
    if gone {
        return None;
    }
    let (file, folder) = (target.join(format!("{name}.rs")), target.join(name).join("mod.rs"));
    let path = if file.exists() { file } else { folder };
    Some(format!("#[path = {path:?}]\n{line}"))
}

fn copy(source: &Path, folder: &Path, target: &Path) {
    for entry in fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("the source can be listed").path();
        let below = path.strip_prefix(source).expect("it is below").to_owned();
        if LEFT_OUT.iter().any(|name| below.starts_with(name)) {
            continue;
        }
        if path.is_dir() {
            copy(source, &path, target);
            continue;
        }
        let text = fs::read_to_string(&path).expect("the source is text");
        let text = if AS_IT_IS.iter().any(|name| below == Path::new(name)) { text } else { stand_in(&text) };
        let text =
            text.replace("#[cfg(test)]", "#[cfg(any())]").replace("#[cfg(all(test,", "#[cfg(all(any(),");
        // Time stands still: an explorer repeats what was done, step by step.
        let text = if below == Path::new("clock.rs") {
            text.replace("castoff_bare", "castoff_explored")
        } else {
            text
        };
        let to = target.join(below);
        fs::create_dir_all(to.parent().expect("a file is in a folder")).expect("the copy can be written");
        fs::write(to, text).expect("the copy can be written");
    }
}

/// The same source over other primitives.
fn stand_in(text: &str) -> String {
    let mut in_locals = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let starts_locals = line.trim() == "thread_local! {";
        in_locals |= starts_locals;
        lines.push(match in_locals {
            true => line.replace("thread_local! {", "crate::stand_in::thread_local! {"),
            false => statics(&seen_by_all(line)),
        });
        in_locals &= line.trim() != "}";
    }
    let text = lines.join("\n") + "\n";
    text.replace("use std::thread_local;", "use crate::stand_in::thread_local;")
        .replace("std::hint::spin_loop", "crate::stand_in::spin_loop")
        .replace(" tokio::", " crate::stand_in::tokio::")
        .replace("(tokio::", "(crate::stand_in::tokio::")
        .replace("std::sync", "crate::stand_in::sync")
        .replace("std::thread", "crate::stand_in::thread")
        // Loom's primitives are made while a model runs, and statics with them.
        .replace("pub(crate) const fn new", "pub(crate) fn new")
}

/// Scenarios look at single files, too.
fn seen_by_all(line: &str) -> String {
    match line.starts_with("mod ") && line.ends_with(';') {
        true => format!("pub(crate) {line}"),
        false => line.replace("pub(super)", "pub(crate)"),
    }
}

/// A function that makes all statics which threads may write.
fn make_statics(target: &Path) -> String {
    let mut all = Vec::new();
    let mut folders = vec![target.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the copy is there") {
            let path = entry.expect("the copy can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(target).expect("it is below").with_extension("");
            let names = below.iter().map(|name| name.to_string_lossy()).filter(|name| name != "mod");
            let module = names.collect::<Vec<_>>().join("::");
            let here = shared_statics(&path);
            if !here.is_empty() {
                // Each in its own module: their types may be nobody else's.
                let makes = format!("\npub(crate) fn make_statics() {{ {} }}\n", here.concat());
                let text = fs::read_to_string(&path).expect("the copy is text");
                fs::write(&path, text + &makes).expect("the copy can be written");
                all.push(format!("crate::{module}::make_statics();"));
            }
        }
    }
    all.sort();
    format!("pub(crate) fn make_statics() {{\n{}\n}}", all.join("\n"))
}

/// The names of those that are always compiled. What is written once alone needs no making.
fn shared_statics(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the copy is text");
    let needs_tokio = path.ends_with("runtime/reactor.rs") && env::var_os("CARGO_FEATURE_TOKIO").is_none();
    if needs_tokio || path.ends_with("exit/elsewhere.rs") {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut names = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, kind)) = line
            .trim_start_matches("pub(crate) ")
            .strip_prefix("static ")
            .and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let written =
            ["Atomic", "Lock<", "Mutex<", "Condvar", "Turns"].iter().any(|word| kind.contains(word));
        if written && kind.contains("stand_in::Static") && !lines[at.saturating_sub(1)].starts_with("#[cfg") {
            names.push(format!("{name}.make(); "));
        }
    }
    names
}

/// `static NAME: TYPE = VALUE;`, made anew for each execution.
fn statics(line: &str) -> String {
    let place = line.find("static ").filter(|at| {
        let before = line[..*at].trim();
        before.is_empty() || before == "pub(crate)"
    });
    let parts = || {
        let (head, rest) = line.split_at(place? + "static ".len());
        let (name, rest) = rest.split_once(": ")?;
        let (kind, value) = rest.strip_suffix(';')?.split_once(" = ")?;
        Some((head, name, kind, value))
    };
    match parts() {
        Some((head, name, kind, value)) => format!(
            "{head}{name}: crate::stand_in::Static<{kind}> = crate::stand_in::Static::new(|| {value});"
        ),
        None => line.to_owned(),
    }
}
