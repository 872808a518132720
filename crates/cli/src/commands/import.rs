//! `jobwright import`: another system's file in our language.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jobwright_pipeline::{ImportError, Imported, import_gitlab, import_woodpecker};

use crate::args::ImportCommand;
use crate::exit::Exit;
use crate::failure::{Failure, look};
use crate::show::{aside, sink};

pub(crate) fn run(command: ImportCommand) -> Result<Exit, Failure> {
    let (imported, args) = match command {
        ImportCommand::Gitlab(args) => {
            let path = args.file.clone().unwrap_or_else(|| PathBuf::from(".gitlab-ci.yml"));
            (import_gitlab(&path)?, args)
        }
        ImportCommand::Woodpecker(args) => {
            let path = args.file.clone().unwrap_or_else(woodpecker_files);
            (import_woodpecker(&path)?, args)
        }
    };
    if !imported.notes.is_empty() {
        aside::say(imported.notes.render(look()).trim_end());
    }
    match args.output.as_deref() {
        None => sink::say(imported.text.trim_end()),
        Some(path) if path.as_os_str() == "-" => sink::say(imported.text.trim_end()),
        Some(path) => {
            write(path, &imported, args.force)?;
            let count = imported.notes.findings().len();
            aside::say(format_args!("{} is written; {count} point(s) were not carried over", path.display()));
        }
    }
    Ok(Exit::Success)
}

/// Where Woodpecker looks for its files.
fn woodpecker_files() -> PathBuf {
    let places = [".woodpecker", ".woodpecker.yaml", ".woodpecker.yml"].map(PathBuf::from);
    let [directory, ..] = &places;
    places.iter().find(|path| path.exists()).unwrap_or(directory).clone()
}

fn write(path: &Path, imported: &Imported, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(imported.text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(
            Exit::Invalid,
            format!("`{}` is there already; `--force` replaces it", path.display()),
        ),
        _ => Failure::new(Exit::Invalid, format!("`{}` cannot be written: {error}", path.display())),
    })
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Invalid(report) => Self::findings(report),
            ImportError::Internal(_) => Self::new(Exit::Failed, error),
            ImportError::TooManyFiles { .. } => Self::new(Exit::Invalid, error),
            error => Self::new(Exit::NotFound, error),
        }
    }
}
