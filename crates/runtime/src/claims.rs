//! Whose a task is: which run's journal opened it, and whether that run's owner lives (DESIGN rules 5 and 6). Reads journals and changes
//! nothing; what is done with a task that nobody watches is not decided here.

use std::collections::HashMap;

use jobwright_backend::DiscoveredWorkflow;
use jobwright_journal::{Journal, JournalError, StateDir, StateDirError};
use jobwright_model::{RunId, TaskUuid};

use crate::record::{Record, TaskPlace, open_tasks};

/// What the journals of a state directory say of tasks.
#[derive(Debug, Default)]
pub struct Claims {
    by_task: HashMap<TaskUuid, Claim>,
    unreadable: Vec<(RunId, JournalError)>,
}

/// A task in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The run that opened it.
    pub run: RunId,
    /// Whether somebody holds the lock of that run's journal.
    pub owner_lives: bool,
    /// Where it is, while it is open; none once it was closed.
    pub place: Option<TaskPlace>,
}

impl Claims {
    /// Reads the journals of all runs. Whoever asks an engine and wants to know whose its things are asks the engine first: a task is
    /// in its journal before it is in any engine, so what the engine showed is certainly in what is read afterwards.
    ///
    /// # Errors
    /// [`StateDirError`] when the runs cannot be listed. A journal that cannot be read is no error but a gap: [`Claims::unreadable`].
    pub fn read(state: &StateDir) -> Result<Self, StateDirError> {
        let mut claims = Self::default();
        for run in state.runs()? {
            let owner_lives = state.run_is_owned(&run)?;
            let path = state.run_dir(&run).join("journal");
            if !path.exists() {
                continue;
            }
            match Journal::<Record>::read(&path) {
                Ok(recovered) => claims.add(&run, owner_lives, &recovered.records),
                Err(error) => claims.unreadable.push((run, error)),
            }
        }
        Ok(claims)
    }

    fn add(&mut self, run: &RunId, owner_lives: bool, records: &[Record]) {
        let open = open_tasks(records);
        for record in records {
            if let Record::TaskOpened { task, .. } = record {
                let claim = Claim { run: run.clone(), owner_lives, place: open.get(task).cloned() };
                self.by_task.insert(task.clone(), claim);
            }
        }
    }

    /// What is said of `task`.
    #[must_use]
    pub fn of(&self, task: &TaskUuid) -> Option<&Claim> {
        self.by_task.get(task)
    }

    /// The open tasks of `run`.
    pub fn open_tasks_of(&self, run: &RunId) -> impl Iterator<Item = (&TaskUuid, &TaskPlace)> {
        let of_run = self.by_task.iter().filter(move |(_, claim)| claim.run == *run);
        of_run.filter_map(|(task, claim)| Some((task, claim.place.as_ref()?)))
    }

    /// The journals that could not be read, with why. While there are any, a task that no other journal knows may be one of theirs.
    #[must_use]
    pub fn unreadable(&self) -> &[(RunId, JournalError)] {
        &self.unreadable
    }

    /// Of what a backend discovered, what a dead owner's journal has open: that may be adopted by whoever takes that journal's lock. What
    /// a living owner watches and what no journal knows is not offered.
    #[must_use]
    pub fn adoptable(&self, discovered: Vec<DiscoveredWorkflow>) -> Vec<DiscoveredWorkflow> {
        let may = |workflow: &DiscoveredWorkflow| {
            self.of(&workflow.task).is_some_and(|claim| !claim.owner_lives && claim.place.is_some())
        };
        discovered.into_iter().filter(may).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;

    fn journal(state: &StateDir, run: &RunId, records: &[Record]) -> Journal<Record> {
        let folder = state.create_run_dir(run).unwrap();
        let (journal, _) = Journal::open(&folder.join("journal")).unwrap();
        records.iter().for_each(|record| journal.append(record).unwrap());
        journal
    }

    fn task(name: &str) -> TaskUuid {
        TaskUuid::new(name).unwrap()
    }

    fn opened(name: &str) -> Record {
        let (backend, job, at) = ("process".to_owned(), "build".to_owned(), BootTime::default());
        Record::TaskOpened { task: task(name), backend, job, attempt: 1, phase: 0, at }
    }

    // covers: woodpecker 84
    #[test]
    fn only_what_a_dead_owner_has_open_is_offered() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let runs = ["20261120T132503Z-000001", "20261120T132503Z-000002", "20261120T132503Z-000003"];
        let [dead, alive, damaged] = runs.map(|run| RunId::new(run).unwrap());
        let closed = Record::TaskClosed { task: task("over") };
        drop(journal(&state, &dead, &[opened("left"), opened("over"), closed]));
        let _held = journal(&state, &alive, &[opened("watched")]);
        state.create_run_dir(&damaged).unwrap();
        std::fs::write(state.run_dir(&damaged).join("journal"), "no journal\nno journal\n").unwrap();

        let claims = Claims::read(&state).unwrap();
        let found = |name: &str| DiscoveredWorkflow { task: task(name), steps: Vec::new() };
        let all = ["left", "over", "watched", "stray"].map(found).to_vec();
        assert_eq!(claims.adoptable(all), [found("left")]);
        assert_eq!(claims.of(&task("over")).unwrap().place, None);
        assert!(claims.of(&task("watched")).unwrap().owner_lives);
        assert_eq!(claims.of(&task("stray")), None);
        assert_eq!(claims.open_tasks_of(&dead).map(|(task, _)| task.as_str()).collect::<Vec<_>>(), ["left"]);
        assert_eq!(claims.unreadable().iter().map(|(run, _)| run).collect::<Vec<_>>(), [&damaged]);
    }
}
