//! `jobwright workflow run`: a workflow that another compiler wrote.

use std::io::Read;
use std::path::Path;

use jobwright_engine::{Engine, EngineOptions};
use jobwright_journal::StateDir;
use jobwright_model::{RunId, Workflow};
use jobwright_runtime::Scope;

use crate::args::WorkflowRunArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{backends, show, signals};

/// The largest file that is read, in bytes: no compiled workflow comes near it.
const LARGEST: u64 = 64 << 20;

pub(crate) async fn run(args: WorkflowRunArgs, state: &StateDir) -> Result<Exit, Failure> {
    let workflow = read(&args.file)?;
    let name = args.file.file_stem().map_or_else(|| "workflow".into(), |stem| stem.to_string_lossy());
    let name = if name == "-" { "workflow".into() } else { name };
    let options =
        EngineOptions { backend: args.backend.filter(|name| !name.is_empty()), ..EngineOptions::default() };
    let engine = Engine::new(state.clone(), backends::registry(args.backends, state), options);
    let scope = Scope::new();
    signals::watch(&scope)?;
    let run = engine.open(&RunId::generate())?;
    let shown = show::follow(run.reader()?, show::Form::choose(args.json));
    let report = run.execute_workflow(&name, workflow, &args.file, &scope).await;
    shown.finish().await;
    match report.error {
        Some(error) => Err(error.into()),
        None => Ok(Exit::of(&report.ending)),
    }
}

/// Says where the JSON is wrong, never what is in it: a workflow holds its secrets in clear.
fn read(file: &Path) -> Result<Workflow, Failure> {
    let shown = file.display();
    let unreadable =
        |error| Failure::new(Exit::NotFound, format!("the workflow {shown} cannot be read: {error}"));
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    } else {
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened.take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    }
    if text.len() as u64 > LARGEST {
        return Err(Failure::new(Exit::Invalid, format!("the workflow {shown} is larger than 64 MiB")));
    }
    serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                "it is JSON, but no workflow (its type is Woodpecker's `Config`)"
            }
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it is not JSON",
        };
        Failure::new(Exit::Invalid, format!("{shown}:{line}:{column}: {what}"))
    })
}
