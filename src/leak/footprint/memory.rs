//! Memory: what is resident, and what is mapped and shared.

use std::fmt;

use crate::leak::footprint::descriptor::{Temporary, field, is_shared_memory};
use crate::leak::footprint::text::{Bytes, printable};

/// Memory that is mapped and shared: it may be held with no descriptor left.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Mapping {
    /// As the kernel names it: `/memfd:ring (deleted)`, `/dev/zero (deleted)` for what is shared without a name.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Device and inode, which are its identity.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) inode: (String, u64),
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapped: {} ({})", self.path, Bytes(self.bytes))
    }
}

/// `VmRSS:` or `VmHWM:` of `/proc/self/status`, in bytes. Zero where it is not told.
pub(super) fn resident(status: &str, key: &str) -> u64 {
    let kib = field(status, key).and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// What `/proc/self/maps` has of shared memory, of deleted files and of temporary ones that are mapped shared: each
/// once, however many mappings it has.
pub(super) fn shared(maps: &[u8], temporary: &Temporary) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    for mapping in maps.split(|byte| *byte == b'\n').filter_map(|line| mapping(line, temporary)) {
        let known = |known: &&mut Mapping| (&known.inode, &known.path) == (&mapping.inode, &mapping.path);
        match found.iter_mut().find(known) {
            Some(known) => known.bytes += mapping.bytes,
            None => found.push(mapping),
        }
    }
    found
}

/// `start-end perms offset device inode path`.
fn mapping(line: &[u8], temporary: &Temporary) -> Option<Mapping> {
    // Most lines are private: they are looked at no further.
    let space = line.iter().position(|byte| *byte == b' ')?;
    if *line.get(space + 4)? != b's' {
        return None;
    }
    let line = printable(line);
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let device = words.nth(2)?.to_owned();
    let inode = words.next()?.parse().ok()?;
    let path = words.next()?.trim_start().to_owned();
    let meant = is_shared_memory(&path) || path.ends_with(" (deleted)") || temporary.holds(&path);
    let address = |text| u64::from_str_radix(text, 16).ok();
    let bytes = address(end)?.checked_sub(address(start)?)?;
    meant.then_some(Mapping { path, bytes, inode: (device, inode) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let read = ["VmRSS:", "VmHWM:", "VmLck:"].map(|key| resident(status, key));
        assert_eq!(read, [1_048_576, 2_097_152, 0]);
    }

    #[test]
    fn shared_memory_is_found_once_each_and_the_rest_passed_over() {
        let maps = b"\
7f80835d2000-7f80835e2000 rw-s 00000000 00:01 1024                       /memfd:ring (deleted)
7f80835e2000-7f80835e3000 r--s 00010000 00:01 1024                       /memfd:ring (deleted)
7f808469e000-7f808469f000 rw-s 00000000 00:01 1025                       /dev/zero (deleted)
7f808469f000-7f80846a6000 r--s 00000000 fe:00 325745                     /usr/lib/gconv-modules.cache
7f80846a6000-7f80846a7000 rw-s 00000000 fe:00 99                         /tmp/my index
7f80846b6000-7f80846b7000 rw-p 00000000 fe:00 98                         /tmp/private (deleted)
7ffdb2de3000-7ffdb2e04000 rw-p 00000000 00:00 0                          [stack]
broken rw-s
";
        let shown: Vec<String> =
            shared(maps, &Temporary::new("/tmp".into())).iter().map(Mapping::to_string).collect();
        assert_eq!(
            shown,
            [
                "mapped: /memfd:ring (deleted) (68.0 KiB)",
                "mapped: /dev/zero (deleted) (4.0 KiB)",
                "mapped: /tmp/my index (4.0 KiB)",
            ]
        );
    }
}
