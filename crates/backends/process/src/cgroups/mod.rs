//! Cgroups of single steps: made before the start, joined by the shim, removed when the step is destroyed. Only steps that ask for
//! limits have any.
//!
//! Which ones were made is written down beside the step's output before they are made (DESIGN rule 4), because a Jobwright that comes
//! later may itself run in another cgroup and would look for them elsewhere.

mod hierarchy;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jobwright_backend::{Error, Result};
use jobwright_model::{OwnerId, Step};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use self::hierarchy::{Controller, Hierarchy, Seat};
use crate::backend::NAME;
use crate::options::Bounds;
use crate::place::{StepPlace, write_new};

/// How long a cgroup may hold on after its last process: the kernel takes its time with those that were just killed.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// What a file system takes as a name.
const LONGEST_NAME: usize = 255;
/// Microseconds over which use of processors is counted: the usual time, and one for very small shares.
const PERIOD: i64 = 100_000;
const LONG_PERIOD: i64 = 1_000_000;
/// The smallest share of a period that the kernel takes, in microseconds.
const LEAST_QUOTA: i64 = 1_000;

/// Where cgroups can be made, once somebody has asked.
pub(crate) struct Cgroups {
    below: Option<PathBuf>,
    owner: OwnerId,
    hierarchy: OnceLock<Hierarchy>,
}

impl Cgroups {
    pub(crate) fn new(below: Option<PathBuf>, owner: OwnerId) -> Self {
        Self { below, owner, hierarchy: OnceLock::new() }
    }

    /// Whether memory and processors can be limited.
    pub(crate) fn limit(&self) -> bool {
        [Controller::Memory, Controller::Cpu].iter().all(|of| self.hierarchy().seat(*of).is_some())
    }

    /// Whether an end by the memory limit is told.
    pub(crate) fn tell_memory(&self) -> bool {
        self.hierarchy().seat(Controller::Memory).is_some()
    }

    fn hierarchy(&self) -> &Hierarchy {
        self.hierarchy.get_or_init(|| Hierarchy::of_this_process(self.below.as_deref()))
    }

    /// What has to be made for `bounds`; nothing when nothing is bounded.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when this machine, or this user on it, cannot limit what is to be limited.
    pub(crate) fn plan(&self, bounds: Bounds, step: &Step, place: &StepPlace) -> Result<Vec<Planned>> {
        let wanted = [
            (Controller::Memory, bounds.memory),
            (Controller::Cpu, bounds.nano_cpus),
            (Controller::Pids, bounds.pids),
        ];
        let wanted = wanted.into_iter().filter_map(|(controller, amount)| Some((controller, amount?)));
        wanted.map(|(controller, amount)| self.planned(controller, amount, step, place)).collect()
    }

    fn planned(
        &self,
        controller: Controller,
        amount: i64,
        step: &Step,
        place: &StepPlace,
    ) -> Result<Planned> {
        let Some(seat) = self.hierarchy().seat(controller) else {
            let what = format!(
                "the {} limit of step {:?} without a cgroup to set it in (none can be made here by this user; \
                 --process-cgroup names a folder where one can)",
                controller.name(),
                step.name
            );
            return Err(Error::Unsupported { backend: NAME, what });
        };
        let folder = seat.folder.join(self.name(place));
        Ok(Planned { controller, amount, seat: seat.clone(), folder })
    }

    /// Two state directories may number their tasks alike. Ids may be longer together than a file's name can be.
    fn name(&self, place: &StepPlace) -> String {
        let name = format!("jobwright-{}-{}", self.owner, place.id.as_str().replace('/', "-"));
        if name.len() <= LONGEST_NAME {
            return name;
        }
        let mut hasher = DefaultHasher::new();
        place.id.hash(&mut hasher);
        format!("jobwright-{}-{:016x}", self.owner, hasher.finish())
    }
}

/// A limit and the cgroup that will hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    controller: Controller,
    amount: i64,
    seat: Seat,
    folder: PathBuf,
}

/// Makes what was planned for a step, writing it down first. Gives the folders, each once.
///
/// # Errors
/// [`Error::Unsupported`] when the kernel does not take a limit, [`Error::Io`]. What was made before is found by [`remove`].
pub(crate) fn make(planned: &[Planned], step: &Step, place: &StepPlace) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = planned.iter().map(|one| one.folder.clone()).collect();
    folders.sort();
    folders.dedup();
    if folders.is_empty() {
        return Ok(folders);
    }
    let failed = |error| Error::io(format!("noting the cgroups of step {:?}", step.name), error);
    let note = serde_json::to_vec(&folders).map_err(|error| failed(error.into()))?;
    write_new(&place.cgroups_file(), &note, 0o600).map_err(failed)?;
    for one in planned {
        one.make().map_err(|error| {
            let what = format!(
                "the {} limit of step {:?}: {}: {error}",
                one.controller.name(),
                step.name,
                one.folder.display()
            );
            Error::Unsupported { backend: NAME, what }
        })?;
    }
    Ok(folders)
}

