//! The order of a workflow's steps: a graph in which a step without `depends_on` waits for all earlier stages, and one with it
//! waits for exactly the steps it names. A barrier between two stages is a node of its own, so that the graph grows with the
//! steps and not with their square.

use std::collections::{HashMap, HashSet, VecDeque};

use jobwright_model::{Step, Workflow};

/// Why a workflow's steps have no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A step waits for one that the workflow does not have.
    #[error("step {step:?} depends on {name:?}, which is no step of its workflow")]
    UnknownDependency {
        /// The step.
        step: String,
        /// What it names.
        name: String,
    },
    /// A step waits for a name that several steps have.
    #[error("step {step:?} depends on {name:?}, which is the name of several steps")]
    AmbiguousDependency {
        /// The step.
        step: String,
        /// What it names.
        name: String,
    },
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// Two steps have one identity.
    #[error("steps {0:?} and {1:?} have the same uuid")]
    DuplicateUuid(String, String),
}

/// What the scheduler decides next; an index into the workflow's steps, in the order of [`Workflow::steps`].
pub(crate) type StepIndex = usize;

/// A workflow's steps on their way: which are ready, and what those before them came to.
#[derive(Debug)]
pub(crate) struct Plan {
    nodes: Vec<Node>,
    ready: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Node {
    /// None for a barrier.
    step: Option<StepIndex>,
    waits_for: usize,
    dependents: Vec<usize>,
    /// Whether anything that it waited for, directly or not, failed.
    failed_before: bool,
}

impl Plan {
    /// The order of `workflow`'s steps.
    pub(crate) fn of(workflow: &Workflow) -> Result<Self, PlanError> {
        let steps: Vec<&Step> = workflow.steps().collect();
        check_identities(&steps)?;
        let by_name = index_names(&steps);
        let mut plan = Self {
            nodes: steps.iter().enumerate().map(|(index, _)| Node::step(index)).collect(),
            ready: VecDeque::new(),
        };
        let mut barrier = None;
        let mut next = 0;
        for stage in &workflow.stages {
            let members = next..next + stage.steps.len();
            next = members.end;
            let after = plan.add(Node::default());
            for index in members {
                plan.connect(index, after);
                if steps[index].depends_on.is_empty() {
                    barrier.into_iter().for_each(|before| plan.connect(before, index));
                }
                for name in &steps[index].depends_on {
                    plan.connect(resolve(&by_name, steps[index], name)?, index);
                }
            }
            barrier.into_iter().for_each(|before| plan.connect(before, after));
            barrier = Some(after);
        }
        plan.check_for_cycles(&steps)?;
        plan.ready = (0..plan.nodes.len()).filter(|node| plan.nodes[*node].waits_for == 0).collect();
        Ok(plan)
    }

    /// The next step that may start, and whether anything before it failed.
    pub(crate) fn next_ready(&mut self) -> Option<(StepIndex, bool)> {
        while let Some(node) = self.ready.pop_front() {
            match self.nodes[node].step {
                Some(step) => return Some((step, self.nodes[node].failed_before)),
                None => self.pass(node, false),
            }
        }
        None
    }

    /// Whatever waited for `step` need not wait for it any longer. `failed` counts against it.
    pub(crate) fn finish(&mut self, step: StepIndex, failed: bool) {
        self.pass(step, failed);
    }

    fn pass(&mut self, node: usize, failed: bool) {
        let failed = failed || self.nodes[node].failed_before;
        for dependent in std::mem::take(&mut self.nodes[node].dependents) {
            let waiting = &mut self.nodes[dependent];
            waiting.failed_before |= failed;
            waiting.waits_for -= 1;
            if waiting.waits_for == 0 {
                self.ready.push_back(dependent);
            }
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn connect(&mut self, before: usize, after: usize) {
        self.nodes[before].dependents.push(after);
        self.nodes[after].waits_for += 1;
    }

    /// Walks the graph once; what is never reached waits for itself.
    fn check_for_cycles(&self, steps: &[&Step]) -> Result<(), PlanError> {
        let mut waits: Vec<usize> = self.nodes.iter().map(|node| node.waits_for).collect();
        let mut reached: Vec<usize> = (0..waits.len()).filter(|node| waits[*node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = reached.get(next) {
            for &dependent in &self.nodes[node].dependents {
                waits[dependent] -= 1;
                if waits[dependent] == 0 {
                    reached.push(dependent);
                }
            }
            next += 1;
        }
        let stuck: Vec<_> = steps
            .iter()
            .zip(&waits)
            .filter(|(_, waits)| **waits > 0)
            .map(|(step, _)| step.name.clone())
            .collect();
        if stuck.is_empty() { Ok(()) } else { Err(PlanError::Cycle(stuck)) }
    }
}

impl Node {
    fn step(index: StepIndex) -> Self {
        Self { step: Some(index), ..Self::default() }
    }
}

fn check_identities(steps: &[&Step]) -> Result<(), PlanError> {
    let mut seen = HashMap::new();
    for step in steps {
        if let Some(other) = seen.insert(&step.uuid, &step.name) {
            return Err(PlanError::DuplicateUuid(other.clone(), step.name.clone()));
        }
    }
    Ok(())
}

/// Names that one step has map to it; those that several have map to none.
fn index_names<'a>(steps: &[&'a Step]) -> HashMap<&'a str, Option<StepIndex>> {
    let mut by_name = HashMap::new();
    let mut twice = HashSet::new();
    for (index, step) in steps.iter().enumerate() {
        if by_name.insert(step.name.as_str(), Some(index)).is_some() {
            twice.insert(step.name.as_str());
        }
    }
    by_name.extend(twice.into_iter().map(|name| (name, None)));
    by_name
}

fn resolve(
    by_name: &HashMap<&str, Option<StepIndex>>,
    step: &Step,
    name: &str,
) -> Result<StepIndex, PlanError> {
    let (step, owned) = (step.name.clone(), name.to_owned());
    match by_name.get(name) {
        None => Err(PlanError::UnknownDependency { step, name: owned }),
        Some(None) => Err(PlanError::AmbiguousDependency { step, name: owned }),
        Some(Some(index)) => Ok(*index),
    }
}

#[cfg(test)]
mod tests {
    use jobwright_model::{Stage, StepUuid};

