//! Graphics processors for containers (nunet.md 3, GPU): only those that were asked for are visible.

use std::collections::BTreeSet;

use jobwright_model::{Gpu, GpuVendor, Step};
use serde_json::{Map, Value, json};

use super::Target;
use crate::error::Result;

/// The number of the first render node, by which the kernel counts them.
const FIRST_RENDER_NODE: u32 = 128;

/// Gives them to the step: those of NVIDIA by their numbers, of which the engine's own runtime makes devices; others by their device files.
pub(super) fn add(
    gpus: &[Gpu],
    target: Target,
    step: &mut Step,
    options: &mut Map<String, Value>,
) -> Result<()> {
    if gpus.is_empty() {
        return Ok(());
    }
    if !target.images {
        return Err(target.unsupported("graphics processors"));
    }
    let of = |vendor| gpus.iter().filter(move |gpu| gpu.vendor == vendor).map(|gpu| gpu.index);
    let nvidia: Vec<String> = of(GpuVendor::Nvidia).map(|index| index.to_string()).collect();
    if !nvidia.is_empty() {
        options.insert("gpus".to_owned(), json!({"nvidia": nvidia}));
    }
    if of(GpuVendor::Amd).next().is_some() {
        step.devices.push(device("/dev/kfd"));
        options.insert("groups".to_owned(), json!(["video"]));
    }
    for index in of(GpuVendor::Amd).chain(of(GpuVendor::Intel)) {
        step.devices.push(device(&format!("/dev/dri/card{index}")));
        let node = FIRST_RENDER_NODE.saturating_add(index);
        step.devices.push(device(&format!("/dev/dri/renderD{node}")));
    }
    // A processor may be asked for twice.
    let mut seen = BTreeSet::new();
    step.devices.retain(|device| seen.insert(device.clone()));
    Ok(())
}

fn device(path: &str) -> String {
    format!("{path}:{path}:rwm")
}
