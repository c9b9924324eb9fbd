//! Real children: that end when asked, that do not, that have children of their own, that have ended.

mod numbers;
#[cfg(feature = "tokio-process")]
mod of_tokio;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use castoff::adapters::{ChildError, ChildProcess};
use castoff::{CleanupErrorKind, ResourceGuard};
use rustix::process::{Pid, Signal};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager};

/// A shell that runs this, and the numbers that it says first.
fn shell(script: &str) -> (ChildProcess, Vec<u32>) {
    let mut command = Command::new("sh");
    let mut child = ChildProcess::spawn(command.args(["-c", script]).stdout(Stdio::piped())).unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let mut numbers: Vec<u32> = said.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.push(child.id());
    (child, numbers)
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn none_is_alive(numbers: &[u32]) -> bool {
    !numbers.iter().any(|pid| is_alive(*pid))
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn terminate(number: u32) {
    rustix::process::kill_process(pid(number), Signal::TERM).unwrap();
}

/// A child with a grandchild.
struct Family;

impl Case for Family {
    type Adopted = ChildProcess;
    type Witness = Vec<u32>;

    fn make() -> (ChildProcess, Vec<u32>) {
        shell("sleep 600 & echo $!; wait")
    }

    fn is_over(numbers: &Vec<u32>) -> bool {
        none_is_alive(numbers)
    }

    fn end_first(child: &mut ChildProcess, numbers: &Vec<u32>) {
        numbers.iter().for_each(|number| terminate(*number));
        child.wait().unwrap();
    }
}

impl Hangs for Family {
    fn make_hanging() -> (ChildProcess, Vec<u32>) {
        // What is ignored stays ignored in a child.
        shell("trap '' TERM; sleep 600 & echo $!; wait")
    }

    fn after(numbers: Vec<u32>) {
        assert!(none_is_alive(&numbers), "the last resort has killed the group");
    }
}

contract!(Family);

/// A child that was started elsewhere, adopted alone.
mod started_elsewhere {
    use super::*;

    struct Sleeper;

    impl Case for Sleeper {
        type Adopted = ChildProcess;
        type Witness = u32;

        fn make() -> (ChildProcess, u32) {
            let child = Command::new("sleep").arg("600").spawn().unwrap();
            let number = child.id();
            (child.into(), number)
        }

        fn is_over(number: &u32) -> bool {
            !is_alive(*number)
        }

        fn end_first(child: &mut ChildProcess, number: &u32) {
            terminate(*number);
            child.wait().unwrap();
        }
    }

    impl Hangs for Sleeper {
        /// Stopped by SIGSTOP, and deaf to what it gets when it goes on.
        fn make_hanging() -> (ChildProcess, u32) {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' TERM; echo; exec sleep 600"]).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
            let number = child.id();
            rustix::process::kill_process(pid(number), Signal::STOP).unwrap();
            (child.into(), number)
        }

        fn after(number: u32) {
            assert!(!is_alive(number), "the last resort has killed it");
        }
    }

    contract!(Sleeper);
}

#[test]
fn one_that_outlasts_its_grace_is_killed_and_the_error_says_so() {
    alone(|| {
        let (child, numbers) = Family::make_hanging();
        let guard = manager().adopt(child.grace(Duration::from_millis(100)));
        let error = ResourceGuard::close(guard).unwrap_err();
        let text = error.to_string();
        let CleanupErrorKind::Failed(cause) = error.kind else { panic!("{text}") };
        assert!(matches!(cause.downcast_ref(), Some(ChildError::Outlasted { .. })), "{text}");
        assert!(text.contains("sh (pid ") && text.contains("had not ended 100.0ms after SIGTERM"), "{text}");
        assert!(none_is_alive(&numbers));
    });
}

#[test]
fn without_grace_it_is_killed_at_once_which_is_a_success() {
    alone(|| {
        let (child, numbers) = Family::make_hanging();
        let (manager, guard) = (manager(), child.grace(Duration::ZERO));
        let guard = manager.adopt(guard);
        assert!(manager.cleanup().is_success());
        assert!(none_is_alive(&numbers));
        assert_eq!(guard.exit_status().unwrap().unwrap().signal(), Some(9));
    });
}

#[test]
fn a_grandchild_gets_its_grace_when_the_child_ends_first() {
    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        // The shell ends by SIGTERM at once; what it has started takes a moment to put things in order.
        let order = format!(
            "trap 'sleep 0.2; echo done > {}; exit' TERM; echo $$; while :; do sleep 0.01; done",
            mark.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c \"$0\" & wait", &order]).stdout(Stdio::piped());
        let mut child = ChildProcess::spawn(&mut command).unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        ResourceGuard::close(manager().adopt(child)).unwrap();
        assert_eq!(fs::read_to_string(mark).unwrap(), "done\n");
        assert!(!is_alive(said.trim().parse().unwrap()));
    });
}

