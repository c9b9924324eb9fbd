//! The layers of the source: who may import whom, and what some modules must not know.
//!
//! Reads the crate's own source as text: comments left out, and what is compiled for tests only. Not a parser; it
//! knows as much of Rust as it takes to find paths and words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. A module imports from lower layers and itself, and from its own layer where no
/// circle arises.
const LAYERS: [&[&str]; 13] = [
    &[
        "cleanup",
        "clock",
        "error",
        "finding",
        "foreign",
        "fork",
        "id",
        "memory",
        "resource",
        "serialize",
        "sync",
        "touch",
        "unwind",
        "usage",
    ],
    // They know the vocabulary, and nobody knows them: see `adapters_know_the_vocabulary_and_nobody_knows_them`.
    &["adapters"],
    &["config", "events", "runtime", "stats"],
    &["graph", "report"],
    &["registry"],
    &["work"],
    &["leak", "teardown"],
    &["exit"],
    &["guard"],
    &["registration"],
    &["manager"],
    &["task", "testing", "thread"],
    &["lib"],
];

/// What the graph must not know: locks, time, closures.
const NOT_IN_GRAPH: [&str; 4] = ["Mutex", "Lock", "Instant", "Box<dyn"];

/// The only files that may hold unsafe code.
const UNSAFE: [&str; 6] = [
    "src/adapters/custom/env_var.rs",
    "src/cleanup/work.rs",
    "src/clock.rs",
    "src/exit/sys.rs",
    "src/fork.rs",
    "src/registry/biased.rs",
];

/// All that an adapter may know of castoff.
const FOR_ADAPTERS: [&str; 4] = ["cleanup", "error", "id", "resource"];

/// What would define something in `lib.rs`.
const DEFINES: [&str; 9] =
    ["const", "enum", "fn", "impl", "macro_rules", "static", "struct", "trait", "type"];

/// One file of the source.
struct Source {
    path: String,
    /// Without comments.
    code: String,
    /// Without strings either.
    bare: String,
    /// Without what is for tests, but with strings: serde's attributes name paths in them.
    shipped: String,
}

/// An import: which module imports which, and where.
#[derive(Clone)]
struct Import {
    from: String,
    to: String,
    at: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let (code, bare) = (blank(text, false), blank(text, true));
        let mut shipped = code.clone();
        for (start, end) in test_parts(&bare) {
            let gap: String = shipped[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
            let kept = shipped.split_off(end);
            shipped.truncate(start);
            // As long in bytes, so that later places stay what they are.
            shipped.push_str(&gap);
            shipped.extend(std::iter::repeat_n(' ', end - shipped.len()));
            shipped.push_str(&kept);
        }
        Source { path: path.to_owned(), code, bare, shipped }
    }

    /// The names of the modules from the root down to this file: none for `lib.rs`.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|name| !matches!(*name, "mod" | "lib")).collect()
    }

    fn module(&self) -> &str {
        self.modules().first().copied().unwrap_or("lib")
    }

    fn is_for_tests(&self) -> bool {
        self.modules().contains(&"tests")
    }

    fn at(&self, place: usize) -> String {
        format!("{}:{}", self.path, self.code[..place].matches('\n').count() + 1)
    }

    /// Every path from the crate's root in what is shipped.
    fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        for (place, _) in words(&self.shipped, "crate") {
            let rest = &self.shipped[place + "crate".len()..];
            found.extend(heads(rest).into_iter().map(|to| (place, to)));
        }
        let depth = self.modules().len();
        for (place, _) in words(&self.shipped, "super") {
            // Of a chain of them the first: it knows how far the chain goes.
            if self.shipped[..place].ends_with("super::") {
                continue;
            }
            let mut rest = &self.shipped[place + "super".len()..];
            let mut steps = 1;
            while let Some(further) = rest.strip_prefix("::super") {
                (rest, steps) = (further, steps + 1);
            }
            if steps >= depth {
                found.extend(heads(rest).into_iter().map(|to| (place, to)));
            }
        }
        let import = |(place, to)| Import { from: self.module().to_owned(), to, at: self.at(place) };
        found.into_iter().map(import).collect()
    }
}

