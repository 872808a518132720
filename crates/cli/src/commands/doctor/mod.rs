//! `jobwright doctor`: looks at everything that Jobwright keeps and that runs of a dead one left, and says what would be right. Changes
//! nothing; putting things right is for `jobwright clean` and `jobwright run --resume`.

mod engines;
mod finding;
mod runs;
mod state;

use std::path::Path;

use jobwright_runtime::Claims;

use crate::args::DoctorArgs;
use crate::backends;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

use finding::{Finding, Level, show};

pub(crate) async fn run(args: DoctorArgs, path: &Path) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    if let Some(state) = state::look(path, &mut found) {
        let registry = backends::registry(args.backends, &state);
        // The engines first: what they show was in a journal before (see `Claims::read`).
        let stock = engines::take_stock(&registry, &mut found).await;
        let claims = Claims::read(&state)?;
        runs::look(&state, &claims, &stock, &mut found)?;
        engines::compare(&state, &claims, &stock, &mut found);
    }
    let needs_attention = found.iter().any(|finding| finding.level == Level::Attention);
    if args.json {
        sink::json(&serde_json::json!({ "sound": !needs_attention, "findings": found }));
    } else {
        show(&found);
    }
    Ok(if needs_attention { Exit::NeedsAttention } else { Exit::Success })
}

/// A number of things in words.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Something that needs attention, and the commands of which one puts it right.
fn attention(subject: impl Into<String>, what: impl Into<String>, right: &[String]) -> Finding {
    Finding { level: Level::Attention, subject: subject.into(), what: what.into(), right: right.to_vec() }
}

/// Something that is as it should be, or that is not ours to judge.
fn told(level: Level, subject: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding { level, subject: subject.into(), what: what.into(), right: Vec::new() }
}
