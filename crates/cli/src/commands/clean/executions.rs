//! Executions whose owner died: they are ended and concluded as `jobwright executions cancel` does it, so that their result says what became
//! of them. What one that has ended left is swept as of every run.

use jobwright_executor::{Error, ExecutionFolder};
use jobwright_journal::{Journal, StateDir};
use jobwright_model::RunId;
use jobwright_runtime::Record;

use super::{Broom, is_damage};
use crate::commands::executions::Opened;
use crate::show::sink;

impl Broom {
    /// Ends the execution in the folder of `run`; true when nothing of that run is left to be looked at.
    pub(super) async fn sweep_execution(&mut self, state: &StateDir, run: &RunId) -> bool {
        let folder = match ExecutionFolder::of(state, run) {
            Ok(Some(folder)) if !folder.is_over => folder,
            Ok(_) => return false,
            Err(error) => {
                self.fail(run, &error.to_string());
                // Its journal still says what is to be removed.
                return false;
            }
        };
        let path = state.run_dir(run).join("journal");
        if !path.exists() {
            // It is just being begun, or its owner died at once and left a document.
            return true;
        }
        let what = match folder.has_its_id {
            true => format!("execution {}", folder.id),
            false => format!("execution {}, which never began,", folder.id),
        };
        let renewed = match Journal::<Record>::read(&path) {
            Err(damage) if is_damage(&damage) => self.renew(run, &path, &damage).map(drop),
            _ => Ok(()),
        };
        if let Err(error) = renewed {
            self.fail(run, &error.to_string());
            return true;
        }
        if self.dry_run {
            sink::say(format_args!("{run}: {what} whose owner died"));
            self.removed += 1;
            return true;
        }
        match self.give_up_execution(state, run).await {
            Ok(true) => {
                sink::say(format_args!("{run}: {what} ended"));
                self.removed += 1;
            }
            Ok(false) => {}
            Err(error) => self.fail(run, &error),
        }
        true
    }

    async fn give_up_execution(&mut self, state: &StateDir, run: &RunId) -> Result<bool, String> {
        let opened = match self.executions.take() {
            Some(opened) => opened,
            None => Opened::on(self.registry.clone(), state).map_err(|failure| failure.text())?,
        };
        let given_up = opened.executor.give_up(run).await.map_err(|error: Error| error.to_string());
        self.executions = Some(opened);
        given_up
    }
}
