//! What each job of a run takes and leaves, from the checked file. Nothing is looked up on disk here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use globset::{Glob, GlobBuilder};
use jobwright_pipeline::{Cache, CachePolicy, DEFAULT_WORKDIR, KeepWhen, Pipeline, PipelineJob};
use jobwright_workspace::Globs;
use serde::{Deserialize, Serialize};

/// What one job takes and leaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobFiles {
    pub(super) caches: Vec<JobCache>,
    pub(super) artifacts: Option<Leaving>,
    /// The jobs whose artifacts it gets, in the order in which they are put into the workspace.
    pub(super) wants: Wants,
    /// The number of the phase after which it leaves something: that of `after_script`, or of the script.
    pub(super) phase: usize,
}

/// A cache of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobCache {
    /// The key with the variables' values. It may hold what has to be masked.
    pub(super) key: String,
    pub(super) paths: Paths,
    /// Paths outside of the working directory, from the root on, in the containers of the job's own steps.
    pub(super) outside: Paths,
    pub(super) policy: CachePolicy,
    /// What a person should know about it, each a sentence's end.
    pub(super) doubts: Vec<String>,
}

/// The artifacts of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Leaving {
    pub(super) paths: Paths,
    pub(super) when: KeepWhen,
}

/// A job whose artifacts another one gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) job: String,
    /// It was named in `needs` and keeps artifacts when it passes: without them something is not as it was meant.
    pub(super) expected: bool,
}

/// The first so many of a list that all jobs share: a pipeline of many stages has no list of its own for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Wanted>", into = "Vec<Wanted>")]
pub(super) struct Wants {
    all: Arc<[Wanted]>,
    count: usize,
}

impl From<Vec<Wanted>> for Wants {
    fn from(all: Vec<Wanted>) -> Self {
        Self { count: all.len(), all: all.into() }
    }
}

impl From<Wants> for Vec<Wanted> {
    fn from(wants: Wants) -> Self {
        wants.to_vec()
    }
}

impl std::ops::Deref for Wants {
    type Target = [Wanted];

    fn deref(&self) -> &[Wanted] {
        &self.all[..self.count]
    }
}

/// Paths in the two forms in which backends and archives take them; none when nothing is left of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub(super) struct Paths {
    pub(super) globs: Vec<Glob>,
    pub(super) set: Option<Globs>,
}

impl From<Vec<String>> for Paths {
    fn from(globs: Vec<String>) -> Self {
        Self::of(globs.iter().map(String::as_str))
    }
}

impl From<Paths> for Vec<String> {
    fn from(paths: Paths) -> Self {
        paths.globs.iter().map(|glob| glob.glob().to_owned()).collect()
    }
}

/// A job that was compiled.
pub(crate) struct Compiled<'a> {
    pub(crate) job: &'a PipelineJob,
    /// How many phases it has.
    pub(crate) phases: usize,
    /// Its variables that are no secrets.
    pub(crate) variables: BTreeMap<String, String>,
    /// Whether its steps have a file system of their own.
    pub(crate) images: bool,
}

/// What `jobs` take and leave.
pub(crate) fn plan<'a>(
    pipeline: &'a Pipeline,
    jobs: impl IntoIterator<Item = Compiled<'a>>,
) -> HashMap<String, JobFiles> {
    let sources = Sources::of(pipeline);
    let mut planned = HashMap::new();
    for Compiled { job, phases, variables, images } in jobs {
        let wants = sources.wanted_by(job);
        if job.caches.is_empty() && job.artifacts.is_none() && wants.is_empty() {
            continue;
        }
        let leaving = |artifacts: &jobwright_pipeline::Artifacts| Leaving {
            paths: Paths::of(artifacts.paths.iter().map(String::as_str)),
            when: artifacts.when,
        };
        let files = JobFiles {
            caches: job.caches.iter().map(|cache| job_cache(job, cache, &variables, images)).collect(),
            artifacts: job.artifacts.as_ref().map(leaving),
            wants,
            phase: phases.saturating_sub(1 + usize::from(job.cleanup.is_some())),
        };
        planned.insert(job.name.clone(), files);
    }
    planned
}

/// Who keeps artifacts, looked up once for all jobs.
struct Sources<'a> {
    by_name: HashMap<&'a str, &'a KeepWhen>,
    /// All of them, by stage.
    all: Arc<[Wanted]>,
    /// How many of them stand in the stages before each.
    before: HashMap<&'a str, usize>,
}

impl<'a> Sources<'a> {
    fn of(pipeline: &'a Pipeline) -> Self {
        let keeping = pipeline.jobs.iter().filter_map(|job| Some((job, &job.artifacts.as_ref()?.when)));
        let keeping: Vec<_> = keeping.collect();
        let mut of_stage: HashMap<&str, Vec<&str>> = HashMap::new();
        for (job, _) in &keeping {
            of_stage.entry(&job.stage).or_default().push(&job.name);
        }
        let (mut all, mut before) = (Vec::with_capacity(keeping.len()), HashMap::new());
        for stage in &pipeline.stages {
            before.insert(stage.as_str(), all.len());
            let own = of_stage.remove(stage.as_str()).unwrap_or_default();
            all.extend(own.iter().map(|name| Wanted { job: (*name).to_owned(), expected: false }));
        }
        let by_name = keeping.into_iter().map(|(job, when)| (job.name.as_str(), when)).collect();
        Self { by_name, all: all.into(), before }
    }

