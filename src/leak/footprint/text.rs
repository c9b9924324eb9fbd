//! How footprints are written: bytes, and names that come from outside.

use std::fmt;

/// Longer than that, a command line is cut.
const LONGEST: usize = 200;

/// A number of bytes, for people: `1.2 MiB`.
pub(in crate::leak) struct Bytes(pub(in crate::leak) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let mut size = self.0 as f64 / 1024.0;
        if size < 1.0 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = 0;
        while size >= 1024.0 && unit + 1 < units.len() {
            (size, unit) = (size / 1024.0, unit + 1);
        }
        write!(f, "{size:.1} {}", units[unit])
    }
}

/// Text of unknown origin on one line: what is no UTF-8 is replaced, and control characters are escaped, so that a
/// file's name can't drive a terminal or fake a line.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// The same, of a command line: its arguments end in zero bytes.
pub(super) fn command(bytes: &[u8]) -> String {
    let arguments: Vec<String> = bytes.split(|byte| *byte == 0).map(printable).collect();
    let mut line = arguments.join(" ").trim_end().to_owned();
    if let Some((cut, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

pub(super) fn own(own: bool) -> &'static str {
    if own { ", castoff's own" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_that_suits_them() {
        let written = [0, 1023, 1024, 1_572_864, 5 << 30, u64::MAX].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(written, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 GiB", "16777216.0 TiB"]);
    }

    #[test]
    fn a_name_from_outside_stays_on_its_line() {
        assert_eq!(printable(b"a\nfd 3: b\x1b[31m\xff \xc3\xa9"), "a\\nfd 3: b\\u{1b}[31m\u{fffd} \u{e9}");
    }

    #[test]
    fn a_command_is_its_arguments_and_is_cut_where_it_is_long() {
        assert_eq!(command(b"sleep\x0060\0"), "sleep 60");
        assert_eq!(command(b""), "");
        let long = command(&[b'x'; 500]);
        assert_eq!((long.chars().count(), long.ends_with('…')), (201, true));
    }
}
