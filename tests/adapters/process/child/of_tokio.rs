//! Children of tokio's.

use std::process::Stdio;

use castoff::ResourceGuard;
use castoff::adapters::ChildProcess;
use tokio::io::AsyncBufReadExt;
use tokio::runtime::Runtime;

use super::{is_alive, pid, terminate};
use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager};

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

impl Hangs for Sleeper {
    fn make_hanging() -> (ChildProcess, (u32, Runtime)) {
        let runtime = runtime();
        let child = runtime.block_on(async {
            let mut command = tokio::process::Command::new("sh");
            // What is ignored stays ignored in what it becomes.
            command.args(["-c", "trap '' TERM; echo; exec sleep 600"]).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            tokio::io::BufReader::new(child.stdout.take().unwrap())
                .read_line(&mut String::new())
                .await
                .unwrap();
            child
        });
        let number = child.id().unwrap();
        (child.try_into().unwrap(), (number, runtime))
    }

    fn after((number, _runtime): (u32, Runtime)) {
        assert!(!is_alive(number), "the last resort has killed it");
    }
}

contract!(Sleeper);

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
fn had_back_it_is_not_the_standard_librarys_and_runs_on() {
    alone(|| {
        let (child, (number, _runtime)) = Sleeper::make();
        assert!(ResourceGuard::release(manager().adopt(child)).into_inner().is_none());
        assert!(is_alive(number));
        terminate(number);
        until("it to end", || !is_alive(number));
        // tokio reaps what nobody has any more, when it gets to it.
        rustix::process::waitpid(Some(pid(number)), rustix::process::WaitOptions::empty()).ok();
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
