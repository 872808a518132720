//! The skip file: a step whose key ends in `.pre` may leave `skip.json` in the workspace, and then nothing runs until the step that it names
//! (sourcegraph.md 3). The next step that runs takes the file away (`files::scripts`).

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use globset::Glob;
use jobwright_backend::{Backend, Error as BackendError};
use jobwright_model::{Cause, StepUuid, TaskUuid};
use jobwright_queue::Payload;
use jobwright_runtime::{Gate, Situation, Verdict};
use serde::Deserialize;

const FILE: &str = "skip.json";
/// It names a step.
const LONGEST: usize = 64 << 10;

/// Which step comes next.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SkipFile {
    next_step: String,
}

/// Reads the skip file between docker steps.
pub(crate) struct SkipGate {
    /// The docker steps' own keys, in their order, by their uuids.
    places: HashMap<StepUuid, usize>,
    keys: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Nothing runs before this one.
    next: Option<String>,
    /// The step before this one ran.
    ran: Option<usize>,
}

impl SkipGate {
    /// For these steps, which are the docker steps of `payload` in their order. None when no step can leave a skip file.
    pub(crate) fn of<'a>(payload: &Payload, steps: impl Iterator<Item = &'a StepUuid>) -> Option<Self> {
        let keys: Vec<String> = payload.docker_steps.iter().map(|step| step.key.clone()).collect();
        let can_skip = keys.iter().any(|key| key.ends_with(".pre"));
        can_skip.then(|| Self { places: steps.cloned().zip(0..).collect(), keys, state: Mutex::default() })
    }

    fn key(&self, place: usize) -> &str {
        self.keys.get(place).map_or("", String::as_str)
    }
}

#[async_trait]
impl Gate for SkipGate {
    async fn ask(&self, Situation { step, backend, task, .. }: Situation<'_>) -> Verdict {
        let Some(&place) = self.places.get(&step.uuid) else { return Verdict::Run };
        let (next, ran) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.next.clone(), state.ran)
        };
        let may_have_left_one = next.is_none() && ran.is_some_and(|ran| self.key(ran).ends_with(".pre"));
        let next = match may_have_left_one {
            true => match read(backend, task).await {
                Ok(found) => found,
                Err(why) => {
                    tracing::warn!(step = %step.name, "{why}");
                    return Verdict::Stop(Cause::Workspace);
                }
            },
            false => next,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &next {
            Some(next) if next != self.key(place) => {
                if !self.keys[place..].contains(next) {
                    tracing::warn!(step = %step.name, "{FILE} names {next:?}, and no step that is still to come has that key");
                    return Verdict::Stop(Cause::Workspace);
                }
                (state.next, state.ran) = (Some(next.clone()), None);
                Verdict::Skip(Cause::Condition)
            }
            _ => {
                (state.next, state.ran) = (None, Some(place));
                Verdict::Run
            }
        }
    }
}

async fn read(backend: &dyn Backend, task: &TaskUuid) -> Result<Option<String>, String> {
    let glob = Glob::new(FILE).map_err(|error| error.to_string())?;
    let mut archive = match backend.get(task, &[glob]).await {
        Ok(archive) => archive,
        Err(BackendError::NothingMatches(_)) => return Ok(None),
        Err(error) => return Err(format!("{FILE} cannot be read: {error}")),
    };
    let mut bytes = Vec::new();
    while let Some(piece) = archive.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| format!("{FILE} cannot be read: {error}"))?);
        if bytes.len() > LONGEST {
            return Err(format!("{FILE} is longer than {} KiB", LONGEST >> 10));
        }
    }
    let mut archive = tar::Archive::new(bytes.as_slice());
    let unread = |error: std::io::Error| format!("{FILE} cannot be read: {error}");
    let Some(entry) = archive.entries().map_err(unread)?.next() else { return Ok(None) };
    let mut text = Vec::new();
    entry.and_then(|mut entry| entry.read_to_end(&mut text)).map_err(unread)?;
    let file: SkipFile = serde_json::from_slice(&text)
        .map_err(|error| format!("{FILE} is not {{\"nextStep\": KEY}}: {error}"))?;
    Ok(Some(file.next_step))
}
