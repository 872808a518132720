//! A pipeline's jobs as they are drawn: by stage, with what each needs, the variants of a matrix as one. Not for the order in which a
//! run goes through them: that is the engine's.

pub(crate) mod dot;
mod layout;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::collections::{BTreeSet, HashMap};

use jobwright_pipeline::{Pipeline, PipelineJob};

/// The jobs of a pipeline as nodes, in the file's order.
pub(crate) struct Graph {
    /// The stages, in order, those without jobs too.
    pub(crate) stages: Vec<String>,
    /// The jobs.
    pub(crate) nodes: Vec<Node>,
    /// How many jobs there are, each variant counted.
    pub(crate) jobs: usize,
}

/// A job as its file has it: with a matrix it stands for all variants.
pub(crate) struct Node {
    pub(crate) name: String,
    /// Which of the stages it is in.
    pub(crate) stage: usize,
    /// The names of its variants; none without a matrix.
    pub(crate) variants: Vec<String>,
    /// The nodes that it needs, in the order of the file.
    pub(crate) needs: Vec<usize>,
    /// Whether it runs beside all others.
    pub(crate) detached: bool,
    /// When it runs at all, as it is written.
    pub(crate) condition: Option<String>,
}

impl Graph {
    /// The jobs of `pipeline`, in time that grows with its jobs and needs only.
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let numbers: HashMap<&str, usize> = pipeline.stages.iter().map(String::as_str).zip(0..).collect();
        let mut nodes: Vec<Node> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for job in &pipeline.jobs {
            let index = *at.entry(job.base()).or_insert_with(|| {
                nodes.push(Node::of(job, numbers[job.stage.as_str()]));
                nodes.len() - 1
            });
            if job.variant.is_some() {
                nodes[index].variants.push(job.name.clone());
            }
        }
        let bases: HashMap<&str, usize> =
            pipeline.jobs.iter().map(|job| (job.name.as_str(), at[job.base()])).collect();
        let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
        for job in &pipeline.jobs {
            needs[at[job.base()]].extend(job.needs.iter().filter_map(|need| bases.get(need.as_str())));
        }
        for (node, needs) in nodes.iter_mut().zip(needs) {
            node.needs = needs.into_iter().collect();
        }
        Self { stages: pipeline.stages.clone(), nodes, jobs: pipeline.jobs.len() }
    }

    /// The nodes of each stage.
    fn by_stage(&self) -> Vec<Vec<&Node>> {
        let mut stages = vec![Vec::new(); self.stages.len()];
        self.nodes.iter().for_each(|node| stages[node.stage].push(node));
        stages
    }

    /// Whether a run goes by needs: then a job without any waits for all earlier stages.
    pub(crate) fn has_needs(&self) -> bool {
        self.nodes.iter().any(|node| !node.needs.is_empty())
    }
}

impl Node {
    fn of(job: &PipelineJob, stage: usize) -> Self {
        Self {
            name: job.base().to_owned(),
            stage,
            variants: Vec::new(),
            needs: Vec::new(),
            detached: job.detached,
            condition: job.condition.as_ref().map(|condition| condition.text().to_owned()),
        }
    }

    /// What it is called in a picture: its name, how many it stands for, whether it runs beside the others.
    pub(crate) fn label(&self) -> String {
        let variants =
            if self.variants.is_empty() { String::new() } else { format!(" ×{}", self.variants.len()) };
        let detached = if self.detached { " (beside)" } else { "" };
        format!("{}{variants}{detached}", self.name)
    }
}
