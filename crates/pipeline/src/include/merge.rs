//! What wins when several files say the same (local-ci.md 1.5): of jobs and of most keys the whole, of variables and secrets each name.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::findings::Findings;
use crate::include::files::Files;
use crate::include::placeholders;
use crate::overlay;
use crate::yaml::Entry;

/// One file with all that it includes.
#[derive(Default, Clone)]
pub(super) struct Merged {
    pub(super) own: Vec<Entry>,
    pub(super) jobs: Vec<Entry>,
}

/// The whole of `files`, with the placeholders of the first one filled in.
pub(super) fn merge(files: &mut Files, findings: &mut Findings) -> Merged {
    let mut merger = Merger { files, done: HashMap::new(), findings };
    let includes: Vec<_> = merger.files.trees[0].includes.clone();
    let direct: Vec<_> = includes.iter().map(|(tree, _)| (*tree, merger.merged(*tree))).collect();
    let filled = placeholders::fill(merger.files, &direct, merger.findings);
    if let Some(stages) = filled
        && let Some(entry) = merger.files.trees[0].own.iter_mut().find(|entry| entry.key == "stages")
    {
        entry.value = stages;
    }
    Rc::unwrap_or_clone(merger.merged(0))
}

struct Merger<'a> {
    files: &'a mut Files,
    done: HashMap<usize, Rc<Merged>>,
    findings: &'a mut Findings,
}

impl Merger<'_> {
    /// The tree `index` over what it includes, the last include first. The files include each other in no circle and in short rows.
    fn merged(&mut self, index: usize) -> Rc<Merged> {
        if let Some(done) = self.done.get(&index) {
            return Rc::clone(done);
        }
        let mut merged =
            Merged { own: self.files.trees[index].own.clone(), jobs: self.files.trees[index].jobs.clone() };
        let mut names: HashSet<String> = merged.jobs.iter().map(|job| job.key.clone()).collect();
        let includes: Vec<usize> =
            self.files.trees[index].includes.iter().rev().map(|(tree, _)| *tree).collect();
        for include in includes {
            let included = self.merged(include);
            overlay::keys(&mut merged.own, &included.own, self.findings);
            let new = included.jobs.iter().filter(|job| names.insert(job.key.clone()));
            merged.jobs.extend(new.cloned());
        }
        let merged = Rc::new(merged);
        self.done.insert(index, Rc::clone(&merged));
        merged
    }
}
