//! The sealer: a child process that gives every parcel its seal, and a monitor that tells if it ends before its time.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use castoff::adapters::{ChildProcess, ProcessMonitor};
use castoff::{ResourceGuard, ResourceManager};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use crate::Result;
use crate::checksums::Manners;
use crate::directory::DataDirectory;

pub(crate) struct Sealer {
    pub(crate) process: ResourceGuard<ChildProcess>,
    _monitor: ResourceGuard<ProcessMonitor>,
    pub(crate) ended_early: Arc<AtomicBool>,
    /// Held here too: the sealer leaves when nobody can ask it any more, and that has to wait for its cleanup.
    pub(crate) press: Arc<Mutex<Press>>,
}

/// What seals parcels, one after the other.
pub(crate) struct Press {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

pub(crate) fn start(manager: &ResourceManager, directory: &ResourceGuard<DataDirectory>) -> Result<Sealer> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(Manners::Silent.flag()).current_dir(directory.path());
    let mut process = ChildProcess::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let pipes = (process.stdin.take(), process.stdout.take());
    let pid = process.id();
    // Adopted before anything can fail.
    let process = manager
        .resource("sealer")
        .description(format!("process {pid}"))
        .depends_on(directory)
        .adopt(process)?;
    let ended_early = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&ended_early);
    let monitor = ProcessMonitor::of(&process, move |status| {
        noted.store(true, Ordering::SeqCst);
        eprintln!("the sealer has ended before its time: {status:?}");
    })?;
    // It depends on the sealer, and so does not hear of the end that the sealer's own cleanup brings.
    let monitor = manager.resource("monitor of the sealer").depends_on(&process).adopt(monitor)?;
    let (Some(questions), Some(answers)) = pipes else { return Err("the sealer has no pipes".into()) };
    let press = Press {
        questions: ChildStdin::from_std(questions)?,
        answers: BufReader::new(ChildStdout::from_std(answers)?),
    };
    Ok(Sealer { process, _monitor: monitor, ended_early, press: Arc::new(Mutex::new(press)) })
}

impl Press {
    pub(crate) async fn seal(&mut self, parcel: i64) -> Result<String> {
        self.questions.write_all(format!("{parcel}\n").as_bytes()).await?;
        let mut seal = String::new();
        self.answers.read_line(&mut seal).await?;
        Ok(seal.trim_end().to_owned())
    }
}
