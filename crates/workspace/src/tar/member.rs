//! Writes one member of an archive: its header, whatever its name needs before that, and its contents.
//!
//! The format is GNU tar's with its long-name members, which every reader knows and which carries names that are not UTF-8; times that
//! a header cannot hold (with nanoseconds, or before 1970) go into a PAX member before it. Names are written as they are, not
//! made tidy. Not here: which members there are.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Stat;
use tar::{Builder, EntryType, Header};

use crate::Owner;

/// How members are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) owner: Option<Owner>,
    pub(super) precise_times: bool,
}

/// What stands behind a member's header.
pub(super) enum Contents<'a> {
    Nothing,
    /// Exactly so many bytes of the reader.
    Bytes(u64, &'a mut dyn Read),
    /// Where a symlink points, or the first name of a file that has several.
    Target(&'a OsStr),
}

/// Writes the member `path` of type `kind` with what `stat` says of it.
pub(super) fn write<W: Write>(
    builder: &mut Builder<W>,
    path: &Path,
    kind: EntryType,
    stat: &Stat,
    contents: Contents<'_>,
    style: Style,
) -> io::Result<()> {
    write_time(builder, stat, style)?;
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    let owner = style.owner.unwrap_or(Owner { uid: stat.st_uid, gid: stat.st_gid });
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());

    if let Contents::Target(target) = contents {
        let room = header.as_old_mut().linkname.len();
        if target.len() > room {
            write_long(builder, EntryType::GNULongLink, target)?;
        }
        copy_name(&mut header.as_old_mut().linkname, target);
    }
    let mut name = path.as_os_str().to_os_string();
    if kind.is_dir() {
        name.push("/");
    }
    if name.len() > header.as_old_mut().name.len() {
        write_long(builder, EntryType::GNULongName, &name)?;
    }
    copy_name(&mut header.as_old_mut().name, &name);
    let (size, mut nothing): (u64, &[u8]) = (0, &[]);
    let (size, reader): (u64, &mut dyn Read) = match contents {
        Contents::Bytes(size, reader) => (size, reader),
        _ => (size, &mut nothing),
    };
    header.set_size(size);
    header.set_cksum();
    builder.append(&header, Exactly { left: size, reader })
}

fn copy_name(field: &mut [u8; 100], name: &OsStr) {
    let len = name.len().min(field.len());
    field[..len].copy_from_slice(&name.as_bytes()[..len]);
}

/// A member that holds a name which is too long for the header that follows.
fn write_long<W: Write>(builder: &mut Builder<W>, kind: EntryType, name: &OsStr) -> io::Result<()> {
    let mut header = Header::new_gnu();
    copy_name(&mut header.as_old_mut().name, OsStr::new("././@LongLink"));
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(name.len() as u64 + 1);
    header.set_cksum();
    builder.append(&header, name.as_bytes().chain(&[0u8][..]))
}

fn write_time<W: Write>(builder: &mut Builder<W>, stat: &Stat, style: Style) -> io::Result<()> {
    let nanoseconds = if style.precise_times { stat.st_mtime_nsec } else { 0 };
    let seconds = stat.st_mtime;
    if nanoseconds == 0 && seconds >= 0 {
        return Ok(());
    }
    let time = decimal(seconds, nanoseconds);
    builder.append_pax_extensions([("mtime", time.as_bytes())])
}

/// The time as a decimal number: half a second before 1970 is -0.5, which the system has as -1 s and 500 000 000 ns.
fn decimal(seconds: i64, nanoseconds: u64) -> String {
    match (seconds < 0, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (false, _) => format!("{seconds}.{nanoseconds:09}"),
        (true, _) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
    }
}

/// Reads a decimal time as [`decimal`] writes it, with any number of digits; `None` when it is not one.
pub(super) fn parse_time(text: &str) -> Option<(i64, u32)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

/// Gives exactly as many bytes as the header promised: a file that grows is cut, one that shrinks is an error, for what
/// would follow in the archive could not be read.
struct Exactly<'a> {
    left: u64,
    reader: &'a mut dyn Read,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let got = self.reader.read(&mut buffer[..wanted])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (seconds, nanoseconds, text) in
            [(5, 0, "5"), (5, 70_000_000, "5.070000000"), (-1, 500_000_000, "-0.500000000"), (-3, 0, "-3")]
        {
            assert_eq!(decimal(seconds, nanoseconds.into()), text);
            assert_eq!(parse_time(text), Some((seconds, nanoseconds)));
        }
        assert_eq!(parse_time("7.5"), Some((7, 500_000_000)));
        assert_eq!(parse_time("7.1234567899"), Some((7, 123_456_789)));
    }

    #[test]
    fn what_is_no_time_is_not_read_as_one() {
        for text in ["", "-", "1e9", "1.2.3", " 1", "99999999999999999999", "1.é", "+1"] {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
