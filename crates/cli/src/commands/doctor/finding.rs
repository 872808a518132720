//! What is found, and how it is shown to people and programs. What is looked at is in the modules beside this one.

use serde::Serialize;

use crate::show::sink;

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Sound,
    /// Something is to be done about it.
    Attention,
    /// Another state directory's: never touched from here.
    Foreign,
    /// Worth knowing, and nothing to do.
    Note,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Attention => "attention",
            Self::Foreign => "foreign",
            Self::Note => "note",
        }
    }
}

/// One thing that was seen.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What it is about: the state directory, a run's id, a backend's name.
    pub(super) subject: String,
    pub(super) what: String,
    /// Commands of which any one is right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) right: Vec<String>,
}

/// A line for each, and below it what would be right.
pub(super) fn show(findings: &[Finding]) {
    for Finding { level, subject, what, right } in findings {
        sink::say(format_args!("{:<9}  {subject}: {what}", level.word()));
        if !right.is_empty() {
            sink::say(format_args!("{:<9}  -> {}", "", right.join("   or   ")));
        }
    }
    let number = findings.iter().filter(|finding| finding.level == Level::Attention).count();
    sink::say(match number {
        0 => "nothing needs attention".to_owned(),
        1 => "1 thing needs attention".to_owned(),
        many => format!("{many} things need attention"),
    });
}
