//! Volumes of an execution: places of this host inside of it (nunet.md 2.6; checklist items 62 and 63).

use std::path::{Component, Path};

use jobwright_model::{ExecutionRequest, StorageVolume};

use super::Target;
use crate::error::{Error, Result};

/// What the step is told of the request's volumes.
pub(super) fn of(request: &ExecutionRequest, target: Target) -> Result<Vec<String>> {
    let inputs = request
        .inputs
        .iter()
        .enumerate()
        .map(|(place, volume)| (format!("inputs[{place}]"), volume, volume.read_only));
    let outputs = request
        .outputs
        .iter()
        .enumerate()
        .map(|(place, volume)| (format!("outputs[{place}]"), volume, false));
    inputs.chain(outputs).map(|(field, volume, read_only)| one(&field, volume, read_only, target)).collect()
}

fn one(field: &str, volume: &StorageVolume, read_only: bool, target: Target) -> Result<String> {
    let StorageVolume { kind, source, target: place, .. } = volume;
    if kind != "bind" {
        return Err(Error::invalid(
            format!("{field}.type"),
            format!("{kind:?} is not known; it is \"bind\""),
        ));
    }
    check_path(&format!("{field}.source"), source)?;
    check_path(&format!("{field}.target"), place)?;
    if !Path::new(source).exists() {
        return Err(Error::invalid(format!("{field}.source"), format!("{source} is not there")));
    }
    if target.images {
        let mode = if read_only { "ro" } else { "rw" };
        return Ok(format!("{source}:{place}:{mode}"));
    }
    if read_only {
        return Err(target.unsupported(format!("read-only volumes ({field})")));
    }
    if source != place {
        return Err(target.unsupported(format!("volumes in another place than the host's ({field})")));
    }
    Ok(format!("{source}:{place}"))
}

fn check_path(field: &str, text: &str) -> Result<()> {
    let path = Path::new(text);
    let reason = match () {
        () if text.is_empty() => "it is empty".to_owned(),
        () if !path.is_absolute() => format!("{text:?} is not an absolute path"),
        () if has_dots(path) => format!("{text:?} holds `..`"),
        () if text.contains([':', '\0', '\n']) => {
            format!("{text:?} holds a character that no volume can have")
        }
        () => return Ok(()),
    };
    Err(Error::invalid(field, reason))
}

pub(super) fn has_dots(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}
