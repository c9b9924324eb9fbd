//! A child's number is its own until its cleanup, and is not used when it is another's.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use castoff::ResourceGuard;
use castoff::adapters::ChildProcess;

use super::{is_alive, pid};
use crate::alone::{alone, until};
use crate::contract::manager;
use crate::support::Descriptors;

#[test]
fn its_number_stays_its_own_until_its_cleanup() {
    alone(|| {
        let mut child = ChildProcess::spawn(Command::new("sh").args(["-c", "exit 3"])).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(3));
        // A zombie: nobody else can get the number.
        assert!(fs::exists(format!("/proc/{}", child.id())).unwrap());
        let manager = manager();
        let child = manager.adopt(child);
        assert!(manager.cleanup().is_success());
        assert!(!fs::exists(format!("/proc/{}", child.id())).unwrap());
        assert_eq!(child.exit_status().unwrap().unwrap().code(), Some(3));
    });
}

#[test]
fn where_there_is_no_descriptor_for_it_it_is_ended_by_its_number() {
    alone(|| {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let number = child.id();
        let all = Descriptors::all_but(0);
        let guard = manager().adopt(ChildProcess::from(child));
        ResourceGuard::close(guard).unwrap();
        drop(all);
        assert!(!fs::exists(format!("/proc/{number}")).unwrap(), "it has ended, and was reaped");
    });
}

/// What a `waitpid(-1)` elsewhere in the program would do.
fn reap_behind_its_back(number: u32) {
    rustix::process::waitpid(Some(pid(number)), rustix::process::WaitOptions::empty()).unwrap();
}

#[test]
fn one_that_somebody_else_has_reaped_is_left_alone() {
    alone(|| {
        let child = ChildProcess::spawn(&mut Command::new("true")).unwrap();
        until("the child to end", || !is_alive(child.id()));
        reap_behind_its_back(child.id());
        assert_eq!(child.exit_status().unwrap_err().raw_os_error(), Some(10));
        ResourceGuard::close(manager().adopt(child)).unwrap();
    });
}

/// Starts another child, which gets this number. `None` where nobody may ask for that.
fn child_with_the_number(number: u32) -> Option<Child> {
    for _ in 0..50 {
        fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).ok()?;
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        if child.id() == number {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    None
}

#[test]
fn a_child_that_got_the_same_number_is_not_hit() {
    for adopt in
        [(|| ChildProcess::spawn(&mut Command::new("true")).unwrap()) as fn() -> ChildProcess, || {
            ChildProcess::from(Command::new("true").spawn().unwrap())
        }]
    {
        alone(|| {
            let child = adopt();
            until("the child to end", || !is_alive(child.id()));
            if fs::exists(format!("/proc/{}", child.id())).unwrap() {
                reap_behind_its_back(child.id());
            }
            let Some(mut other) = child_with_the_number(child.id()) else {
                return println!("SKIPPED: the system gives nobody a number of choice");
            };
            ResourceGuard::close(manager().adopt(child)).unwrap();
            assert!(other.try_wait().unwrap().is_none(), "it was hit");
            other.kill().unwrap();
            other.wait().unwrap();
        });
    }
}

#[test]
fn one_that_has_been_waited_for_keeps_its_status_and_nothing_is_sent_to_its_number() {
    alone(|| {
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        child.wait().unwrap();
        let other = child_with_the_number(child.id());
        let child = ChildProcess::from(child);
        assert_eq!(child.exit_status().unwrap().unwrap().code(), Some(3));
        ResourceGuard::close(manager().adopt(child)).unwrap();
        if let Some(mut other) = other {
            assert!(other.try_wait().unwrap().is_none(), "it was hit");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    });
}