#[test]
fn what_is_left_of_a_group_is_ended_when_its_leader_has_ended_long_ago() {
    alone(|| {
        let (mut child, numbers) = shell("sleep 600 & echo $!");
        assert!(child.wait().unwrap().success());
        assert!(is_alive(numbers[0]) && !is_alive(numbers[1]));
        ResourceGuard::close(manager().adopt(child)).unwrap();
        assert!(!is_alive(numbers[0]));
    });
}

#[test]
fn one_that_is_stopped_ends_too() {
    alone(|| {
        let (child, numbers) = Family::make();
        rustix::process::kill_process_group(pid(numbers[1]), Signal::STOP).unwrap();
        ResourceGuard::close(manager().adopt(child)).unwrap();
        assert!(none_is_alive(&numbers));
    });
}

#[test]
fn one_that_had_to_succeed_and_did_not_is_an_error_and_is_reaped() {
    alone(|| {
        let mut child =
            ChildProcess::spawn(Command::new("sh").args(["-c", "exit 3"])).unwrap().must_succeed();
        child.wait().unwrap();
        let error = ResourceGuard::close(manager().adopt(child)).unwrap_err().to_string();
        assert!(error.contains("had ended before its cleanup, with exit status: 3"), "{error}");
    });
}

#[test]
fn one_that_nobody_drops_is_ended_with_the_process() {
    const HELD: &str = "CASTOFF_ADAPTERS_HELD";
    if std::env::var_os(HELD).is_some() {
        let (child, numbers) = Family::make();
        ResourceGuard::leak(castoff::ResourceManager::global().adopt(child));
        eprintln!("numbers {} {}", numbers[0], numbers[1]);
        std::process::exit(0);
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    let name = std::thread::current().name().unwrap().to_owned();
    let output = itself.args([&*name, "--exact", "--nocapture"]).env(HELD, "1").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let (_, numbers) = said.split_once("numbers ").unwrap();
    let numbers: Vec<u32> =
        numbers.lines().next().unwrap().split(' ').map(|it| it.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 2);
    until("both to have ended", || none_is_alive(&numbers));
}

#[test]
fn a_released_child_can_be_had_back_with_its_pipes() {
    alone(|| {
        let spawned = ChildProcess::spawn(Command::new("cat").stdin(Stdio::piped())).unwrap();
        let guard = manager().adopt(spawned);
        let mut child = ResourceGuard::release(guard).into_inner().unwrap();
        assert!(child.stdin.is_some());
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn it_is_called_after_its_program_and_not_after_its_arguments() {
    alone(|| {
        let child = ChildProcess::spawn(Command::new("/bin/sleep").arg("600")).unwrap();
        let (number, told) = (child.id(), format!("{child:?}"));
        assert_eq!(
            told,
            format!("ChildProcess {{ program: Label(\"sleep\"), pid: {number}, grace: 5s, .. }}")
        );
        let guard = manager().adopt(child);
        let info = ResourceGuard::info(&guard).unwrap();
        assert_eq!(*info.label, format!("sleep (pid {})", guard.id()));
        assert_eq!(info.category, castoff::Category::Process);
    });
}
