//! `cargo xtask schema`: the JSON schema of pipeline files, for editors. Not for what is in it: `jobwright-pipeline` makes it from its
//! tables of keys.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::repository;

const FILE: &str = "docs/schema/jobwright.schema.json";

/// Options of `cargo xtask schema`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail when the kept schema is stale, and write nothing.
    #[arg(long)]
    check: bool,
}

/// Writes the schema, or checks the one that is kept.
pub(crate) fn run(options: &Options) -> Result<()> {
    let path = repository::root().join(FILE);
    let schema = jobwright_pipeline::schema();
    if !options.check {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        return Ok(std::fs::write(&path, format!("{schema:#}\n"))?);
    }
    let kept: Value = serde_json::from_str(&repository::read(&path)?)?;
    if kept != schema {
        bail!("{FILE} is stale; run `cargo xtask schema`");
    }
    println!("{FILE} is current");
    Ok(())
}
