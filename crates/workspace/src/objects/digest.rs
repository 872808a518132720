//! A digest over what an archive's members are, whoever packed them: two archives with one digest unpack to the same files. Not for
//! whether a file on disk is whole: that is the header's sum.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use tar::Entry;

/// The keys of extended attributes in an archive begin with this.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
/// How long a digest is as text.
pub(super) const LENGTH: usize = 64;

/// The digest of the members so far; a member's contents are written to it. Of times the whole second counts, as different packers
/// keep different parts of it.
#[derive(Default)]
pub(super) struct MemberDigest(Sha256);

impl MemberDigest {
    /// All of the next member but its contents.
    pub(super) fn begin(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let header = entry.header();
        let kind = header.entry_type().as_byte();
        // A field that is left empty is no number; it differs from every one that is.
        let number = |field: io::Result<u64>| field.unwrap_or(u64::MAX);
        let device = |field: io::Result<Option<u32>>| field.ok().flatten().map_or(u64::MAX, u64::from);
        let numbers = [
            number(header.mode().map(u64::from)),
            number(header.uid()),
            number(header.gid()),
            number(header.mtime()),
            device(header.device_major()),
            device(header.device_minor()),
            entry.size(),
        ];
        self.0.update([kind]);
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
        self.text(&entry.path_bytes());
        self.text(&entry.link_name_bytes().unwrap_or_default());
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            if extension.key_bytes().starts_with(ATTRIBUTE) {
                self.text(extension.key_bytes());
                self.text(extension.value_bytes());
            }
        }
        Ok(())
    }

    /// A text with its length, so that none can be taken for two.
    fn text(&mut self, text: &[u8]) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for MemberDigest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
