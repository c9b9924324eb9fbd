//! What `#[castoff::test]` and `Shared` refuse, and at which token: each file of tests/ui is one mistake, named after it.
//!
//! Compiled by rustc itself against the castoff that cargo has just built, and compared with the file's `.stderr` line by
//! line, in the short form: place and message, which are castoff's, without the drawing, which is the compiler's. With
//! `CASTOFF_UI=write` the files are written instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{artifacts, cargo, library, messages, unset};

#[test]
fn every_mistake_is_refused_at_its_token_with_what_to_do() {
    assert!(compared("tests/ui", &artifacts().library) > 20);
}

/// With the features that are on by default, and so without tokio.
#[test]
fn so_is_an_async_test_where_castoff_knows_no_runtime() {
    let mut check = cargo();
    check.args(["check", "--quiet", "--locked", "--package", "castoff", "--message-format", "json"]);
    let checked = check.stderr(Stdio::inherit()).output().expect("cargo can be started");
    assert!(checked.status.success(), "castoff can't be checked: {}", checked.status);
    let text = String::from_utf8(checked.stdout).expect("cargo writes text");
    assert_eq!(compared("tests/ui/without_tokio", &library(&messages(&text))), 1);
}

/// Compares all cases of a folder. How many there are.
#[track_caller]
fn compared(folder: &str, library: &Path) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root.join(folder))
        .expect("the cases are there")
        .map(|entry| entry.expect("they can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    cases.sort();
    let wrong: Vec<String> = cases.iter().filter_map(|case| compare(root, case, library)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    cases.len()
}

fn compare(root: &Path, case: &Path, library: &Path) -> Option<String> {
    let told = compile(root, case, library);
    let expected = case.with_extension("stderr");
    if std::env::var_os("CASTOFF_UI").is_some_and(|mode| mode == "write") {
        std::fs::write(&expected, &told).expect("it can be written");
    }
    let wanted =
        std::fs::read_to_string(&expected).unwrap_or_else(|_| String::from("(there is no such file)\n"));
    (told != wanted).then(|| format!("{}:\nwanted:\n{wanted}told:\n{told}", case.display()))
}

/// The errors, a line each.
fn compile(root: &Path, case: &Path, library: &Path) -> String {
    let case = case.strip_prefix(root).expect("it is below the root");
    let dependencies = library.parent().expect("a library is in a folder");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    unset(&mut rustc);
    rustc.current_dir(root).arg(case);
    rustc.args([
        "--test",
        "--edition",
        "2024",
        "--emit",
        "metadata",
        "--error-format",
        "short",
        "--cap-lints",
        "allow",
    ]);
    rustc.arg("--extern").arg(format!("castoff={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", dependencies.display()));
    let folder = tempfile::tempdir().expect("a directory can be had");
    let output = rustc.arg("--out-dir").arg(folder.path()).output().expect("rustc can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    let errors = text.lines().filter(|line| line.contains(": error"));
    errors.map(|line| format!("{}\n", line.replace('\\', "/"))).collect()
}
