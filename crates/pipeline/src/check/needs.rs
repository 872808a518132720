//! The rules for the graph that `needs` makes (local-ci.md 1.8). Not for the order in which jobs run.

use std::collections::HashMap;

use crate::check::graph;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::Span;
use crate::text::shown;

/// Jobs and what they need.
pub(crate) struct NeedsGraph<'a> {
    names: &'a HashMap<&'a str, usize>,
    stages: &'a [String],
    /// Whether all jobs are known: those of a file that cannot be read are not.
    complete: bool,
    jobs: Vec<Node<'a>>,
}

struct Node<'a> {
    name: &'a str,
    stage: Option<usize>,
    needs: Vec<(String, Span)>,
}

impl<'a> NeedsGraph<'a> {
    /// A graph of jobs called `names`, whose numbers are the order in which they will be added.
    pub(crate) fn new(names: &'a HashMap<&'a str, usize>, stages: &'a [String], complete: bool) -> Self {
        Self { names, stages, complete, jobs: Vec::with_capacity(names.len()) }
    }

    /// Adds the next job.
    pub(crate) fn add(&mut self, name: &'a str, stage: Option<usize>, needs: Vec<(String, Span)>) {
        self.jobs.push(Node { name, stage, needs });
    }

    /// Reports needs that are unknown, the job itself, or of a later stage, and every cycle.
    pub(crate) fn check(&self, findings: &mut Findings) {
        let edges: Vec<Vec<(usize, Span)>> = self
            .jobs
            .iter()
            .map(|job| job.needs.iter().filter_map(|need| self.edge(job, need, findings)).collect())
            .collect();
        let name = |job: usize| self.jobs[job].name;
        for cycle in graph::walk(&edges).cycles {
            let finding = graph::circle("needs", &cycle, &edges, name);
            findings.push(finding.help("take one of these needs out"));
        }
    }

    /// The job that `job` needs, when it may.
    fn edge(
        &self,
        job: &Node<'_>,
        (need, span): &(String, Span),
        findings: &mut Findings,
    ) -> Option<(usize, Span)> {
        let Some(index) = self.names.get(need.as_str()) else {
            if !self.complete {
                return None;
            }
            let others = self.names.keys().copied().filter(|name| *name != job.name);
            let mut help = findings.suggest(need, others, self.names.len());
            if need.starts_with('.') {
                help = Some("a name that begins with `.` is a template, which never runs".to_owned());
            }
            let message = format!("`{}` needs `{}`, but there is no such job", shown(job.name), shown(need));
            findings.push(Finding::error(*span, message).maybe_help(help));
            return None;
        };
        let needed = &self.jobs[*index];
        if needed.name == job.name {
            findings.push(Finding::error(*span, format!("`{}` needs itself", shown(job.name))));
            return None;
        }
        match (job.stage, needed.stage) {
            (Some(own), Some(other)) if other > own => {
                let (own, other) = (shown(&self.stages[own]), shown(&self.stages[other]));
                let message = format!(
                    "`{}` (stage `{own}`) needs `{}` from the later stage `{other}`",
                    shown(job.name),
                    shown(need)
                );
                findings.push(
                    Finding::error(*span, message)
                        .help("a job can need jobs of its own stage or an earlier one"),
                );
                None
            }
            _ => Some((*index, *span)),
        }
    }
}
