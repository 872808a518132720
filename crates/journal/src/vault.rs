//! Where the values of a run's secrets lie while it runs: in memory (a tmpfs), readable by this user alone, so that whoever takes the run
//! over can mask them, and no disk ever holds them (DESIGN rule 3). What the values are is not known here.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jobwright_model::RunId;

use crate::state_dir::StateDir;

/// `f_type` of a tmpfs (statfs(2)).
const TMPFS: i64 = 0x0102_1994;

/// The folder of one state directory's secrets.
#[derive(Debug, Clone)]
pub struct Vault {
    dir: PathBuf,
}

impl Vault {
    /// The vault of `state`: below `$XDG_RUNTIME_DIR`, `/run` or `/dev/shm`, the first that is in memory and can be written to. None where
    /// there is no such place: then secrets do not survive their owner. Nothing is made yet.
    #[must_use]
    pub fn of(state: &StateDir) -> Option<Self> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        let places = runtime.into_iter().chain(["/run", "/dev/shm"].map(PathBuf::from));
        let place = places.into_iter().find(|place| is_usable(place))?;
        Some(Self { dir: place.join(format!("jobwright-{}", state.owner())) })
    }

    /// Keeps `values` for `run`, whole or not at all.
    ///
    /// # Errors
    /// The operating system's; also when the folder is not this user's alone.
    pub fn keep(&self, run: &RunId, values: &[u8]) -> io::Result<()> {
        self.make()?;
        let path = self.place_of(run);
        let draft = path.with_extension("draft");
        remove_if_there(&draft)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(values)?;
        fs::rename(draft, path)
    }

    /// What was kept for `run`; none when it is gone, which it is when the machine was restarted.
    ///
    /// # Errors
    /// The operating system's; also when the folder or the file is not this user's alone.
    pub fn fetch(&self, run: &RunId) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(self.place_of(run)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        check_private(&self.dir)?;
        let mut values = Vec::new();
        file.read_to_end(&mut values)?;
        Ok(Some(values))
    }

    /// Forgets what was kept for `run`, if anything was.
    ///
    /// # Errors
    /// The operating system's.
    pub fn forget(&self, run: &RunId) -> io::Result<()> {
        let path = self.place_of(run);
        remove_if_there(&path.with_extension("draft"))?;
        remove_if_there(&path)?;
        // Other runs may have something in it.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }

    /// The folder, which need not be there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where what is kept for `run` lies, or would.
    #[must_use]
    pub fn place_of(&self, run: &RunId) -> PathBuf {
        self.dir.join(format!("{run}.secrets"))
    }

    fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(&self.dir),
            made => made,
        }
    }
}

/// Somebody else may have made a folder of this name in a place where everybody can.
fn check_private(dir: &Path) -> io::Result<()> {
    let data = fs::symlink_metadata(dir)?;
    let is_ours =
        data.is_dir() && data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o077 == 0;
    if is_ours {
        return Ok(());
    }
    let why = format!("{} is not a directory of this user alone", dir.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn is_usable(place: &Path) -> bool {
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between machines")]
    let in_memory = rustix::fs::statfs(place).is_ok_and(|about| about.f_type as i64 == TMPFS);
    in_memory && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn run() -> RunId {
        RunId::new("20261120T134644Z-c0764b").unwrap()
    }

    #[test]
    fn what_is_kept_is_there_for_its_user_alone_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault { dir: folder.path().join("vault") };
        assert_eq!(vault.fetch(&run()).unwrap(), None);
        vault.keep(&run(), b"one").unwrap();
        vault.keep(&run(), b"two").unwrap();
        assert_eq!(vault.fetch(&run()).unwrap().as_deref(), Some(&b"two"[..]));
        for (path, mode) in [(vault.dir().to_owned(), 0o700), (vault.place_of(&run()), 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        vault.forget(&run()).unwrap();
        vault.forget(&run()).unwrap();
        assert!(!vault.dir().exists());
    }

    #[test]
    fn a_folder_that_others_can_read_or_have_put_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = Vault { dir: folder.path().join("open") };
        fs::create_dir(open.dir()).unwrap();
        fs::set_permissions(open.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open.keep(&run(), b"x").is_err());
        let link = Vault { dir: folder.path().join("link") };
        fs::create_dir(folder.path().join("target")).unwrap();
        symlink(folder.path().join("target"), link.dir()).unwrap();
        assert!(link.keep(&run(), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path().join("target")).unwrap().count(), 0);
    }
}