/// The first names of a path's rest, or of each path of a list in braces.
fn heads(rest: &str) -> Vec<String> {
    let Some(rest) = rest.trim_start().strip_prefix("::") else { return Vec::new() };
    let rest = rest.trim_start();
    let Some(list) = rest.strip_prefix('{') else { return Vec::from([name(rest)]) };
    let mut depth = 0;
    let mut heads = Vec::from([name(list.trim_start())]);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(name(list[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Where a word stands, or a piece of text that begins and ends as one.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter(move |(at, _)| {
        let before = text[..*at].chars().next_back().is_some_and(part);
        let after = text[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

/// The text with comments, and if wanted what is in strings, as blanks: every line stays where it is.
fn blank(text: &str, strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (length, hide) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), true)
        } else if let Some(length) =
            raw_string(rest).filter(|_| !out.ends_with(|c: char| c.is_alphanumeric()))
        {
            (length, strings)
        } else if next == '"' {
            (string(rest), strings)
        } else if next == '\'' {
            (character(rest), strings)
        } else {
            (next.len_utf8(), false)
        };
        let (token, further) = rest.split_at(length);
        if hide {
            // A blank for each byte, so that places are the same in every form of the text.
            out.extend(token.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(token);
        }
        rest = further;
    }
    out
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?.bytes().take_while(|byte| *byte == b'#').count();
    let start = hashes + 2;
    rest.get(..start)?.ends_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character's literal, or the mark alone where it begins a lifetime.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(rest.len(), |at| at + 4),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// From where to where something is compiled for tests only.
fn test_parts(bare: &str) -> Vec<(usize, usize)> {
    let end_of = |start: usize| {
        let mut depth = 0;
        for (at, character) in bare[start..].char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 1 => return start + at + 1,
                '}' => depth -= 1,
                ';' if depth == 0 => return start + at + 1,
                _ => {}
            }
        }
        bare.len()
    };
    bare.match_indices("#[cfg(test)]").map(|(start, _)| (start, end_of(start))).collect()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn imports(sources: &[Source]) -> Vec<Import> {
    let shipped = sources.iter().filter(|source| !source.is_for_tests());
    shipped.flat_map(Source::imports).filter(|import| import.from != import.to).collect()
}

/// Imports from a higher layer, or from something that is in none.
fn upwards(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| rank(source.module()).is_none()) {
        wrong.push(format!("{}:1: `{}` is in no layer", source.path, source.module()));
    }
    for Import { from, to, at } in imports(sources) {
        match (rank(&from), rank(&to)) {
            (Some(from_rank), Some(to_rank)) if to_rank > from_rank => {
                wrong.push(format!("{at}: `{from}` imports from `{to}`, which is in a higher layer"));
            }
            (_, None) => {
                wrong.push(format!("{at}: `{from}` imports `{to}` from the root, which is no module"))
            }
            _ => {}
        }
    }
    wrong
}

/// Circles of modules: of each, one import that is part of it.
fn circles(sources: &[Source]) -> Vec<String> {
    let mut edges: BTreeMap<(String, String), String> = BTreeMap::new();
    for import in imports(sources) {
        edges.entry((import.from, import.to)).or_insert(import.at);
    }
    let mut left: BTreeSet<&str> = edges.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    // What imports nothing that is left goes; what is left in the end is in a circle or above one.
    loop {
        let above =
            |module: &str| edges.keys().any(|(from, to)| from == module && left.contains(to.as_str()));
        let below =
            |module: &str| edges.keys().any(|(from, to)| to == module && left.contains(from.as_str()));
        let free: Vec<&str> =
            left.iter().copied().filter(|module| !above(module) || !below(module)).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|module| !free.contains(module));
    }
    let inside =
        edges.iter().filter(|((from, to), _)| left.contains(from.as_str()) && left.contains(to.as_str()));
    inside
        .map(|((from, to), at)| format!("{at}: `{from}` imports `{to}`, which imports it in turn"))
        .collect()
}

/// Where these words stand in the sources that are meant.
fn named<'a>(
    sources: &'a [Source],
    meant: impl Fn(&Source) -> bool,
    text: impl Fn(&'a Source) -> &'a str,
    banned: &[&str],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| meant(source)) {
        for word in banned {
            wrong.extend(
                words(text(source), word).map(|(place, _)| format!("{}: `{word}`", source.at(place))),
            );
        }
    }
    wrong
}

fn in_graph(sources: &[Source]) -> Vec<String> {
    named(
        sources,
        |source| source.module() == "graph" && !source.is_for_tests(),
        |it| &it.shipped,
        &NOT_IN_GRAPH,
    )
}

fn unsafety(sources: &[Source]) -> Vec<String> {
    named(sources, |source| !UNSAFE.contains(&source.path.as_str()), |it| &it.bare, &["unsafe"])
}

/// The order is the graph's: who ends a process has no need of the crate behind it.
fn in_exit(sources: &[Source]) -> Vec<String> {
    named(sources, |source| source.module() == "exit", |it| &it.bare, &["petgraph"])
}

fn definitions(sources: &[Source]) -> Vec<String> {
    named(sources, |source| source.path == "src/lib.rs", |it| &it.bare, &DEFINES)
}

/// What adapters import beyond the vocabulary, and who imports them.
fn around_adapters(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Import { from, to, at } in imports(sources) {
        if from == "adapters" && !FOR_ADAPTERS.contains(&to.as_str()) {
            wrong.push(format!("{at}: an adapter imports `{to}`, which is more than the vocabulary"));
        }
        if to == "adapters" {
            wrong.push(format!("{at}: `{from}` imports adapters"));
        }
    }
    wrong
}

fn unwraps(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !source.is_for_tests()) {
        let places = source.shipped.match_indices(".unwrap()");
        wrong.extend(places.map(|(place, _)| format!("{}: `.unwrap()`", source.at(place))));
    }
    wrong
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("the source can be listed").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(&root.join("src"), &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let relative = path.strip_prefix(root).expect("it is below the root");
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        Source::new(&parts.join("/"), &fs::read_to_string(path).expect("the source is text"))
    };
    paths.iter().map(read).collect()
}

