//! The run as a graph of `needs` (local-ci.md 2.4): a job begins as soon as what it needs has passed, and is skipped as soon as any
//! of that has not. A job without `needs` waits for all jobs of all earlier stages.
//!
//! The end of a stage is a node of its own, so that the graph, and the cost of going through it, grows with jobs and needs.

use std::collections::{HashMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jobwright_events::{EventKind, ExecKind, Group, Name};

use crate::crew::Crew;
use crate::job::PreparedJob;
use crate::report::JobReport;

/// Runs all jobs as their needs allow, as many at once as the crew takes.
pub(crate) async fn run(crew: &Crew, stages: &[String], jobs: &[PreparedJob]) -> Vec<JobReport> {
    crew.bus.emit(EventKind::notice("Running jobs in dependency (DAG) order...\n"));
    let mut graph = Graph::new(stages, jobs, |job, need| {
        let data = format!("{job} needs {need}, which was not selected and is not waited for\n");
        crew.bus.emit(EventKind::Diagnostic { data });
    });
    crew.open_group(&jobs.iter().collect::<Vec<_>>(), &Group::Dag);
    let mut reports: Vec<Option<JobReport>> = vec![None; jobs.len()];
    let mut running = FuturesUnordered::new();
    loop {
        while let Some(index) = graph.next_ready() {
            running.push(async move {
                (index, crew.run(&jobs[index], ExecKind::Concurrent, Some(&Group::Dag)).await)
            });
        }
        let Some((index, report)) = running.next().await else { break };
        if report.holds_nobody_up() {
            graph.pass(index);
        } else {
            for (skipped, dependency) in graph.fail(index) {
                crew.bus.emit(EventKind::notice(format!(
                    "Skipping job {} (dependency {dependency} did not pass)\n",
                    jobs[skipped].name
                )));
                reports[skipped] = Some(crew.skip_after(&jobs[skipped], Some(&Group::Dag), &dependency));
            }
        }
        reports[index] = Some(report);
    }
    crew.close_group(&Group::Dag);
    // A checked pipeline's needs have no cycle, so every job was run or skipped.
    reports.into_iter().flatten().collect()
}

/// Who waits for whom. The first nodes are the jobs, one is the end of each stage.
struct Graph {
    nodes: Vec<Node>,
    names: Vec<Name>,
    ready: VecDeque<usize>,
}

#[derive(Default)]
struct Node {
    waits_for: usize,
    dependents: Vec<usize>,
    /// Something that it waited for did not pass: it will never be ready.
    dead: bool,
}

impl Graph {
    fn new(stages: &[String], jobs: &[PreparedJob], mut dropped: impl FnMut(&str, &str)) -> Self {
        let mut nodes: Vec<Node> = (0..jobs.len() + stages.len()).map(|_| Node::default()).collect();
        let mut connect = |before: usize, after: usize| {
            nodes[before].dependents.push(after);
            nodes[after].waits_for += 1;
        };
        let stage_of: HashMap<&str, usize> =
            stages.iter().enumerate().map(|(n, stage)| (stage.as_str(), n)).collect();
        let job_of: HashMap<&str, usize> = jobs.iter().enumerate().map(|(n, job)| (&*job.name, n)).collect();
        let end_of = |stage: usize| jobs.len() + stage;
        for stage in 1..stages.len() {
            connect(end_of(stage - 1), end_of(stage));
        }
        for (index, job) in jobs.iter().enumerate() {
            let stage = stage_of[&*job.stage];
            connect(index, end_of(stage));
            for need in &job.needs {
                match job_of.get(need.as_str()) {
                    Some(&needed) => connect(needed, index),
                    None => dropped(&job.name, need),
                }
            }
            if job.needs.is_empty() && !job.detached && stage > 0 {
                connect(end_of(stage - 1), index);
            }
        }
        let ready: Vec<usize> = (0..nodes.len()).filter(|node| nodes[*node].waits_for == 0).collect();
        let names = jobs.iter().map(|job| job.name.clone()).collect();
        Self { nodes, names, ready: ready.into() }
    }

    /// The next job that may begin, in the order in which they became ready.
    fn next_ready(&mut self) -> Option<usize> {
        while let Some(node) = self.ready.pop_front() {
            if node < self.names.len() {
                return Some(node);
            }
            self.pass(node);
        }
        None
    }

    /// What waited for `node` need not wait for it any longer.
    fn pass(&mut self, node: usize) {
        for dependent in std::mem::take(&mut self.nodes[node].dependents) {
            let waiting = &mut self.nodes[dependent];
            waiting.waits_for -= 1;
            if waiting.waits_for == 0 && !waiting.dead {
                self.ready.push_back(dependent);
            }
        }
    }

    /// The jobs that will not run because `job` did not pass, each with the job to name for it, in the order of the graph.
    fn fail(&mut self, job: usize) -> Vec<(usize, String)> {
        let mut skipped = Vec::new();
        let mut failed = VecDeque::from([(job, self.names[job].to_string())]);
        while let Some((node, name)) = failed.pop_front() {
            for dependent in std::mem::take(&mut self.nodes[node].dependents) {
                if std::mem::replace(&mut self.nodes[dependent].dead, true) {
                    continue;
                }
                match self.names.get(dependent) {
                    Some(own_name) => {
                        skipped.push((dependent, name.clone()));
                        failed.push_back((dependent, own_name.to_string()));
                    }
                    None => failed.push_back((dependent, name.clone())),
                }
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `jobs` over ten stages; every second one waits for all earlier stages, the others need the two before them.
    fn pipeline(jobs: usize) -> (Vec<String>, Vec<PreparedJob>, usize) {
        let stages: Vec<String> = (0..10).map(|stage| format!("s{stage}")).collect();
        let job = |n: usize| {
            let needs: Vec<usize> =
                if n.is_multiple_of(2) { Vec::new() } else { (n.saturating_sub(2)..n).collect() };
            PreparedJob {
                name: format!("j{n}").into(),
                stage: stages[n * 10 / jobs].as_str().into(),
                needs: needs.iter().map(|need| format!("j{need}")).collect(),
                ..PreparedJob::default()
            }
        };
        let all: Vec<PreparedJob> = (0..jobs).map(job).collect();
        let needs = all.iter().map(|job| job.needs.len()).sum();
        (stages, all, needs)
    }

    /// Goes through the whole graph, every job passing: how many edges it has, and the jobs in their order.
    fn walk(stages: &[String], jobs: &[PreparedJob]) -> (usize, Vec<usize>) {
        let mut graph = Graph::new(stages, jobs, |job, need| panic!("{job} needs {need}"));
        let edges = graph.nodes.iter().map(|node| node.dependents.len()).sum();
        let mut order = Vec::new();
        while let Some(job) = graph.next_ready() {
            order.push(job);
            graph.pass(job);
        }
        (edges, order)
    }

    // covers: local-ci 55 (the cost)
    #[test]
    fn what_a_graph_costs_grows_with_its_jobs_and_needs() {
        for count in [100, 1_000, 10_000] {
            let (stages, jobs, needs) = pipeline(count);
            let (edges, order) = walk(&stages, &jobs);
            // Each edge is laid and gone through once: to and from the ends of stages, between these, and the needs.
            assert!(edges <= 2 * count + stages.len() + needs, "{edges} edges of {count} jobs");
            assert_eq!(order.len(), count);
        }
    }

    #[test]
    fn a_failure_at_the_root_passes_each_edge_once_too() {
        let (stages, jobs, _) = pipeline(10_000);
        let mut graph = Graph::new(&stages, &jobs, |_, _| {});
        let first = graph.next_ready().unwrap();
        let skipped = graph.fail(first);
        let mut names: Vec<usize> = skipped.iter().map(|(job, _)| *job).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), skipped.len(), "nobody is skipped twice");
        assert!(graph.nodes[first].dependents.is_empty());
    }
}
