//! Tests whose footprint is looked at: exact though others run in the process, because these are given one of their own.

use crate::nextest::{nextest, statuses};
use crate::{run, told};

const FAULTS: [(&str, &str); 5] = [
    ("fails_with_a_descriptor", ": /etc/passwd"),
    ("fails_with_a_thread", " `sleeper`"),
    ("fails_with_a_child", " `sleep 20`, since "),
    ("fails_async_with_a_socket", "  socket 127.0.0.1:"),
    ("fails_with_a_panic_and_a_descriptor", ": /etc/passwd"),
];

#[test]
fn what_a_test_leaves_to_the_system_fails_it_and_no_other_while_others_open_and_start_things() {
    for threads in ["8", "1"] {
        let output = run("footprint", &["--test-threads", threads], &[]);
        assert_eq!(output.status.code(), Some(101));
        let told = told(&output);
        assert_eq!(told.results.len(), 16);
        for (name, result) in &told.results {
            let fails = name.starts_with("fails") && !result.starts_with("ignored");
            assert_eq!(result == "FAILED", fails, "{name}: {result}\n{:?}", told.outputs.get(name));
        }
        for (name, text) in FAULTS {
            let output = &told.outputs[name];
            assert!(
                output.contains("1 thing came and is still held, and nobody has registered it:"),
                "{output}"
            );
            assert!(output.contains(text), "{name} does not say {text:?}\n{output}");
            assert!(output.contains("the test failed in a process of its own"), "{output}");
            assert!(output.contains("panicked at tests/testing/downstream/tests/footprint.rs:"), "{output}");
        }
        assert!(told.outputs["fails_with_a_panic_and_a_descriptor"].contains("its own panic"));
    }
}

#[test]
fn one_that_is_ignored_and_asked_for_is_found_in_its_process_and_its_output_is_seen() {
    let output = run("footprint", &["fails_where_it_is", "--ignored"], &[]);
    assert_eq!(output.status.code(), Some(101));
    assert!(told(&output).outputs["fails_where_it_is_ignored"].contains(": /etc/passwd"));

    let output = run("footprint", &["passes_and_leaves", "--nocapture"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("it runs in process "));
}

#[test]
fn one_that_is_named_alone_is_looked_at_where_it_is() {
    let output = run("footprint", &["fails_with_a_descriptor", "--exact"], &[]);
    assert_eq!(output.status.code(), Some(101));
    let output = &told(&output).outputs["fails_with_a_descriptor"];
    assert!(output.contains("the test's body passed, but\n1 thing came"), "{output}");
    assert!(!output.contains("process of its own"), "{output}");
}

#[test]
fn nextest_gives_it_a_process_already() {
    let Some(output) = nextest(&["--test", "footprint"], &[]) else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(100), "{text}");
    for (status, _, name) in statuses(&output) {
        // A child that keeps the output open is a leak for nextest too.
        assert_eq!(status == "FAIL", name.starts_with("fails"), "{status} {name}\n{text}");
    }
    assert!(!text.contains("in a process of its own"), "{text}");
}