impl Planned {
    fn make(&self) -> io::Result<()> {
        if self.seat.unified {
            let given = self.seat.folder.join("cgroup.subtree_control");
            let name = self.controller.name();
            if !fs::read_to_string(&given)?.split_ascii_whitespace().any(|one| one == name) {
                fs::write(given, format!("+{name}"))?;
            }
        }
        match fs::create_dir(&self.folder) {
            // Of another controller in the same hierarchy.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        self.settings().iter().try_for_each(|setting| setting.write(&self.folder))
    }

    fn settings(&self) -> Vec<Setting> {
        let amount = self.amount;
        let must = |file, text: String| Setting { file, text, optional: false };
        let may = |file, text: String| Setting { file, text, optional: true };
        match (self.controller, self.seat.unified) {
            // Without swap: what does not fit ends the step instead of slowing the machine.
            (Controller::Memory, true) => {
                vec![must("memory.max", amount.to_string()), may("memory.swap.max", "0".into())]
            }
            (Controller::Memory, false) => vec![
                must("memory.limit_in_bytes", amount.to_string()),
                may("memory.memsw.limit_in_bytes", amount.to_string()),
            ],
            (Controller::Cpu, unified) => {
                let (quota, period) = quota(amount);
                if unified {
                    vec![must("cpu.max", format!("{quota} {period}"))]
                } else {
                    let period = must("cpu.cfs_period_us", period.to_string());
                    vec![period, must("cpu.cfs_quota_us", quota.to_string())]
                }
            }
            (Controller::Pids, _) => vec![must("pids.max", amount.to_string())],
        }
    }
}

/// A text for a file of a cgroup.
struct Setting {
    file: &'static str,
    text: String,
    /// Kernels without swap accounting lack the file.
    optional: bool,
}

impl Setting {
    fn write(&self, folder: &Path) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(folder.join(self.file));
        let written = file.and_then(|mut file| io::Write::write_all(&mut file, self.text.as_bytes()));
        match written {
            Err(_) if self.optional => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", self.file))),
            Ok(()) => Ok(()),
        }
    }
}

/// Microseconds of how many microseconds, from billionths of a processor.
fn quota(nano_cpus: i64) -> (i64, i64) {
    let of = |period: i64| nano_cpus.saturating_mul(period) / 1_000_000_000;
    let period = if of(PERIOD) < LEAST_QUOTA { LONG_PERIOD } else { PERIOD };
    (of(period).max(LEAST_QUOTA), period)
}

/// Removes the cgroups of a step that has ended, and ends what is in them all the same.
///
/// # Errors
/// [`Error::Io`] when one stays.
pub(crate) async fn remove(place: &StepPlace) -> Result<()> {
    let note = place.cgroups_file();
    let failed = |error| Error::io(format!("removing the cgroups of step {}", place.id), error);
    let text = match fs::read(&note) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    // A note that was cut off by a death was written before anything was made.
    let folders: Vec<PathBuf> = serde_json::from_slice(&text).unwrap_or_default();
    for folder in folders {
        remove_folder(&folder).await.map_err(failed)?;
    }
    fs::remove_file(&note).map_err(failed)
}

async fn remove_folder(folder: &Path) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        match remove_tree(folder) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && begin.elapsed() < PATIENCE => {}
            other => return other,
        }
        kill_members(folder);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The folder and those that the step made in it. Their files are the kernel's and go with them.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Ends what is in a cgroup that should be empty: looked at once more when the descriptor is held, as the number may have become
/// another's meanwhile.
fn kill_members(folder: &Path) {
    let members = || -> Vec<i32> {
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    };
    for pid in members() {
        let descriptor = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(descriptor) = descriptor.filter(|_| members().contains(&pid)) {
            // One that ended meanwhile is what was wanted.
            let _ = pidfd_send_signal(&descriptor, Signal::KILL);
        }
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_members(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_processor_is_a_share_of_a_period_that_the_kernel_takes() {
        for (nano_cpus, expected) in [
            (1_500_000_000, (150_000, 100_000)),
            (10_000_000, (1_000, 100_000)),
            (5_000_000, (5_000, 1_000_000)),
            (1_000_000, (1_000, 1_000_000)),
        ] {
            assert_eq!(quota(nano_cpus), expected, "{nano_cpus}");
        }
    }

    #[test]
    fn in_the_second_version_a_controller_is_given_on_and_every_limit_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.subtree_control"), "memory pids").unwrap();
        let seat = Seat { folder: dir.path().to_owned(), unified: true };
        let folder = dir.path().join("step");
        fs::create_dir(&folder).unwrap();
        for file in ["memory.max", "cpu.max", "pids.max"] {
            fs::write(folder.join(file), "").unwrap();
        }
        for (controller, amount) in
            [(Controller::Memory, 64 << 20), (Controller::Pids, 9), (Controller::Cpu, 500_000_000)]
        {
            Planned { controller, amount, seat: seat.clone(), folder: folder.clone() }.make().unwrap();
        }
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(text("memory.max"), "67108864");
        assert_eq!(text("cpu.max"), "50000 100000");
        assert_eq!(text("pids.max"), "9");
        assert_eq!(fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap(), "+cpu");
    }

    #[test]
    fn a_limit_that_the_kernel_has_no_file_for_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let seat = Seat { folder: dir.path().to_owned(), unified: false };
        let folder = dir.path().join("step");
        let error = Planned { controller: Controller::Cpu, amount: 1, seat, folder }.make().unwrap_err();
        assert!(error.to_string().contains("cpu.cfs_period_us"), "{error}");
    }
}
