//! The watcher: tells when there is a new report, whoever put it there.

use std::time::Duration;

use castoff::adapters::{FileWatcher, Subscribed, TemporaryDirectory};
use castoff::{ResourceGuard, ResourceManager};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use notify::{Event, RecursiveMode};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::Result;
use crate::office::paper::REPORT;
use crate::office::windows::Windows;

/// A report that nobody sees for so long will not be seen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct ReportWatcher {
    seen: Mutex<ResourceGuard<Subscribed<BoxStream<'static, u64>>>>,
    _watcher: ResourceGuard<FileWatcher>,
}

impl ReportWatcher {
    pub(crate) fn start(
        manager: &ResourceManager,
        scratch: &ResourceGuard<TemporaryDirectory>,
        windows: &Windows,
    ) -> Result<ReportWatcher> {
        let (tell, told) = (windows.news.clone(), windows.news.subscribe());
        let seen = unfold(told, |mut told| async { told.recv().await.ok().map(|report| (report, told)) });
        let seen = manager.adopt(Subscribed::new("seen reports", seen.boxed()));
        let watcher = FileWatcher::new("watcher of reports", move |event: notify::Result<Event>| {
            // Nobody has to be there to hear of it.
            event.iter().flat_map(numbers).for_each(|report| drop(tell.send(report)));
        })?;
        let watcher = manager
            .resource("watcher of reports")
            .depends_on(scratch)
            .depends_on(&seen)
            .depends_on(&windows.tasks)
            .adopt(watcher)?;
        watcher.watch(scratch, RecursiveMode::NonRecursive)?;
        Ok(ReportWatcher { seen: Mutex::new(seen), _watcher: watcher })
    }

    pub(crate) async fn wait_for(&self, number: u64) -> Result<()> {
        let mut seen = self.seen.lock().await;
        while timeout(PATIENCE, seen.next()).await?.ok_or("nobody watches any more")? != number {}
        Ok(())
    }
}

/// The reports that something has happened to.
fn numbers(event: &Event) -> impl Iterator<Item = u64> {
    let names = event.paths.iter().filter_map(|path| path.file_name()?.to_str()?.strip_prefix(REPORT));
    names.filter_map(|number| number.parse().ok())
}
