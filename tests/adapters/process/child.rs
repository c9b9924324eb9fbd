//! Real children: that end when asked, that do not, that have children of their own, that have ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
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

    contract!(Sleeper, never hangs);
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
fn one_that_had_to_succeed_and_did_not_is_an_error_and_is_reaped() {
    alone(|| {
        let mut child =
            ChildProcess::spawn(Command::new("sh").args(["-c", "exit 3"])).unwrap().must_succeed();
        child.wait().unwrap();
        let error = ResourceGuard::close(manager().adopt(child)).unwrap_err().to_string();
        assert!(error.contains("had ended before its cleanup, with exit status: 3"), "{error}");
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
        let guard = manager().adopt(child);
        let info = ResourceGuard::info(&guard).unwrap();
        assert_eq!(*info.label, format!("sleep (pid {})", guard.id()));
        assert_eq!(info.category, castoff::Category::Process);
    });
}

/// One of tokio's.
#[cfg(feature = "tokio-process")]
mod of_tokio {
    use super::*;
    use tokio::io::AsyncBufReadExt;
    use tokio::runtime::Runtime;

    struct Sleeper;

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    impl Case for Sleeper {
        type Adopted = ChildProcess;
        type Witness = (u32, Runtime);

        fn make() -> (ChildProcess, (u32, Runtime)) {
            let runtime = runtime();
            let entered = runtime.enter();
            let child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
            drop(entered);
            let number = child.id().unwrap();
            (child.try_into().unwrap(), (number, runtime))
        }

        fn is_over((number, _): &(u32, Runtime)) -> bool {
            !is_alive(*number)
        }

        fn end_first(child: &mut ChildProcess, (number, runtime): &(u32, Runtime)) {
            terminate(*number);
            runtime.block_on(child.wait_async()).unwrap();
        }
    }

    contract!(Sleeper, never hangs);

    #[test]
    fn a_group_can_be_had_from_a_command_of_tokios_and_its_pipes_be_awaited() {
        alone(|| {
            let runtime = runtime();
            let mut command = tokio::process::Command::new("sh");
            command.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped());
            let mut guard = manager().adopt(ChildProcess::spawn(command.as_std_mut()).unwrap());
            let output = guard.stdout.take().unwrap();
            let line = runtime.block_on(async {
                let output = tokio::process::ChildStdout::from_std(output).unwrap();
                tokio::io::BufReader::new(output).lines().next_line().await.unwrap().unwrap()
            });
            let grandchild = line.parse().unwrap();
            assert!(is_alive(grandchild));
            ResourceGuard::close(guard).unwrap();
            assert!(!is_alive(grandchild));
        });
    }

    #[test]
    fn its_runtime_may_be_gone() {
        alone(|| {
            let (child, (number, runtime)) = Sleeper::make();
            drop(runtime);
            ResourceGuard::close(manager().adopt(child)).unwrap();
            assert!(!is_alive(number));
        });
    }

    #[test]
    fn one_that_has_been_waited_for_is_refused() {
        alone(|| {
            let waited = runtime().block_on(async {
                let mut child = tokio::process::Command::new("true").spawn().unwrap();
                child.wait().await.unwrap();
                child
            });
            assert_eq!(ChildProcess::try_from(waited).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        });
    }
}
