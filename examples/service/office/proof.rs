//! The proof at the end for the office: nothing lost, and nothing left. What else it had were threads, sockets and files:
//! those are looked for in the whole process.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::raise;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::office::inventory::Inventory;
use crate::office::meter::Counts;
use crate::stack::Stack;

/// What has to be found, noted while everything is still up, and handles for looking.
pub(crate) struct Proof {
    reports: u64,
    open_lines: u64,
    inventory: Arc<OnceLock<Inventory>>,
    counts: Arc<Counts>,
    scratch: PathBuf,
    signals: UnixStream,
}

impl Proof {
    pub(crate) fn of(stack: &Stack) -> Result<Proof> {
        let office = &stack.office;
        Ok(Proof {
            reports: office.clerks.state.reports.load(Ordering::SeqCst),
            open_lines: stack.runtime.block_on(office.books.lines())?.try_into()?,
            inventory: Arc::clone(&office.inventory),
            counts: Arc::clone(&office.meter.counts),
            scratch: office.paper.scratch.to_path_buf(),
            signals: office.clerks.signals.try_clone()?,
        })
    }

    pub(crate) fn check(self, checklist: &mut Checklist) {
        checklist.check("nothing lost: reports", self.all_reports());
        checklist.check("rolled back: open bill", self.nothing_billed());
        checklist.check("updates counted over UDP", self.counted());
        checklist.check("nothing left: signal handler", self.no_handler());
        checklist.check("nothing left: scratch directory", self.no_scratch());
    }

    /// Whether all that was held back, in a buffer or a map, was in the files before the directory went.
    fn all_reports(&self) -> Finding {
        let found = self.inventory.get().ok_or("the inventory was not taken")?;
        let counts = format!("{} in the summary, {} in the index", found.summary.len(), found.index.len());
        let all = found.summary.len() as u64 == self.reports && found.summary == found.index;
        if all { Ok(counts) } else { Err(format!("{counts}, of {}", self.reports)) }
    }

    fn nothing_billed(&self) -> Finding {
        let billed = self.inventory.get().ok_or("the inventory was not taken")?.billed;
        let found = format!("{} lines were open, {billed} are there", self.open_lines);
        if (self.open_lines, billed) == (self.reports, 0) { Ok(found) } else { Err(found) }
    }

    /// Not whether all were: nobody promises that of datagrams.
    fn counted(&self) -> Finding {
        let (sent, counted) =
            (self.counts.sent.load(Ordering::SeqCst), self.counts.counted.load(Ordering::SeqCst));
        let found = format!("{counted} of {sent}");
        if (1..=sent).contains(&counted) { Ok(found) } else { Err(found) }
    }

    /// After one more signal: no byte came, and nobody has the other end.
    fn no_handler(&self) -> Finding {
        let asked = raise(SIGUSR1).and_then(|()| (&self.signals).read(&mut [0]));
        match asked {
            Ok(0) => Ok("one more signal, and nothing was done".to_owned()),
            other => Err(format!("one more signal, and the other end says {other:?}")),
        }
    }

    /// With it went the reports and the name of the admin socket.
    fn no_scratch(&self) -> Finding {
        let scratch = self.scratch.display();
        if self.scratch.exists() { Err(format!("{scratch} exists")) } else { Ok(scratch.to_string()) }
    }
}
