//! Fuzzing of what reads people's files: each target of `fuzz/` for a bounded time, with the examples as its seeds. Not for what the
//! targets hold to be true.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Setting;
use super::suites::{cargo, passes};
use super::summary::Tally;
use crate::repository;

/// Targets, and the folders of their seeds.
const TARGETS: [(&str, &[&str]); 3] = [
    (
        "pipeline",
        &[
            "crates/pipeline/tests/good",
            "crates/pipeline/tests/language",
            "crates/pipeline/tests/bad",
            "examples/containers",
        ],
    ),
    ("condition", &["fuzz/seeds/condition"]),
    ("import", &["fuzz/seeds/import"]),
];

/// How long each target runs, how long one input may take, and how much memory it may use.
const SECONDS: u32 = 60;
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=20000"];

/// What `cargo fuzz` builds with, but for the address sanitizer: that would need a nightly compiler, and there is no unsafe code to watch.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on -Coverflow-checks=on --cfg fuzzing";

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(setting: &Setting) -> Tally {
    if !setting.fuzz {
        return Tally::skipped("not asked for (--fuzz)");
    }
    let mut tally = build();
    if tally.failed.is_empty() {
        for (target, seeds) in TARGETS {
            let ran =
                fuzz(target, seeds).unwrap_or_else(|error| Tally::failed(format!("{target}: {error:#}")));
            tally.passed += ran.passed;
            tally.failed.extend(ran.failed);
        }
    }
    tally
}

/// A folder of its own, as other flags would rebuild everything that the tests use.
fn folder() -> PathBuf {
    repository::target().join("fuzz")
}

/// With a target named, the flags do not reach build scripts and macros, whose programs lack the fuzzer's callbacks.
fn build() -> Tally {
    let manifest = repository::root().join("fuzz/Cargo.toml");
    let mut command = cargo(&["build", "--release", "--target", &host(), "--manifest-path"]);
    command.arg(manifest).env("CARGO_TARGET_DIR", folder()).env("RUSTFLAGS", FLAGS);
    passes(&mut command, BUILD_LIMIT)
}

fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// What was found is kept beside the corpus, whose inputs later runs begin with.
fn fuzz(target: &str, seeds: &[&str]) -> Result<Tally> {
    let corpus = folder().join("corpus").join(target);
    let found = folder().join("found");
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(found.join(format!("{target}-")));
    let mut command = Command::new(folder().join(host()).join("release").join(target));
    command.arg(corpus).args(seeds.iter().map(|seed| repository::root().join(seed)));
    command.args(LIMITS).arg(format!("-max_total_time={SECONDS}")).arg(prefix);
    command.arg("-verbosity=0");
    Ok(passes(&mut command, RUN_LIMIT))
}
