//! Paper: reports, each of which is there at once when it is finished, and a summary of them all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, OnceLock};

use castoff::adapters::{TemporaryDirectory, TemporaryFile, Writer};
use castoff::{ResourceGuard, ResourceManager};
use tempfile::{Builder, NamedTempFile};

use crate::Result;
use crate::directory::DataDirectory;
use crate::office::inventory::Inventory;

/// The summary, in the data directory.
pub(crate) const FILE: &str = "summary.csv";
/// How the name of a report begins. Its number follows.
pub(crate) const REPORT: &str = "report-";

pub(crate) struct Paper {
    pub(crate) scratch: ResourceGuard<TemporaryDirectory>,
    summary: ResourceGuard<Writer<BufWriter<File>>>,
}

impl Paper {
    pub(crate) fn start(
        manager: &ResourceManager,
        directory: &ResourceGuard<DataDirectory>,
        inventory: &ResourceGuard<Arc<OnceLock<Inventory>>>,
    ) -> Result<Paper> {
        let scratch = TemporaryDirectory::from(Builder::new().prefix("office-").tempdir()?);
        let described = manager.resource("scratch directory").description(scratch.display().to_string());
        let scratch = described.adopt(scratch)?;
        let summary = BufWriter::new(File::create_new(directory.path().join(FILE))?);
        // What is in the buffer is in the file, and the file on the disk, or the cleanup fails.
        let summary = Writer::new("summary", summary).finished_by(|buffer| buffer.into_inner()?.sync_all());
        let summary = manager.resource("summary").depends_on(inventory).adopt(summary)?;
        Ok(Paper { scratch, summary })
    }

    /// Nobody sees half a report: it gets its name when it is finished, and is a draft before, which goes where this ends
    /// early.
    pub(crate) fn put_out(&self, number: u64, text: &str) -> Result<()> {
        let draft = TemporaryFile::from(NamedTempFile::new_in(&**self.scratch)?);
        let mut draft = ResourceManager::current().adopt(draft);
        writeln!(draft, "{text}")?;
        self.summary.with(|summary| writeln!(summary, "{text}"))?;
        let draft = ResourceGuard::release(draft).into_inner().ok_or("the draft is gone")?;
        draft.persist(self.scratch.join(format!("{REPORT}{number}")))?;
        Ok(())
    }
}

/// The orders in each report, by the summary.
pub(crate) fn orders_in(summary: &str) -> Result<Vec<u64>> {
    let orders = summary.lines().map(|line| Ok(line.split(',').nth(1).ok_or("a line too short")?.parse()?));
    orders.collect()
}
