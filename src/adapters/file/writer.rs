//! Whatever holds written data back for a while.

use std::fmt;
use std::io::{self, Write};

use crate::adapters::held::{Held, closed};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

type Finish<W> = Box<dyn FnOnce(W) -> io::Result<()> + Send>;

/// A stream with buffered data (a `BufWriter`, an encoder, a socket): the cleanup flushes it, tells what went wrong, and
/// drops it.
///
/// A `BufWriter` that is dropped flushes too, but nobody hears of an error, and a writer in a static or on a detached
/// thread is never dropped. What needs more than a flush gets it by [`finished_by`](Writer::finished_by).
///
/// It is written through the guard. A call in progress holds the cleanup back; after it every call is an error of the
/// kind [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::Writer;
/// use std::fs::File;
/// use std::io::{BufWriter, Write};
///
/// let path = std::env::temp_dir().join(format!("castoff-doc-writer-{}", std::process::id()));
/// let manager = ResourceManager::new("export");
/// let buffered = Writer::new("orders.csv", BufWriter::new(File::create(&path)?));
/// let mut export = manager.adopt(buffered.finished_by(|buffer| buffer.into_inner()?.sync_all()));
/// writeln!(export, "1;blue")?;
/// assert_eq!(std::fs::read_to_string(&path)?, ""); // held back
///
/// assert!(manager.cleanup().is_success());
/// assert_eq!(std::fs::read_to_string(&path)?, "1;blue\n");
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Writer<W> {
    label: Label,
    inner: Held<W>,
    finish: Held<Finish<W>>,
}

impl<W: Write + Send + 'static> Writer<W> {
    /// Takes a writer, and what people call it.
    pub fn new(label: impl Into<Label>, writer: W) -> Writer<W> {
        Writer {
            label: label.into(),
            inner: Held::new(writer),
            finish: Held::new(Box::new(|mut writer| writer.flush())),
        }
    }

    /// Has the cleanup do this instead of a flush: finish an encoder, sync a file. A second one replaces the first.
    pub fn finished_by(self, finish: impl FnOnce(W) -> io::Result<()> + Send + 'static) -> Writer<W> {
        Writer { finish: Held::new(Box::new(finish)), ..self }
    }

    /// Uses the writer itself. A cleanup waits meanwhile.
    ///
    /// # Errors
    /// Those of `f`; and after the cleanup, that it is closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut W) -> io::Result<R>) -> io::Result<R> {
        self.inner.with(f).unwrap_or_else(|| Err(closed(&self.label)))
    }

    /// The writer itself, with what it holds back. `None` after its cleanup.
    pub fn into_inner(self) -> Option<W> {
        self.inner.take()
    }
}

impl<W: Write + Send + 'static> Resource for Writer<W> {
    const CATEGORY: Category = Category::File;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let (inner, finish) = (self.inner.clone(), self.finish.clone());
        Cleanup::sync(move || match (inner.take(), finish.take()) {
            (Some(inner), Some(finish)) => finish(inner),
            _ => Ok(()),
        })
    }
}

impl<W: Write + Send + 'static> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(Write::flush)
    }
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Writer");
        out.field("label", &self.label).field("inner", &self.inner).finish_non_exhaustive()
    }
}