#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_module_imports_from_lower_layers_only() {
    none(&upwards(&sources()));
}

#[test]
fn the_layers_name_what_there_is() {
    let sources = sources();
    let there: BTreeSet<&str> = sources.iter().map(Source::module).collect();
    let missing: Vec<&&str> =
        LAYERS.iter().copied().flatten().filter(|name| !there.contains(**name)).collect();
    assert!(missing.is_empty(), "tests/architecture.rs names modules that src does not have: {missing:?}");
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let sources = sources();
    none(&circles(&sources));
}

#[test]
fn the_graph_knows_no_locks_time_or_closures() {
    none(&in_graph(&sources()));
}

#[test]
fn only_the_files_of_the_list_have_unsafe_code() {
    none(&unsafety(&sources()));
}

#[test]
fn exit_does_not_know_petgraph() {
    none(&in_exit(&sources()));
}

#[test]
fn adapters_know_the_vocabulary_and_nobody_knows_them() {
    none(&around_adapters(&sources()));
}

#[test]
fn nothing_that_is_shipped_unwraps() {
    none(&unwraps(&sources()));
}

#[test]
fn the_root_defines_nothing() {
    none(&definitions(&sources()));
}

#[test]
fn each_check_names_the_line_of_what_it_is_for() {
    let plant = |path: &str, text: &str| [Source::new(path, text)];
    let up =
        upwards(&plant("src/id.rs", "// crate::guard\nuse crate::{sync::Lock, registry::{self, Seen}};\n"));
    assert_eq!(up, ["src/id.rs:2: `id` imports from `registry`, which is in a higher layer"]);
    let inline =
        upwards(&plant("src/graph/order/line.rs", "fn f() {\n  super::super::super::work::run();\n}"));
    assert_eq!(
        inline,
        ["src/graph/order/line.rs:2: `graph` imports from `work`, which is in a higher layer"]
    );
    let root = upwards(&plant("src/work.rs", "use crate::ResourceGuard;"));
    assert_eq!(root, ["src/work.rs:1: `work` imports `ResourceGuard` from the root, which is no module"]);
    assert_eq!(upwards(&plant("src/util.rs", "")), ["src/util.rs:1: `util` is in no layer"]);

    let circle = [
        Source::new("src/clock.rs", "\nuse crate::sync::Lock;"),
        Source::new("src/sync.rs", "use crate::clock;"),
    ];
    assert_eq!(
        circles(&circle),
        [
            "src/clock.rs:2: `clock` imports `sync`, which imports it in turn",
            "src/sync.rs:1: `sync` imports `clock`, which imports it in turn",
        ]
    );
    let graph = "type A = Box<dyn Fn()>;\n// Mutex\nuse std::time::Instant; // Lock\nstruct Locked;";
    assert_eq!(
        in_graph(&plant("src/graph/mod.rs", graph)),
        ["src/graph/mod.rs:3: `Instant`", "src/graph/mod.rs:1: `Box<dyn`"]
    );
    let code =
        "#![allow(unsafe_code)]\nconst A: &str = \"unsafe\";\nconst B: char = '\"'; fn f() { unsafe {} }\n";
    assert_eq!(unsafety(&plant("src/id.rs", code)), ["src/id.rs:3: `unsafe`"]);
    assert_eq!(unsafety(&plant("src/fork.rs", code)), [""; 0]);
    let petgraph = in_exit(&plant("src/exit/end.rs", "// petgraph\nuse petgraph::Graph;"));
    assert_eq!(petgraph, ["src/exit/end.rs:2: `petgraph`"]);
    let adapter =
        around_adapters(&plant("src/adapters/file.rs", "use super::held;\nuse crate::{id, sync::Lock};"));
    assert_eq!(
        adapter,
        ["src/adapters/file.rs:2: an adapter imports `sync`, which is more than the vocabulary"]
    );
    let known = around_adapters(&plant("src/guard.rs", "use crate::adapters::Restore;"));
    assert_eq!(known, ["src/guard.rs:1: `guard` imports adapters"]);
    let unwrap = "#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } }\nfn g() { b.unwrap() }";
    assert_eq!(unwraps(&plant("src/id.rs", unwrap)), ["src/id.rs:3: `.unwrap()`"]);
    assert_eq!(definitions(&plant("src/lib.rs", "mod a;\npub fn f() {}")), ["src/lib.rs:2: `fn`"]);
}
