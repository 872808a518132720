//! A pipeline file out of any bytes, by both languages' rules: every report can be shown in every form, and what is taken can be compiled.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use jobwright_model::{RunId, StepUuid};
use jobwright_pipeline::{
    CompileContext, Loader, Look, Pipeline, Report, ResolveSecret, SecretError, SecretSource, Target, compile,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let loader = Loader::new().every_key();
    for name in ["p.yaml", ".local-ci.yaml"] {
        match loader.parse(name, bytes) {
            Ok(pipeline) => {
                show(&pipeline.warnings());
                compile_all(&pipeline);
            }
            Err(report) => {
                assert!(report.has_errors());
                show(&report);
            }
        }
    }
});

fn show(report: &Report) {
    let text = report.render(Look::Terminal { colour: false, width: 80 });
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'));
    assert!(report.summary().lines().count() <= 201);
}

fn compile_all(pipeline: &Pipeline) {
    let Ok(run) = RunId::new("20261120T132503Z-567825") else { return };
    let context = CompileContext {
        run: &run,
        target: Target { backend: "docker", images: true, limits: true },
        environment: &BTreeMap::new(),
        secrets: &Nothing,
        workspace: true,
        step_uuid: &StepUuid::random,
    };
    for job in pipeline.jobs.iter().take(20) {
        drop(compile(pipeline, job, &context));
    }
}

/// A host with an empty value for every secret and no files.
struct Nothing;

impl ResolveSecret for Nothing {
    fn resolve(&self, _: &SecretSource) -> Result<String, SecretError> {
        Ok(String::new())
    }

    fn env_file(&self, _: &Path) -> Result<String, SecretError> {
        Ok(String::new())
    }
}
