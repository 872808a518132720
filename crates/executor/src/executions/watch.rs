//! Watching an execution that another process has and may remove in the moment in which it has ended: what was opened before is read after.

use std::fs::File;
use std::path::PathBuf;

use jobwright_journal::Journal;
use jobwright_model::{ExecutionId, ExecutionResult, RunId};
use jobwright_runtime::Record;

use crate::live::result_of_gone;
use crate::reader::Written;
use crate::store::Store;

pub(super) struct Watch {
    path: PathBuf,
    journal: File,
    written: Written,
}

impl Watch {
    /// None when there is nothing to be watched yet, or any more.
    pub(super) fn begin(store: &Store, run: &RunId) -> Option<Self> {
        let folder = store.folder(run);
        let path = folder.join("journal");
        Some(Self { journal: File::open(&path).ok()?, path, written: Written::open(&folder).ok()? })
    }

    /// What came of it, when it had ended before it was removed.
    pub(super) fn result(&self, id: &ExecutionId) -> Option<ExecutionResult> {
        let records = Journal::<Record>::read_file(&self.journal, &self.path).ok()?.records;
        records.into_iter().find_map(|record| match record {
            Record::JobEnded { ending, error, .. } => Some(result_of_gone(id, &self.written, ending, error)),
            _ => None,
        })
    }
}
