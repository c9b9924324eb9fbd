//! Without `/proc`, with very many descriptors, as JSON.

use std::error::Error;
use std::fs::File;
use std::process::{Command, Stdio};

use castoff::{Footprint, FootprintError};

use crate::support::{allow_descriptors, alone, alone_under, capture, hide_proc, in_a_fork, since};

#[test]
fn without_proc_there_is_an_error_that_names_what_could_not_be_read() {
    alone(|| {
        let permitted = in_a_fork(hide_proc).success();
        if !permitted {
            return eprintln!("SKIPPED: nothing may be mounted over /proc here");
        }
        let ended = in_a_fork(|| {
            assert!(hide_proc());
            let refused = Footprint::capture().expect_err("there is no /proc");
            let said = refused.to_string();
            assert!(matches!(refused, FootprintError::Io(_)) && refused.source().is_some());
            assert!(said.contains("/proc/self/task") && said.contains("No such file"), "{said}");
            true
        });
        assert!(ended.success(), "{ended}");
    });
}

fn hold(count: usize) -> Option<Vec<File>> {
    if allow_descriptors() < count + 100 {
        eprintln!("SKIPPED: {count} descriptors are more than may be open here");
        return None;
    }
    Some((0..count).map(|_| File::open("/dev/null").expect("a file")).collect())
}

#[test]
fn ten_thousand_descriptors_are_all_found() {
    alone(|| {
        let before = capture();
        let Some(held) = hold(10_000) else { return };
        assert_eq!(since(&before).fds.len(), held.len());
    });
}

/// It hides the vDSO: who looks for the clock there on his own account crashes.
#[test]
fn under_valgrind_a_footprint_finds_what_came() {
    let there = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if there.is_err() {
        assert!(std::env::var_os("CASTOFF_REQUIRE_SERVICES").is_none(), "valgrind is not installed");
        return eprintln!("SKIPPED: valgrind is not installed");
    }
    alone_under(&["valgrind", "--quiet", "--tool=none"], || {
        let before = capture();
        let _held = File::open("/dev/null").expect("a file");
        assert_eq!(since(&before).fds.len(), 1);
    });
}

#[cfg(feature = "serde")]
#[test]
fn footprints_and_deltas_are_json() {
    alone(|| {
        let before = capture();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let after = capture();
        let json = serde_json::to_value(&after).expect("JSON");
        let descriptors = json["descriptors"].as_array().expect("a list");
        let socket =
            descriptors.iter().find(|it| it["kind"] == "socket" && it["socket"]["state"] == "LISTEN");
        let address = listener.local_addr().expect("bound").to_string();
        assert_eq!(socket.expect("the listener")["socket"]["local"], address);
        assert!(json["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
        assert!(json["threads"][0]["tid"].is_u64());
        let delta = serde_json::to_value(after.since(&before)).expect("JSON");
        assert!(delta["sockets"][0].as_str().is_some_and(|line| line.contains(&address)));
        assert_eq!(delta["children"].as_array().map(Vec::len), Some(0));
    });
}
