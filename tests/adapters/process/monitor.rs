//! Monitors of real children: told of their end once, and not at all after the cleanup.
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use castoff::adapters::{ChildProcess, ProcessMonitor};
use castoff::{ResourceGuard, ResourceManager};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};

fn sleeper() -> ChildProcess {
    ChildProcess::spawn(Command::new("sleep").arg("600")).unwrap()
}

fn pid(child: &ChildProcess) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

pub(super) fn terminate(child: &ChildProcess) {
    rustix::process::kill_process(pid(child), Signal::TERM).unwrap();
}

/// What was told, and a child, which is ended with it.
pub(super) struct Witness {
    told: Arc<Mutex<Vec<Option<ExitStatus>>>>,
    pub(super) child: ResourceGuard<ChildProcess>,
    _release: Option<Sender<()>>,
}

impl Witness {
    fn new() -> Witness {
        let child = ResourceManager::new("children").adopt(sleeper());
        Witness { told: Arc::default(), child, _release: None }
    }

    /// The closure is dropped with the monitor's thread: nobody can tell anything after that.
    fn nobody_tells(&self) -> bool {
        Arc::strong_count(&self.told) == 1
    }

    pub(super) fn told(&self) -> Vec<Option<ExitStatus>> {
        self.told.lock().unwrap().clone()
    }
}

pub(super) struct Monitoring;

impl Case for Monitoring {
    type Adopted = ProcessMonitor;
    type Witness = Witness;

    fn make() -> (ProcessMonitor, Witness) {
        let witness = Witness::new();
        let told = Arc::clone(&witness.told);
        let monitor = ProcessMonitor::of(&witness.child, move |status| told.lock().unwrap().push(status));
        (monitor.unwrap(), witness)
    }

    fn is_over(witness: &Witness) -> bool {
        witness.nobody_tells()
    }

    fn end_first(monitor: &mut ProcessMonitor, witness: &Witness) {
        terminate(&witness.child);
        until("the end to be told", || monitor.is_over());
        assert_eq!(witness.told(), [Some(ExitStatus::from_raw(15))]);
    }
}

impl Hangs for Monitoring {
    fn make_hanging() -> (ProcessMonitor, Witness) {
        let (release, released) = mpsc::channel::<()>();
        let witness = Witness { _release: Some(release), ..Witness::new() };
        let told = Arc::clone(&witness.told);
        let monitor = ProcessMonitor::of(&witness.child, move |status| {
            told.lock().unwrap().push(status);
            released.recv().ok();
        });
        terminate(&witness.child);
        until("the end to be told", || !witness.told().is_empty());
        (monitor.unwrap(), witness)
    }

    fn after(mut witness: Witness) {
        drop(witness._release.take());
        until("its thread to end", || witness.nobody_tells());
        assert_eq!(witness.told().len(), 1);
    }
}

contract!(Monitoring);

#[test]
fn it_tells_how_the_child_ended_and_leaves_the_reap_to_its_guard() {
    alone(|| {
        let (manager, (tell, told)) = (manager(), mpsc::channel());
        let shell = ChildProcess::spawn(Command::new("sh").args(["-c", "exit 7"])).unwrap();
        let shell = manager.adopt(shell);
        let monitor = ProcessMonitor::of(&shell, move |status| tell.send(status).unwrap()).unwrap();
        let _monitor = manager.resource("monitor").depends_on(&shell).adopt(monitor).unwrap();
        assert_eq!(told.recv().unwrap().and_then(|status| status.code()), Some(7));
        assert_eq!(shell.exit_status().unwrap().and_then(|status| status.code()), Some(7));
        assert!(manager.cleanup().is_success());
    });
}

#[test]
fn one_that_has_ended_and_was_reaped_is_told_at_once() {
    alone(|| {
        let manager = manager();
        let child = manager.adopt(sleeper());
        terminate(&child);
        assert!(manager.cleanup().is_success());
        let (tell, told) = mpsc::channel();
        let monitor = ProcessMonitor::of(&child, move |status| tell.send(status).unwrap()).unwrap();
        let _monitor = manager.adopt(monitor);
        assert_eq!(told.recv().unwrap(), Some(ExitStatus::from_raw(15)));
    });
}

#[test]
fn a_monitor_that_depends_on_its_child_hears_nothing_of_its_cleanup() {
    alone(|| {
        for _ in 0..20 {
            let (manager, witness) = (manager(), Witness::new());
            let child = manager.adopt(sleeper());
            let told = Arc::clone(&witness.told);
            let monitor = ProcessMonitor::of(&child, move |status| told.lock().unwrap().push(status));
            let _monitor = manager.resource("m").depends_on(&child).adopt(monitor.unwrap()).unwrap();
            assert!(manager.cleanup().is_success());
            assert!(witness.nobody_tells() && witness.told().is_empty());
        }
    });
}

