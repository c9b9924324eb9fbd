//! A mapped file: what was changed in memory is in the file.
#![allow(unsafe_code)] // Mapping a file: memmap2 leaves its conditions to the caller.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use castoff::ResourceGuard;
use castoff::adapters::MemoryMap;
use memmap2::MmapMut;
use tempfile::TempDir;

use crate::alone::alone;
use crate::contract::{Case, manager};

struct Index;

/// Whether this process has the file mapped.
fn is_mapped(path: &Path) -> bool {
    fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap())
}

impl Case for Index {
    type Adopted = MemoryMap;
    type Witness = (PathBuf, TempDir);

    fn make() -> (MemoryMap, (PathBuf, TempDir)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(4096).unwrap();
        // SAFETY: nobody but this test knows the file.
        let map = MemoryMap::new("index", unsafe { MmapMut::map_mut(&file) }.unwrap());
        map.with(|bytes| bytes[..5].copy_from_slice(b"index")).unwrap();
        (map, (path, folder))
    }

    fn is_over((path, _): &(PathBuf, TempDir)) -> bool {
        !is_mapped(path) && fs::read(path).unwrap().starts_with(b"index")
    }

    /// The file's name goes, and comes back for something else: the map is unmapped all the same.
    fn end_first(_: &mut MemoryMap, (path, _): &(PathBuf, TempDir)) {
        fs::remove_file(path).unwrap();
        fs::write(path, "index").unwrap();
    }
}

contract!(Index, never hangs);

#[test]
fn after_its_cleanup_its_bytes_are_an_error() {
    alone(|| {
        let (manager, (map, _seen)) = (manager(), Index::make());
        let guard = manager.adopt(map);
        assert_eq!(guard.with(|bytes| bytes[0]).unwrap(), b'i');
        assert!(manager.cleanup().is_success());
        let error = guard.with(|bytes| bytes[0]).unwrap_err();
        assert_eq!(error.to_string(), "`index` was closed by its cleanup");
    });
}

#[test]
fn a_released_map_is_memmap2s_again() {
    alone(|| {
        let (map, (path, _folder)) = Index::make();
        let map = ResourceGuard::release(manager().adopt(map)).into_inner().unwrap();
        assert!(is_mapped(&path) && map.starts_with(b"index"));
    });
}
