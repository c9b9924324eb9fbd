//! The request log: a line for everything that the server has answered, written by a thread of its own.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use castoff::adapters::LogWriter;
use castoff::{ResourceGuard, ResourceManager};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};

use crate::Result;
use crate::directory::DataDirectory;
use crate::tracking::stocktaking::Stock;

pub(crate) fn file(directory: &DataDirectory) -> PathBuf {
    directory.path().join("requests.log")
}

/// Whoever logs has to depend on the guard: what is logged after its cleanup is lost.
pub(crate) fn open(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
    stock: &ResourceGuard<Arc<OnceLock<Stock>>>,
) -> Result<(NonBlocking, ResourceGuard<LogWriter>)> {
    let path = file(directory);
    // Rather wait than lose a line: the stocktaking counts them.
    let (lines, writer) = LogWriter::build(NonBlockingBuilder::default().lossy(false), File::create(&path)?);
    let guard = manager
        .resource("request log")
        .description(path.display().to_string())
        .depends_on(stock)
        .adopt(writer)?;
    Ok((lines, guard))
}
