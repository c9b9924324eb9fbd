//! The checksum process: this program run again as a child, which answers each line on its standard input
//! with a checksum on its standard output.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};

use crate::Result;
use crate::directory::DataDirectory;

pub(crate) const LABEL: &str = "checksum process";

const FAREWELL: &str = "goodbye\n";

/// What the child does when its input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Says goodbye and leaves.
    Polite,
    /// Leaves without a word.
    #[cfg_attr(not(feature = "full"), allow(dead_code))] // for the sealer
    Silent,
    /// Stays, and says nothing.
    Stubborn,
}

impl Manners {
    pub(crate) fn from_flag(flag: &str) -> Option<Manners> {
        [Manners::Polite, Manners::Silent, Manners::Stubborn]
            .into_iter()
            .find(|manners| manners.flag() == flag)
    }

    pub(crate) fn flag(self) -> &'static str {
        match self {
            Manners::Polite => "--child",
            Manners::Silent => "--silent-child",
            Manners::Stubborn => "--stubborn-child",
        }
    }
}

/// 64 bits of FNV-1a (the public-domain hash by Fowler, Noll and Vo), in hexadecimal.
pub(crate) fn checksum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The child's `main`.
pub(crate) fn child(manners: Manners) -> Result<()> {
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        writeln!(answers, "{}", checksum(&line?))?;
        answers.flush()?;
    }
    match manners {
        Manners::Polite => answers.write_all(FAREWELL.as_bytes())?,
        Manners::Silent => (),
        // Much longer than its parent waits, but not for ever: no fault of the parent's leaves it behind for
        // good.
        Manners::Stubborn => std::thread::sleep(Duration::from_secs(60)),
    }
    Ok(())
}

/// The parent's side. The pipes have a lock of their own: whoever kills the child must not wait behind a
/// reader.
pub(crate) struct ChecksumProcess {
    pid: u32,
    child: Mutex<Child>,
    pipes: Mutex<Pipes>,
    exit: OnceLock<ExitStatus>,
}

struct Pipes {
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

pub(crate) fn start(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
    manners: Manners,
) -> Result<ResourceGuard<Arc<ChecksumProcess>>> {
    let process = Arc::new(ChecksumProcess::spawn(directory, manners)?);
    let (asked, killed) = (Arc::clone(&process), Arc::clone(&process));
    // First ask, then kill: the last resort runs when the child did not leave, or not in time.
    let cleanup = Cleanup::sync(move || asked.ask_to_leave()).last_resort(move || killed.kill());
    let guard = manager
        .resource(LABEL)
        .category(Category::Process)
        .description(format!("process {}", process.pid))
        .depends_on(directory)
        .timeout(Duration::from_millis(1500))
        .keep(process, cleanup)?;
    Ok(guard)
}

impl ChecksumProcess {
    fn spawn(directory: &DataDirectory, manners: Manners) -> Result<ChecksumProcess> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(manners.flag())
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = Pipes {
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("stdout was asked to be a pipe")),
        };
        Ok(ChecksumProcess {
            pid: child.id(),
            child: Mutex::new(child),
            pipes: Mutex::new(pipes),
            exit: OnceLock::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How the child ended, once this process has collected it.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.exit.get().copied()
    }

    /// Has one line of text checksummed by the child.
    pub(crate) fn of(&self, line: &str) -> Result<String> {
        let mut pipes = self.pipes.lock().expect("no holder panics");
        let questions = pipes.questions.as_mut().ok_or("the checksum process was asked to leave")?;
        questions.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        pipes.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    /// The cleanup: the end of its input asks the child to leave, and its farewell says that it does.
    fn ask_to_leave(&self) -> Result<()> {
        let mut pipes = self.pipes.lock().expect("no holder panics");
        drop(pipes.questions.take());
        let mut farewell = String::new();
        pipes.answers.read_line(&mut farewell)?;
        let status = self.collect()?;
        if farewell == FAREWELL && status.success() {
            Ok(())
        } else {
            Err(format!("it ended with {status}, its last words were {farewell:?}").into())
        }
    }

    /// The last resort. It also ends an `ask_to_leave` that still waits: a dead child's pipe is closed.
    fn kill(&self) -> Result<()> {
        self.child.lock().expect("no holder panics").kill()?;
        self.collect()?;
        Ok(())
    }

    fn collect(&self) -> Result<ExitStatus> {
        let status = self.child.lock().expect("no holder panics").wait()?;
        Ok(*self.exit.get_or_init(|| status))
    }
}
