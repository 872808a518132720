//! From a job with a matrix to its variants, and from a need of it to a need of all of them. Not for what the combinations are.

use std::collections::{HashMap, HashSet};

use crate::check::matrix::{self, Matrix};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::{PipelineJob, Variant};
use crate::text::shown;

/// The most variants of all jobs together.
const MOST_VARIANTS: usize = 20_000;
/// The most bytes that the variants of all jobs may copy.
const MOST_BYTES: usize = 64 << 20;
/// The most needs of all jobs together, once a need of a matrix is a need of each variant.
const MOST_NEEDS: usize = 500_000;

/// Takes jobs one by one and gives them back as those that run.
pub(super) struct Expansion {
    jobs: Vec<PipelineJob>,
    /// For each job with a matrix where its variants are among the jobs.
    groups: HashMap<String, std::ops::Range<usize>>,
    variants_left: usize,
    bytes_left: usize,
}

impl Default for Expansion {
    fn default() -> Self {
        Self {
            jobs: Vec::new(),
            groups: HashMap::new(),
            variants_left: MOST_VARIANTS,
            bytes_left: MOST_BYTES,
        }
    }
}

impl Expansion {
    pub(super) fn add(&mut self, job: PipelineJob, matrix: Option<Matrix>, findings: &mut Findings) {
        let Some(matrix) = matrix else {
            self.jobs.push(job);
            return;
        };
        let count = matrix.variants.len();
        let left = self.variants_left.checked_sub(count).zip(self.bytes_left.checked_sub(count * size(&job)));
        let Some((variants, bytes)) = left else {
            let message = "the variants of this pipeline's matrices are too many, or too large";
            findings.push(Finding::error(job.span, message));
            return;
        };
        (self.variants_left, self.bytes_left) = (variants, bytes);
        let first = self.jobs.len();
        for values in &matrix.variants {
            if let Some(name) = values.keys().find(|name| job.secrets.contains_key(*name)) {
                let message =
                    format!("`{}` is a secret of this job and a variable of its matrix", shown(name));
                findings.push(Finding::error(job.span, message).help("rename one of them"));
            }
            let mut variant = job.clone();
            variant.name = matrix::name(&job.name, values);
            variant.variables.extend(values.clone());
            variant.variant = Some(Variant {
                group: job.name.clone(),
                values: values.clone(),
                max_parallel: matrix.max_parallel,
            });
            self.jobs.push(variant);
        }
        self.groups.insert(job.name, first..self.jobs.len());
    }

    /// All jobs, when none is called as another one.
    pub(super) fn finish(mut self, findings: &mut Findings) -> Vec<PipelineJob> {
        let mut names: HashSet<&str> =
            self.jobs.iter().filter(|job| job.variant.is_none()).map(|job| job.name.as_str()).collect();
        for job in self.jobs.iter().filter(|job| job.variant.is_some()) {
            if !names.insert(&job.name) {
                let message = format!("a variant of `{}` has the name of another job", shown(job.base()));
                let finding = Finding::error(job.span, message);
                findings.push(finding.help(format!("rename the job `{}`", shown(&job.name))));
            }
        }
        self.expand_needs(findings);
        self.jobs
    }

    fn expand_needs(&mut self, findings: &mut Findings) {
        if self.groups.is_empty() {
            return;
        }
        let names: Vec<String> = self.jobs.iter().map(|job| job.name.clone()).collect();
        let mut left = MOST_NEEDS;
        for job in &mut self.jobs {
            let count = |need: &String| self.groups.get(need).map_or(1, ExactSizeIterator::len);
            let Some(rest) = left.checked_sub(job.needs.iter().map(count).sum()) else {
                let message = "the jobs of this pipeline have too many needs of matrices";
                findings.push(Finding::error(job.span, message));
                return;
            };
            left = rest;
            let needs = std::mem::take(&mut job.needs);
            for need in needs {
                match self.groups.get(&need) {
                    Some(group) => job.needs.extend_from_slice(&names[group.clone()]),
                    None => job.needs.push(need),
                }
            }
        }
    }
}

/// About how many bytes a copy of a job costs.
fn size(job: &PipelineJob) -> usize {
    let texts = job.script.iter().chain(&job.after_script).chain(&job.needs);
    let hooks = job.bootstrap.iter().chain(&job.cleanup).flat_map(|hook| &hook.run);
    let pairs = |map: &std::collections::BTreeMap<String, String>| -> usize {
        map.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    };
    let services = job.services.iter().map(|service| service.image.len() + 256 + pairs(&service.variables));
    let paths = job.caches.iter().flat_map(|cache| &cache.paths);
    let paths = paths.chain(job.artifacts.iter().flat_map(|artifacts| &artifacts.paths));
    let listed: usize = texts.chain(hooks).chain(paths).map(|text| text.len() + 32).sum();
    1024 + listed
        + pairs(&job.variables)
        + services.sum::<usize>()
        + 128 * (job.secrets.len() + job.env_files.len())
}