    /// Those whose artifacts `job` gets: the jobs that it needs; those of earlier stages when it names none.
    fn wanted_by(&self, job: &PipelineJob) -> Wants {
        if job.needs.is_empty() {
            let count = self.before.get(job.stage.as_str()).copied().unwrap_or_default();
            return Wants { all: Arc::clone(&self.all), count };
        }
        let wanted = |name: &String| {
            let when = self.by_name.get(name.as_str())?;
            Some(Wanted { job: name.clone(), expected: when.holds(true) })
        };
        let all: Arc<[Wanted]> = job.needs.iter().filter_map(wanted).collect();
        Wants { count: all.len(), all }
    }
}

fn job_cache(
    job: &PipelineJob,
    cache: &Cache,
    variables: &BTreeMap<String, String>,
    images: bool,
) -> JobCache {
    let workdir = job.workdir.as_deref().unwrap_or(DEFAULT_WORKDIR);
    let mut doubts = Vec::new();
    let mut inside = Vec::new();
    let mut outside = Vec::new();
    for path in &cache.paths {
        match within(workdir, path) {
            Some(path) => inside.push(path),
            None if !images => doubts.push(format!(
                "{path} is the host's own outside of the working directory: it stays there from run to run, and nothing of it is kept"
            )),
            None if holds(path, workdir) => {
                doubts.push(format!("{path} holds the working directory {workdir}, and more than a cache; it is not kept"));
            }
            None => outside.push(path.as_str()),
        }
    }
    let unknown = cache.key.variables().filter(|name| !variables.contains_key(*name));
    doubts.extend(
        unknown.map(|name| format!("${{{name}}} in its key is not set, or a secret, and stands for nothing")),
    );
    JobCache {
        key: cache.key.expand(|name| variables.get(name).map(String::as_str)),
        paths: Paths::of(inside),
        outside: Paths::of(outside),
        policy: cache.policy,
        doubts,
    }
}

/// `path` from the working directory on.
fn within<'a>(workdir: &str, path: &'a str) -> Option<&'a str> {
    if !path.starts_with('/') {
        return Some(path);
    }
    let rest = std::path::Path::new(path).strip_prefix(workdir).ok()?.to_str()?;
    Some(if rest.is_empty() { "." } else { rest })
}

/// Whether the absolute `path` is above `workdir`; a pattern at the root is.
fn holds(path: &str, workdir: &str) -> bool {
    let path = normal(path);
    let plain = path.split('/').next().is_some_and(|first| !first.contains(['*', '?', '[', '{']));
    !plain || std::path::Path::new(workdir).starts_with(format!("/{path}"))
}

impl Paths {
    pub(super) fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let paths: Vec<String> = paths.into_iter().map(normal).collect();
        let globs = paths.iter().filter_map(|path| glob(path)).collect();
        Self { globs, set: if paths.is_empty() { None } else { Globs::new(&paths).ok() } }
    }
}

/// Without what says nothing, such as `./`; a name that is no glob stands for itself.
fn normal(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let path = parts.collect::<Vec<_>>().join("/");
    match path.as_str() {
        "" => "**".to_owned(),
        text if glob(text).is_none() => globset::escape(text),
        _ => path,
    }
}

/// As every backend understands it: `*` stays within a directory.
fn glob(path: &str) -> Option<Glob> {
    GlobBuilder::new(path).literal_separator(true).backslash_escape(true).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_counts_from_the_working_directory_or_not_at_all() {
        assert_eq!(within("/app", "node_modules"), Some("node_modules"));
        assert_eq!(within("/app", "/app/node_modules/"), Some("node_modules"));
        assert_eq!(within("/app", "/app"), Some("."));
        assert_eq!(within("/app", "/application/x"), None);
        assert_eq!(within("/app", "/root/.npm"), None);
    }

    #[test]
    fn the_whole_file_system_and_what_holds_the_workspace_are_no_caches() {
        for path in ["/", "//", "/**", "/*/x", "/app", "/app/"] {
            assert!(holds(path, "/app/src"), "{path}");
        }
        for path in ["/root/.npm", "/app/other", "/application", "/var/**"] {
            assert!(!holds(path, "/app/src"), "{path}");
        }
    }

    #[test]
    fn a_path_becomes_a_glob_that_means_the_same_everywhere() {
        for (path, glob) in [("./dist//", "dist"), (".", "**"), ("a/./*.js", "a/*.js"), ("[x", "[[]x")] {
            assert_eq!(normal(path), glob, "{path}");
        }
        let paths = Paths::of(["dist/", "[x"]);
        assert_eq!(paths.globs.len(), 2);
        assert!(paths.set.is_some());
    }
}
