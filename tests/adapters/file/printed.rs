//! What is printed of a file is where it is and whether it is still held, and whoever prints waits for nobody.

use castoff::adapters::OpenFile;

use crate::alone::alone;
use crate::contract::printed;

/// Asserts what is printed of it: `held` stands for what a cleanup takes from it.
#[track_caller]
fn assert_printed<R: castoff::Resource + std::fmt::Debug>(adopted: R, held: &str) {
    assert!(held.contains(": held"), "{held}");
    assert_eq!(printed(adopted), [held.to_owned(), held.replace(": held", ": gone")]);
}

#[test]
fn an_open_file() {
    alone(|| {
        let file = OpenFile::open("/proc/self/status").unwrap();
        assert_printed(file, "OpenFile { path: \"/proc/self/status\", synced: false, file: held }");
    });
}

#[test]
fn a_lock() {
    use castoff::adapters::FileLock;

    alone(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::exclusive(&path).unwrap();
        assert_printed(lock, &format!("FileLock {{ path: {path:?}, file: held }}"));
    });
}

#[test]
fn a_writer() {
    use castoff::adapters::Writer;

    alone(|| {
        let writer = Writer::new("orders.csv", Vec::new());
        assert_printed(writer, "Writer { label: Label(\"orders.csv\"), inner: held, .. }");
    });
}

#[cfg(feature = "notify")]
#[test]
fn a_watcher() {
    use castoff::adapters::FileWatcher;

    alone(|| {
        let watcher: FileWatcher = FileWatcher::new("settings", |_| ()).unwrap();
        assert_printed(watcher, "FileWatcher { label: Label(\"settings\"), watcher: held, .. }");
    });
}

#[cfg(feature = "memmap2")]
#[test]
fn a_map() {
    use castoff::adapters::MemoryMap;

    alone(|| {
        let map = MemoryMap::new("index", memmap2::MmapMut::map_anon(4096).unwrap());
        assert_printed(map, "MemoryMap { label: Label(\"index\"), map: held }");
    });
}

#[test]
fn one_that_somebody_uses_is_held() {
    alone(|| {
        let file = OpenFile::open("/proc/self/status").unwrap();
        let inside = file.with(|_| Ok(format!("{file:?}"))).unwrap();
        assert_eq!(inside, format!("{file:?}"));
        assert!(inside.contains("file: held"), "{inside}");
    });
}
