//! Which language's rules a file follows where ours and local-ci's differ. They differ in one point: how a job takes back what it
//! inherited. Not for anything that the two have in common.

use std::path::Path;

use crate::discover;

/// Whose rules a file follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Dialect {
    /// Ours: what a job says holds. A `null` takes back what it inherited, and an empty list or a zero is as good as any other value.
    #[default]
    Jobwright,
    /// local-ci's: what is empty or zero is inherited (local-ci.md 1.4), so that its users' files keep their meaning.
    LocalCi,
}

impl Dialect {
    /// The dialect of the file at `path`: by its name, else that of the file that includes it.
    pub(crate) fn of(path: &Path, included_by: Self) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy());
        match name.as_deref().and_then(discover::family) {
            Some(discover::Family::Jobwright) => Self::Jobwright,
            Some(discover::Family::LocalCi) => Self::LocalCi,
            None => included_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_rules_hold_and_an_included_file_follows_its_includer() {
        let of = |name: &str, by| Dialect::of(Path::new(name), by);
        assert_eq!(of("a/.local-ci.yaml", Dialect::Jobwright), Dialect::LocalCi);
        assert_eq!(of("build.local-ci.yml", Dialect::Jobwright), Dialect::LocalCi);
        assert_eq!(of(".jobwright.yaml", Dialect::LocalCi), Dialect::Jobwright);
        assert_eq!(of("ci/templates.yaml", Dialect::LocalCi), Dialect::LocalCi);
        assert_eq!(of("ci/templates.yaml", Dialect::Jobwright), Dialect::Jobwright);
    }
}
