//! Finding the shim's program and starting it for a directory. What is said to a running shim is in [`crate::client`].

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::ShimError;
use crate::open_files;
use crate::record::ShimRecord;

/// The program's name.
pub const PROGRAM: &str = "jobwright-shim";

/// Finds the program: `JOBWRIGHT_SHIM`, else beside the running executable or one folder up (where a test finds it),
/// else in PATH.
///
/// # Errors
/// [`ShimError::NotFound`] names all places. A `JOBWRIGHT_SHIM` that is not executable is an error, not passed over.
pub fn find_shim() -> Result<PathBuf, ShimError> {
    if let Some(path) = env::var_os("JOBWRIGHT_SHIM") {
        let path = PathBuf::from(path);
        return named_shim(&path)
            .map_err(|_| ShimError::NotFound { looked_in: format!("JOBWRIGHT_SHIM={}", path.display()) });
    }
    let mut places: Vec<PathBuf> = Vec::new();
    if let Ok(executable) = env::current_exe() {
        places.extend(executable.ancestors().skip(1).take(2).map(Path::to_owned));
    }
    places.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let found = places.iter().map(|place| place.join(PROGRAM)).find(|path| is_program(path));
    found.ok_or_else(|| {
        let listed: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        ShimError::NotFound { looked_in: listed.join(", ") }
    })
}

/// The program at `path`, which somebody named.
///
/// # Errors
/// [`ShimError::NotFound`] when it is not there or not executable.
pub fn named_shim(path: &Path) -> Result<PathBuf, ShimError> {
    let program = is_program(path).then(|| path.to_owned());
    program.ok_or_else(|| ShimError::NotFound { looked_in: path.display().to_string() })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A directory that one shim serves, 0700, and that holds its socket, record and log.
#[derive(Debug, Clone)]
pub struct ShimDir {
    path: PathBuf,
}

impl ShimDir {
    /// Names the directory; nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the shim that last served the directory still runs, told by its identity.
    ///
    /// # Errors
    /// When its record is there and cannot be read: then it is not known, which is not the same as dead.
    pub fn is_alive(&self) -> Result<bool, ShimError> {
        Ok(ShimRecord::read(&self.path)?.is_some_and(|record| record.process.is_alive()))
    }

    /// Starts `program` for this directory, which is created if it is missing, and returns when its socket takes
    /// connections. When a shim already serves it, that one stays and nothing happens.
    ///
    /// # Errors
    /// [`ShimError::Launch`] with what the program said.
    pub fn launch(&self, program: &Path) -> Result<(), ShimError> {
        let failed = |message: String| ShimError::Launch { message };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| failed(format!("cannot create {}: {error}", self.path.display())))?;
        // Nothing of the environment is the shim's business, and it would outlive its parent with it.
        let mut command = Command::new(program);
        command.arg("--dir").arg(&self.path);
        if let Some(limit) = open_files::of_steps() {
            command.arg("--open-files").arg(limit.to_string());
        }
        let output = command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| failed(format!("{}: {error}", program.display())))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
    }
}