#[test]
fn a_child_that_depends_on_its_monitor_has_its_end_told() {
    alone(|| {
        let (manager, (tell, told)) = (manager(), mpsc::channel());
        let child = sleeper();
        let monitor = ProcessMonitor::of(&child, move |status| tell.send(status).unwrap()).unwrap();
        let monitor = manager.adopt(monitor);
        let child = manager.resource("sleeper").depends_on(&monitor).adopt(child).unwrap();
        assert!(manager.cleanup().is_success());
        // The child was reaped at once, and still its leader knows how it ended, as long as somebody has it.
        assert_eq!(told.try_recv().unwrap(), Some(ExitStatus::from_raw(15)));
        drop((monitor, child));
    });
}

#[test]
fn cleaned_while_the_child_ends_it_tells_once_or_never_and_not_after() {
    alone(|| {
        for _ in 0..50 {
            let (manager, (monitor, witness)) = (manager(), Monitoring::make());
            let guard = manager.adopt(monitor);
            thread::scope(|scope| {
                scope.spawn(|| terminate(&witness.child));
                ResourceGuard::close(guard).unwrap();
                assert!(witness.nobody_tells());
                let then = witness.told().len();
                assert!(then <= 1);
            });
        }
    });
}

#[test]
fn an_end_before_the_cleanup_is_told_although_nobody_had_got_to_it_yet() {
    alone(|| {
        for _ in 0..50 {
            let (manager, mut witness) = (manager(), Witness::new());
            let told = Arc::clone(&witness.told);
            let monitor = ProcessMonitor::of(&witness.child, move |status| told.lock().unwrap().push(status));
            let guard = manager.adopt(monitor.unwrap());
            terminate(&witness.child);
            witness.child.wait().unwrap();
            ResourceGuard::close(guard).unwrap();
            assert_eq!(witness.told(), [Some(ExitStatus::from_raw(15))]);
        }
    });
}

#[test]
fn a_call_may_end_its_own_monitor() {
    alone(|| {
        let (manager, witness) = (manager(), Witness::new());
        let (hand_over, handed_over): (_, Receiver<ResourceGuard<ProcessMonitor>>) = mpsc::channel();
        let told = Arc::clone(&witness.told);
        let monitor = ProcessMonitor::of(&witness.child, move |status| {
            ResourceGuard::close(handed_over.recv().unwrap()).unwrap();
            told.lock().unwrap().push(status);
        });
        hand_over.send(manager.adopt(monitor.unwrap())).unwrap();
        terminate(&witness.child);
        until("the end to be told", || witness.nobody_tells() && witness.told().len() == 1);
        assert_eq!(manager.stats().cleaned, 1);
    });
}

#[test]
fn a_closure_that_panicked_is_told_by_the_cleanup() {
    alone(|| {
        let witness = Witness::new();
        let monitor = ProcessMonitor::of(&witness.child, |_| panic!("no restart")).unwrap();
        let guard = manager().adopt(monitor);
        terminate(&witness.child);
        until("it to be over", || guard.is_over());
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(error.contains("the monitor's closure panicked: no restart"), "{error}");
    });
}

#[test]
fn a_process_is_watched_by_its_descriptor_whoever_started_it() {
    alone(|| {
        // A grandchild, which this process can't wait for.
        let script = "sleep 600 > /dev/null & echo $!; wait";
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(std::process::Stdio::piped());
        let mut shell = manager().adopt(ChildProcess::spawn(&mut command).unwrap());
        let mut said = String::new();
        let mut out = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut said).unwrap();
        let grandchild = Pid::from_raw(said.trim().parse().unwrap()).unwrap();

        let (tell, told) = mpsc::channel();
        let pidfd = pidfd_open(grandchild, PidfdFlags::empty()).unwrap();
        let monitor = ProcessMonitor::of_pidfd(pidfd, move || tell.send(()).unwrap()).unwrap();
        let guard = manager().adopt(monitor);
        assert!(told.try_recv().is_err());
        rustix::process::kill_process(grandchild, Signal::TERM).unwrap();
        told.recv().unwrap();
        ResourceGuard::close(guard).unwrap();
    });
}

#[test]
fn its_label_says_what_it_watches_or_what_it_is_told() {
    alone(|| {
        let (monitor, witness) = Monitoring::make();
        let guard = manager().adopt(monitor);
        let label = ResourceGuard::info(&guard).unwrap().label;
        assert_eq!(label, format!("monitor of sleep (pid {})", witness.child.id()).as_str());
        let guard = manager().adopt(ResourceGuard::release(guard).labelled("night watch"));
        assert_eq!(ResourceGuard::info(&guard).unwrap().label, "night watch");
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_it_will_call() {
    alone(|| {
        let (monitor, _witness) = Monitoring::make();
        assert_eq!(
            printed(monitor.labelled("night watch")),
            [
                "ProcessMonitor { label: Label(\"night watch\"), is_over: false, .. }",
                "ProcessMonitor { label: Label(\"night watch\"), is_over: true, .. }"
            ]
        );
    });
}
