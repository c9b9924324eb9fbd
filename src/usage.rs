//! What the process holds in memory, by the kernel's own count.

/// How much memory the process has, and has had at most.
///
/// Not a part of [`ResourceStats`](crate::ResourceStats): the kernel walks its own counters and writes a page of text for
/// it, tens of microseconds that nobody pays who did not ask.
///
/// # Examples
/// ```
/// use castoff::MemoryUsage;
///
/// if let Some(usage) = MemoryUsage::now() {
///     assert!(0 < usage.resident && usage.resident <= usage.peak);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Bytes in memory now, shared ones included.
    pub resident: u64,
    /// The most there have been since the process began.
    pub peak: u64,
}

impl MemoryUsage {
    /// Asks the kernel: `/proc/self/status`. `None` where there is none of that, as outside Linux, and where it can't
    /// be read.
    pub fn now() -> Option<MemoryUsage> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let (resident, peak) = (bytes(&status, "VmRSS:")?, bytes(&status, "VmHWM:")?);
        // The two are counted at different moments, and lazily.
        Some(MemoryUsage { resident, peak: peak.max(resident) })
    }
}

/// The value of a line like `VmRSS:     1234 kB`.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read_and_others_refused() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     12 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(1_048_576));
        assert_eq!(bytes(status, "VmHWM:"), Some(2_097_152));
        for wrong in ["", "VmRSS: 12", "VmRSS: many kB", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(bytes(wrong, "VmRSS:"), None, "{wrong}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_allocated_and_touched_shows() {
        // Other tests allocate and free meanwhile: what is held here is there in any case.
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let with = MemoryUsage::now().expect("this is Linux");
        assert!(with.resident >= 60 << 20 && with.peak >= with.resident, "{with:?}");
        drop(block);
        // The kernel counts lazily: some pages of each thread may not be in the peak yet.
        let after = MemoryUsage::now().expect("this is Linux");
        assert!(after.peak + (4 << 20) >= with.resident, "{with:?} {after:?}");
    }
}
