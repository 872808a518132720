//! A mapping looked at through a table of keys: known keys are found, later and unknown ones reported. Not for the values.

use crate::check::values::describe;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::{self, Key, Support};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node};

/// A key that is there, with its value.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) key: &'static Key,
    pub(super) key_span: Span,
    pub(super) value: &'a Node,
}

impl Field<'_> {
    /// Where the value is; where the key is when there is no value.
    pub(super) fn place(&self) -> Span {
        if self.value.span.is_empty() { self.key_span } else { self.value.span }
    }

    /// The finding that the value is of the wrong kind.
    pub(super) fn wrong(&self) -> Finding {
        let message =
            format!("`{}` must be {}, found {}", self.key.name, self.key.holds, describe(self.value));
        Finding::error(self.place(), message)
    }
}

/// The known keys of one mapping.
pub(super) struct Fields<'a>(Vec<Field<'a>>);

impl<'a> Fields<'a> {
    /// Looks at `entries`. A key that only a later version honours is an error, an unknown one a warning with the nearest known one.
    pub(super) fn read(
        entries: impl IntoIterator<Item = &'a Entry>,
        table: &'static [Key],
        findings: &mut Findings,
    ) -> Self {
        let mut known = Vec::new();
        for entry in entries {
            match keys::find(table, &entry.key) {
                Some(key) if key.support == Support::Now || findings.every_key() => {
                    known.push(Field { key, key_span: entry.key_span, value: &entry.value });
                }
                Some(key) => findings.push(not_yet(key, entry.key_span)),
                None => findings.push(unknown(entry, table)),
            }
        }
        Self(known)
    }

    /// The keys of the mapping that `field` holds; one that holds something else is reported.
    pub(super) fn of(field: &Field<'a>, table: &'static [Key], findings: &mut Findings) -> Option<Self> {
        match field.value.entries() {
            Some(entries) => Some(Self::read(entries, table, findings)),
            None => {
                findings.push(field.wrong());
                None
            }
        }
    }

    /// The key of that name, when it is there.
    pub(super) fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.0.iter().find(|field| field.key.name == name)
    }
}

fn not_yet(key: &Key, span: Span) -> Finding {
    Finding::error(span, format!("`{}` is not supported yet", key.name))
        .help("this version would run the file as if it were not there; take it out to do so on purpose")
}

fn unknown(entry: &Entry, table: &[Key]) -> Finding {
    let names = || table.iter().filter(|key| key.support == Support::Now).map(|key| key.name);
    let nearest = keys::nearest(&entry.key, table.iter().map(|key| key.name));
    let help = nearest.map_or_else(
        || format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
        |name| format!("did you mean `{name}`?"),
    );
    Finding::warning(entry.key_span, format!("unknown key `{}` is ignored", shown(&entry.key))).help(help)
}