    use super::*;

    /// Stages of steps written as `name` or `name<dependency,dependency`.
    fn workflow(stages: &[&[&str]]) -> Workflow {
        let stage = |steps: &&[&str]| Stage { steps: steps.iter().map(|text| step(text)).collect() };
        Workflow { stages: stages.iter().map(stage).collect(), ..Workflow::default() }
    }

    fn step(text: &str) -> Step {
        let (name, dependencies) = text.split_once('<').unwrap_or((text, ""));
        let mut step = Step::new(name, StepUuid::random());
        step.depends_on =
            dependencies.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        step
    }

    /// Runs everything that is ready, wave after wave; a step named in `failing` fails. Each step is shown with a `!` when
    /// something before it failed.
    fn waves(workflow: &Workflow, failing: &[&str]) -> Vec<Vec<String>> {
        let steps: Vec<_> = workflow.steps().collect();
        let mut plan = Plan::of(workflow).unwrap();
        let mut waves = Vec::new();
        loop {
            let wave: Vec<_> = std::iter::from_fn(|| plan.next_ready()).collect();
            if wave.is_empty() {
                return waves;
            }
            for (index, _) in &wave {
                plan.finish(*index, failing.contains(&steps[*index].name.as_str()));
            }
            let shown = |(index, failed): (usize, bool)| {
                format!("{}{}", steps[index].name, if failed { "!" } else { "" })
            };
            waves.push(wave.into_iter().map(shown).collect());
        }
    }

    // covers: woodpecker 33
    #[test]
    fn stages_follow_each_other_and_their_steps_run_together() {
        assert_eq!(
            waves(&workflow(&[&["a", "b"], &["c"], &[], &["d"]]), &[]),
            [vec!["a", "b"], vec!["c"], vec!["d"]]
        );
    }

    #[test]
    fn a_step_that_names_its_dependencies_is_not_held_by_barriers() {
        let graph = workflow(&[&["a", "b"], &["c<a", "d"], &["e<c"]]);
        let steps: Vec<_> = graph.steps().map(|step| step.name.clone()).collect();
        let mut plan = Plan::of(&graph).unwrap();
        let mut ready = || plan.next_ready().map(|(index, _)| steps[index].clone());
        assert_eq!((ready(), ready(), ready()), (Some("a".into()), Some("b".into()), None));
        plan.finish(0, false);
        assert_eq!(plan.next_ready(), Some((2, false)), "c waits for a alone");
        plan.finish(2, false);
        assert_eq!(plan.next_ready(), Some((4, false)), "e waits for c alone");
        assert_eq!(plan.next_ready(), None, "d waits for b too");
        plan.finish(1, false);
        assert_eq!(plan.next_ready(), Some((3, false)));
    }

    #[test]
    fn a_failure_is_known_to_all_that_come_after_it_and_to_nobody_else() {
        let graph = workflow(&[&["a", "b"], &["c<a", "d<b"], &["e"]]);
        assert_eq!(waves(&graph, &["a"]), [vec!["a", "b"], vec!["c!", "d"], vec!["e!"]]);
    }

    // covers: woodpecker 19
    #[test]
    fn no_stages_and_empty_first_stages_have_an_order() {
        assert!(waves(&workflow(&[]), &[]).is_empty());
        assert_eq!(waves(&workflow(&[&[], &["a"]]), &[]), [vec!["a"]]);
    }

    #[test]
    fn what_has_no_order_is_an_error_that_names_the_steps() {
        let plan = |stages: &[&[&str]]| Plan::of(&workflow(stages)).unwrap_err();
        assert_eq!(plan(&[&["a<x"]]), PlanError::UnknownDependency { step: "a".into(), name: "x".into() });
        assert_eq!(plan(&[&["a<a"]]), PlanError::Cycle(vec!["a".into()]));
        assert_eq!(plan(&[&["a<b", "b<a", "c"]]), PlanError::Cycle(vec!["a".into(), "b".into()]));
        assert_eq!(
            plan(&[&["a<b"], &["b"]]),
            PlanError::Cycle(vec!["a".into(), "b".into()]),
            "b waits for a's stage"
        );
        assert_eq!(
            plan(&[&["a", "a", "b<a"]]),
            PlanError::AmbiguousDependency { step: "b".into(), name: "a".into() }
        );
    }

    #[test]
    fn two_steps_with_one_identity_are_refused() {
        let mut graph = workflow(&[&["a", "b"]]);
        graph.stages[0].steps[1].uuid = graph.stages[0].steps[0].uuid.clone();
        assert_eq!(Plan::of(&graph).unwrap_err(), PlanError::DuplicateUuid("a".into(), "b".into()));
    }

    #[test]
    fn ten_thousand_steps_in_four_stages_have_as_many_edges_as_steps() {
        let names: Vec<String> = (0..2500).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let plan = Plan::of(&workflow(&[&names, &names, &names, &names])).unwrap();
        let edges: usize = plan.nodes.iter().map(|node| node.dependents.len()).sum();
        assert!(edges < 3 * 10_000, "{edges} edges");
    }
}
