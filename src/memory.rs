//! Memory of this machine, and the refusal of what cannot fit into it: an allocation that fails ends the process.

use crate::fault::{Error, Result};
use std::fs;

/// Bytes that may still be taken: what Linux calls available, or the limit of the control group where that is less. `None`
/// where neither is told.
pub fn left() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let available = read("/proc/meminfo").and_then(|text| available(&text));
    let limit = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    available.into_iter().chain(limit).min()
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    rest.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// Refuses what takes more bytes than are left; `remedy` continues the sentence. Where nobody says what is left, all may try.
///
/// # Errors
/// [`Error::Machine`].
pub fn check(what: &str, bytes: u64, remedy: &str) -> Result<()> {
    match left() {
        Some(left) if bytes > left => Err(Error::Machine(format!(
            "{what} about {}, and this machine has {} left; {remedy}",
            size(bytes),
            size(left)
        ))),
        _ => Ok(()),
    }
}

/// Megabytes rounded up, gigabytes, or terabytes: `12 MB`, `3.4 GB`, `9000 TB`.
pub fn size(bytes: u64) -> String {
    match bytes as f64 {
        few if few < 1e9 => format!("{} MB", bytes.div_ceil(1_000_000)),
        some if some < 1e12 => format!("{:.1} GB", some / 1e9),
        many => format!("{:.0} TB", many / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        assert_eq!(available("MemTotal:  16 kB\nMemAvailable:    12 kB\nBuffers: 3 kB\n"), Some(12 * 1024));
        for text in ["", "MemAvailable: much kB", "MemAvailable: 12", "MemAvailable: 99999999999999999999 kB"] {
            assert_eq!(available(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_both_sizes() {
        check("All of it takes", 0, "no remedy").unwrap();
        if left().is_none() {
            return;
        }
        let error = check("All of it takes", u64::MAX, "take less").unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(text.starts_with("All of it takes about 18446744 TB, and this machine has "), "{text}");
        assert!(text.ends_with(" left; take less"), "{text}");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1, 999_999_999, 1_000_000_000, 3_400_000_000_000];
        assert_eq!(sizes.map(size), ["0 MB", "1 MB", "1000 MB", "1.0 GB", "3 TB"]);
    }
}
