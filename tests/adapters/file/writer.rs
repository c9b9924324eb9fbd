//! Buffered data: written at the end, with its errors.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use castoff::ResourceGuard;
use castoff::adapters::Writer;
use tempfile::TempDir;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager};

/// Whether the file is closed for others, and what it holds.
struct Seen {
    path: PathBuf,
    _folder: TempDir,
    valve: Valve,
}

/// Lets a flush through when it is open.
#[derive(Clone, Default)]
struct Valve(Arc<(Mutex<bool>, Condvar)>);

impl Valve {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// A file behind a valve.
struct Guarded(File, Valve);

impl Write for Guarded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (open, opened) = &*self.1.0;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Export;

impl Case for Export {
    type Adopted = Writer<BufWriter<Guarded>>;
    type Witness = Seen;

    fn make() -> (Self::Adopted, Seen) {
        let made = Export::make_hanging();
        made.1.valve.open();
        made
    }

    fn is_over(seen: &Seen) -> bool {
        fs::read_to_string(&seen.path).unwrap() == "1;blue\n"
    }

    fn end_first(export: &mut Self::Adopted, _: &Seen) {
        export.flush().unwrap();
    }
}

impl Hangs for Export {
    fn make_hanging() -> (Self::Adopted, Seen) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        let valve = Valve::default();
        let file = Guarded(File::create(&path).unwrap(), valve.clone());
        let mut export = Writer::new("orders.csv", BufWriter::new(file));
        writeln!(export, "1;blue").unwrap();
        (export, Seen { path, _folder: folder, valve })
    }

    fn after(seen: Seen) {
        assert!(!Export::is_over(&seen));
        seen.valve.open();
        until("the data to be written late", || Export::is_over(&seen));
    }
}

contract!(Export);

#[test]
#[cfg(target_os = "linux")]
fn data_that_has_no_room_is_an_error_of_the_cleanup() {
    alone(|| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut export = Writer::new("orders.csv", BufWriter::new(full));
        writeln!(export, "1;blue").unwrap();
        let error = ResourceGuard::close(manager().adopt(export)).unwrap_err().to_string();
        assert!(error.contains("`orders.csv`") && error.contains("No space left on device"), "{error}");
    });
}

#[test]
fn it_is_finished_as_it_was_told_and_closed() {
    alone(|| {
        let (export, seen) = Export::make();
        let export = export.finished_by(|mut buffer| {
            write!(buffer, "2;red")?;
            buffer.flush()
        });
        let manager = manager();
        let mut guard = manager.adopt(export);
        assert!(manager.cleanup().is_success());
        assert_eq!(fs::read_to_string(&seen.path).unwrap(), "1;blue\n2;red");
        assert_eq!(guard.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_released_writer_holds_its_data_back_as_before() {
    alone(|| {
        let (export, seen) = Export::make();
        let buffer = ResourceGuard::release(manager().adopt(export)).into_inner().unwrap();
        assert_eq!(buffer.buffer(), b"1;blue\n");
        assert!(!Export::is_over(&seen));
    });
}
