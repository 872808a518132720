//! The rules for the graph that `needs` makes (local-ci.md 1.8). Not for the order in which jobs run.

use std::collections::HashMap;

use crate::check::stages::Stages;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::Span;
use crate::text::shown;

/// The most jobs of a cycle that a message names.
const LONGEST_CYCLE: usize = 12;

/// The most cycles that are reported: a tangle has as many as one likes, and each is as long as its jobs are many.
const MOST_CYCLES: usize = 20;

/// Jobs and what they need.
pub(super) struct NeedsGraph<'a> {
    names: &'a HashMap<&'a str, usize>,
    stages: &'a Stages,
    jobs: Vec<Node<'a>>,
}

struct Node<'a> {
    name: &'a str,
    span: Span,
    stage: Option<usize>,
    needs: Vec<(String, Span)>,
}

/// What a job of the depth-first walk is: not seen, on the way that is being walked, or done with.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

impl<'a> NeedsGraph<'a> {
    /// A graph of jobs called `names`, whose numbers are the order in which they will be added.
    pub(super) fn new(names: &'a HashMap<&'a str, usize>, stages: &'a Stages) -> Self {
        Self { names, stages, jobs: Vec::with_capacity(names.len()) }
    }

    /// Adds the next job.
    pub(super) fn add(
        &mut self,
        name: &'a str,
        span: Span,
        stage: Option<usize>,
        needs: Vec<(String, Span)>,
    ) {
        self.jobs.push(Node { name, span, stage, needs });
    }

    /// Reports needs that are unknown, the job itself, or of a later stage, and every cycle.
    pub(super) fn check(&self, findings: &mut Findings) {
        let edges: Vec<Vec<(usize, Span)>> = self
            .jobs
            .iter()
            .map(|job| job.needs.iter().filter_map(|need| self.edge(job, need, findings)).collect())
            .collect();
        for cycle in cycles(&edges) {
            findings.push(self.cycle(&cycle, &edges));
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
                let (own, other) = (shown(&self.stages.names[own]), shown(&self.stages.names[other]));
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

    fn cycle(&self, cycle: &[usize], edges: &[Vec<(usize, Span)>]) -> Finding {
        let name = |index: &usize| format!("`{}`", shown(self.jobs[*index].name));
        let mut names: Vec<String> = cycle.iter().take(LONGEST_CYCLE).map(name).collect();
        if cycle.len() > LONGEST_CYCLE {
            names.push(format!("… ({} more)", cycle.len() - LONGEST_CYCLE));
        }
        names.extend(cycle.first().map(name));
        let span = match cycle {
            [first, rest @ ..] => {
                let next = rest.first().unwrap_or(first);
                edges[*first]
                    .iter()
                    .find(|(index, _)| index == next)
                    .map_or(self.jobs[*first].span, |(_, span)| *span)
            }
            [] => Span::default(),
        };
        Finding::error(span, format!("`needs` goes round in a circle: {}", names.join(" → ")))
            .help("take one of these needs out")
    }
}

/// Cycles of the graph, each beginning with its first job in the file; at least one when there is any, and at most
/// [`MOST_CYCLES`].
fn cycles(edges: &[Vec<(usize, Span)>]) -> Vec<Vec<usize>> {
    let mut marks = vec![Mark::New; edges.len()];
    let mut found = Vec::new();
    for start in 0..edges.len() {
        if marks[start] == Mark::New {
            walk(start, edges, &mut marks, &mut found);
        }
    }
    found
}

/// Walks from `start` with a path of its own, as a recursion would end the program for a long chain of jobs.
fn walk(start: usize, edges: &[Vec<(usize, Span)>], marks: &mut [Mark], found: &mut Vec<Vec<usize>>) {
    let mut path = vec![(start, 0)];
    marks[start] = Mark::Open;
    while let Some((job, next)) = path.last_mut() {
        let Some((needed, _)) = edges[*job].get(*next) else {
            marks[*job] = Mark::Done;
            path.pop();
            continue;
        };
        *next += 1;
        match marks[*needed] {
            Mark::New => {
                marks[*needed] = Mark::Open;
                path.push((*needed, 0));
            }
            Mark::Open if found.len() < MOST_CYCLES => found.push(circle(&path, *needed)),
            Mark::Open | Mark::Done => {}
        }
    }
}

/// The end of `path` from `back_to` on, turned so that the first job of the file stands first.
fn circle(path: &[(usize, usize)], back_to: usize) -> Vec<usize> {
    let from = path.iter().position(|(job, _)| *job == back_to).unwrap_or_default();
    let mut circle: Vec<usize> = path[from..].iter().map(|(job, _)| *job).collect();
    let first = circle.iter().enumerate().min_by_key(|(_, job)| **job).map_or(0, |(at, _)| at);
    circle.rotate_left(first);
    circle
}
