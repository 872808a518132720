//! Graphs that jobs make among each other (`needs`, `extends`): their order and their circles. Not for what the edges mean.

use crate::finding::Finding;
use crate::source::Span;
use crate::text::shown;

/// The most circles that are reported: a tangle has as many as one likes, and each is as long as its jobs are many.
const MOST_CYCLES: usize = 20;

/// The most jobs of a circle that a message names.
const LONGEST_CYCLE: usize = 12;

/// For each job the jobs that it points to, and where.
pub(crate) type Edges = [Vec<(usize, Span)>];

/// What a walk over a graph tells.
pub(crate) struct Walk {
    /// All jobs, each behind those that it points to, as far as circles let it be.
    pub(crate) order: Vec<usize>,
    /// Circles, each beginning with its first job in the file; at least one when there is any, and at most [`MOST_CYCLES`].
    pub(crate) cycles: Vec<Vec<usize>>,
}

/// What a job of the depth-first walk is: not seen, on the way that is being walked, or done with.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Walks over all jobs, in the order of the file where the graph leaves it open.
pub(crate) fn walk(edges: &Edges) -> Walk {
    let mut marks = vec![Mark::New; edges.len()];
    let mut walk = Walk { order: Vec::with_capacity(edges.len()), cycles: Vec::new() };
    for start in 0..edges.len() {
        if marks[start] == Mark::New {
            walk_from(start, edges, &mut marks, &mut walk);
        }
    }
    walk
}

/// Walks from `start` with a path of its own, as a recursion would end the program for a long chain of jobs.
fn walk_from(start: usize, edges: &Edges, marks: &mut [Mark], walk: &mut Walk) {
    let mut path = vec![(start, 0)];
    marks[start] = Mark::Open;
    while let Some((job, next)) = path.last_mut() {
        let Some((target, _)) = edges[*job].get(*next) else {
            marks[*job] = Mark::Done;
            walk.order.push(*job);
            path.pop();
            continue;
        };
        *next += 1;
        match marks[*target] {
            Mark::New => {
                marks[*target] = Mark::Open;
                path.push((*target, 0));
            }
            Mark::Open if walk.cycles.len() < MOST_CYCLES => walk.cycles.push(turned(&path, *target)),
            Mark::Open | Mark::Done => {}
        }
    }
}

/// The end of `path` from `back_to` on, turned so that the first job of the file stands first.
fn turned(path: &[(usize, usize)], back_to: usize) -> Vec<usize> {
    let from = path.iter().position(|(job, _)| *job == back_to).unwrap_or_default();
    let mut circle: Vec<usize> = path[from..].iter().map(|(job, _)| *job).collect();
    let first = circle.iter().enumerate().min_by_key(|(_, job)| **job).map_or(0, |(at, _)| at);
    circle.rotate_left(first);
    circle
}

/// The finding that the `key` of some jobs goes round in the circle `cycle`, at the place where its first job points to the second.
pub(crate) fn circle<'a>(
    key: &str,
    cycle: &[usize],
    edges: &Edges,
    name: impl Fn(usize) -> &'a str,
) -> Finding {
    let quoted = |job: &usize| format!("`{}`", shown(name(*job)));
    let mut names: Vec<String> = cycle.iter().take(LONGEST_CYCLE).map(quoted).collect();
    if cycle.len() > LONGEST_CYCLE {
        names.push(format!("… ({} more)", cycle.len() - LONGEST_CYCLE));
    }
    names.extend(cycle.first().map(quoted));
    let span = cycle.first().and_then(|first| {
        let next = cycle.get(1).unwrap_or(first);
        edges[*first].iter().find(|(target, _)| target == next).map(|(_, span)| *span)
    });
    Finding::error(span.unwrap_or_default(), format!("`{key}` goes round in a circle: {}", names.join(" → ")))
}
