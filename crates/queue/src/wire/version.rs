//! Which form of a job an executor understands, from the version that it tells when it asks (sourcegraph.md 3; item 36).

use semver::{Prerelease, Version};

/// From that day on, builds between releases understand version 2.
const FIRST_BUILD: &str = "2022-11-24";

/// In which form a job is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobForm {
    /// As in the interface document: the content of a file is a plain text, not an object. For executors that still sign on with a name and a
    /// password (before late 2021).
    Early,
    /// Without `version`: files are objects with plain text.
    V1,
    /// `version` 2: files are objects with base64, and there is `dockerAuthConfig`.
    V2,
}

/// A version of an executor that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the executor's version {0:?} is not known: neither a semantic version such as 5.2.0, nor a build such as 190345_2022-12-01_0123456789ab, nor dev"
)]
pub struct UnknownVersion(String);

impl JobForm {
    /// The latest form that an executor of this version understands; the first one with objects for files when it tells none.
    ///
    /// # Errors
    /// [`UnknownVersion`] when it is none of the kinds of versions that executors have.
    pub fn for_executor(version: &str) -> Result<Self, UnknownVersion> {
        if version.is_empty() {
            return Ok(Self::V1);
        }
        let knows_second = release_at_least(version, 4, 3, FIRST_BUILD)
            .ok_or_else(|| UnknownVersion(version.chars().take(100).collect()))?;
        Ok(if knows_second { Self::V2 } else { Self::V1 })
    }
}

/// Whether a version is a development one, a build of that day or later, or a release of that number or later, its pre-releases included. None when it is
/// no version.
pub(super) fn release_at_least(version: &str, major: u64, minor: u64, day: &str) -> Option<bool> {
    if version == "dev" || version == "0.0.0+dev" {
        return Some(true);
    }
    if let Some(built) = build_day(version) {
        // Both are written as YYYY-MM-DD, which sorts as time goes.
        return Some(built >= day);
    }
    let mut first = Version::new(major, minor, 0);
    first.pre = Prerelease::new("0").ok()?;
    Some(semantic(version)? >= first)
}

/// The day of a build such as `190345_2022-12-01_0123456789ab`.
fn build_day(version: &str) -> Option<&str> {
    let mut parts = version.splitn(3, '_');
    let (number, day, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_day = day.len() == 10
        && day.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && day.parse::<jiff::civil::Date>().is_ok();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && is_day && !rest.is_empty()).then_some(day)
}

/// A semantic version, perhaps with a `v` before it or without its last numbers.
fn semantic(version: &str) -> Option<Version> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let zeros = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => "",
    };
    Version::parse(&format!("{numbers}{zeros}{rest}")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // covers: sourcegraph 36 (which form)
    #[test]
    fn an_executor_gets_the_latest_form_that_its_version_knows() {
        for version in [
            "dev",
            "0.0.0+dev",
            "4.3.0",
            "v4.3.0",
            "4.3",
            "5",
            "4.3.0-0",
            "4.3.0-rc.1",
            "5.2.1234+abc",
            "6.0.0-x",
            "190345_2022-11-24_0123456789ab",
            "1_2026-01-01_x",
            "200000_2023-06-30_5.1-abcdef012345",
        ] {
            assert_eq!(JobForm::for_executor(version), Ok(JobForm::V2), "{version}");
        }
        for version in ["", "4.2.9", "v3.34.0", "4.2.0-rc.1", "0.0.0", "180000_2022-11-23_0123456789ab", "4"]
        {
            assert_eq!(JobForm::for_executor(version), Ok(JobForm::V1), "{version}");
        }
    }

    // covers: sourcegraph 36 (garbage)
    #[test]
    fn garbage_is_an_error_that_names_what_would_be_right() {
        for version in [
            "latest",
            " ",
            "4.3.x",
            "1.2.3.4",
            "x_2022-11-24_y",
            "1_2022-13-40_y",
            "1_2022-11-24",
            "4..3",
            &"9".repeat(500),
        ] {
            let error = JobForm::for_executor(version).unwrap_err().to_string();
            assert!(error.contains("such as 5.2.0") && error.len() < 400, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(version in "\\PC*") {
            let _ = JobForm::for_executor(&version);
        }
    }
}
