//! A log that is written by tracing-appender's thread: all of it, errors told, and a writer that hangs.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::adapters::LogWriter;
use castoff::{Priority, ResourceGuard};
use tempfile::TempDir;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, TIMEOUT, manager, printed};

/// The lines that were written; the thread's share of them goes with it.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Witness {
    Lines(Lines, NonBlocking),
    /// A pipe that nobody reads, and what is held back for it.
    Fifo(TempDir, File),
}

struct Logging;

impl Case for Logging {
    type Adopted = LogWriter;
    type Witness = Witness;

    fn make() -> (LogWriter, Witness) {
        let lines = Lines::default();
        // Buffered: written by a flush alone.
        let (mut log, writer) = LogWriter::new(BufWriter::new(lines.clone()));
        writeln!(log, "ready").unwrap();
        (writer, Witness::Lines(lines, log))
    }

    /// All is written, and the thread has let go of its writer, although the log can still be written to.
    fn is_over(witness: &Witness) -> bool {
        let Witness::Lines(lines, log) = witness else { return false };
        let nothing_lost = log.error_counter().dropped_lines() == 0;
        Arc::strong_count(&lines.0) == 1 && lines.text() == "ready\n" && nothing_lost
    }

    /// Nobody can end the thread but who has its guard; all may be written.
    fn end_first(_: &mut LogWriter, witness: &Witness) {
        let Witness::Lines(lines, _) = witness else { unreachable!("this one writes lines") };
        until("the log to be written", || lines.text() == "ready\n");
    }
}

/// A pipe, and its end to write to, which does not wait for a reader to open.
fn fifo() -> (TempDir, File) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let file = open(&path);
    (directory, file)
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// More than a pipe holds.
const MUCH: usize = 1 << 20;

fn stuck() -> (LogWriter, Witness) {
    let (directory, file) = fifo();
    let (mut log, writer) = LogWriter::new(file.try_clone().unwrap());
    log.write_all(&[b'x'; MUCH]).unwrap();
    (writer, Witness::Fifo(directory, file))
}

/// Reads what was held back.
fn read(witness: Witness) -> usize {
    let Witness::Fifo(directory, file) = witness else { unreachable!("only a pipe is stuck") };
    let mut reader = File::open(directory.path().join("log")).unwrap();
    drop(file);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap()
}

impl Hangs for Logging {
    fn make_hanging() -> (LogWriter, Witness) {
        stuck()
    }

    /// It was left alone: all is still written as soon as somebody reads.
    fn after(witness: Witness) {
        assert_eq!(read(witness), MUCH);
    }
}

contract!(Logging);

#[test]
fn a_writer_that_hangs_is_left_alone_after_the_grace_and_the_error_says_so() {
    alone(|| {
        let (writer, witness) = stuck();
        let guard = manager().adopt(writer.grace(TIMEOUT));
        let error = ResourceGuard::close(guard).unwrap_err().to_string();
        assert!(error.contains("what is still queued may be lost"), "{error}");
        assert_eq!(read(witness), MUCH);
    });
}

#[test]
fn what_takes_longer_than_the_appender_waits_is_waited_for() {
    alone(|| {
        struct Slow(Lines);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                // Longer than the second after which a guard of tracing-appender's gives up.
                std::thread::sleep(Duration::from_millis(1500));
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let (mut log, writer) = LogWriter::new(Slow(lines.clone()));
        log.write_all(b"slow").unwrap();
        ResourceGuard::close(manager().adopt(writer)).unwrap();
        assert_eq!(lines.text(), "slow");
    });
}

#[test]
fn an_error_of_the_writer_is_told() {
    alone(|| {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut log, writer) = LogWriter::new(Full);
        log.write_all(b"one").unwrap();
        log.write_all(b"two").unwrap();
        let error = ResourceGuard::close(manager().adopt(writer)).unwrap_err().to_string();
        assert!(error.contains("errors in writing the log: 2, at first: no storage space"), "{error}");
    });
}

#[test]
fn its_label_can_be_chosen_and_what_is_printed_is_that_and_whether_it_still_writes() {
    alone(|| {
        let (_log, writer) = LogWriter::new(io::sink());
        assert_eq!(&*castoff::Resource::label(&writer), "log");
        assert_eq!(
            printed(writer.labelled("audit")),
            [
                "LogWriter { label: Label(\"audit\"), grace: 4s, guard: held, .. }",
                "LogWriter { label: Label(\"audit\"), grace: 4s, guard: gone, .. }"
            ]
        );
    });
}

#[test]
fn a_writer_that_panicked_is_told() {
    alone(|| {
        struct Panics;
        impl Write for Panics {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                panic!("out of ink")
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut log, writer) = LogWriter::new(Panics);
        log.write_all(b"one").unwrap();
        let error = ResourceGuard::close(manager().adopt(writer)).unwrap_err().to_string();
        assert!(error.contains("errors in writing the log: 1, at first: it panicked"), "{error}");
    });
}

#[test]
fn it_ends_after_all_that_log() {
    alone(|| {
        let (manager, lines) = (manager(), Lines::default());
        let (log, writer) = LogWriter::new(lines.clone());
        let says = |what: &'static str| {
            let mut log = log.clone();
            move || writeln!(log, "{what}")
        };
        // Not the first to be adopted, and still the last to be cleaned.
        let _server = manager.guard("server", says("server"));
        let writer = manager.resource("log").priority(Priority::Low).adopt(writer).unwrap();
        let _job = manager.resource("job").depends_on(&writer).priority(Priority::Low);
        let _job = _job.guard(says("job")).unwrap();
        assert!(manager.cleanup().is_success());
        let text = lines.text();
        assert!(text == "server\njob\n" || text == "job\nserver\n", "{text}");
        drop(writer);
    });
}

#[test]
fn a_line_after_it_is_refused_or_counted() {
    alone(|| {
        for lossy in [true, false] {
            let (mut log, writer) = LogWriter::build(NonBlockingBuilder::default().lossy(lossy), io::sink());
            let lost = log.error_counter();
            ResourceGuard::close(manager().adopt(writer)).unwrap();
            // The thread has let go of its writer, and ends in a moment.
            until("a line to be lost", || {
                log.clone().write_all(b"late").is_err() || lost.dropped_lines() > 0
            });
            assert_eq!(log.write_all(b"late").is_ok(), lossy);
        }
    });
}

#[test]
fn a_guard_that_was_made_elsewhere_is_dropped_and_says_what_it_can() {
    alone(|| {
        let lines = Lines::default();
        let (mut log, guard) = tracing_appender::non_blocking(lines.clone());
        writeln!(log, "ready").unwrap();
        let guard = manager().adopt(LogWriter::from(guard));
        ResourceGuard::close(guard).unwrap();
        assert_eq!(lines.text(), "ready\n");

        let (directory, file) = fifo();
        let (mut log, guard) = tracing_appender::non_blocking(file.try_clone().unwrap());
        log.write_all(&[b'x'; MUCH]).unwrap();
        let error = ResourceGuard::close(manager().adopt(LogWriter::from(guard))).unwrap_err().to_string();
        assert!(error.contains("may be lost"), "{error}");
        drop(log);
        assert_eq!(read(Witness::Fifo(directory, file)), MUCH);
    });
}
