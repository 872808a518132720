//! local-ci's rules of selection and order (local-ci.md 2.4 and 2.5), written a second time and as simply as they can be said: when each
//! job begins and ends on a machine that runs any number at once, and what becomes of it. Not for events or text.

use std::collections::BTreeMap;

/// How a run goes through its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Sequential,
    Parallel,
    ParallelStages,
}

/// A job of a file.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) stage: usize,
    pub(crate) detached: bool,
    pub(crate) retry: usize,
    /// Names of jobs, each before this one in the file.
    pub(crate) needs: Vec<String>,
    /// What it does, or each variant of its matrix.
    pub(crate) acts: Vec<Act>,
    pub(crate) is_matrix: bool,
}

/// What one job or variant does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    /// In milliseconds, for each attempt.
    pub(crate) takes: u64,
    /// How many attempts fail before one passes; none when it never passes.
    pub(crate) fails: Option<usize>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    All,
    Jobs(Vec<String>),
    Stages(Vec<usize>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It never began.
    Skipped,
    /// It ran from the one millisecond to the other in so many attempts, and passed or not.
    Ran { from: u64, to: u64, attempts: usize, passed: bool },
}

/// A job that runs, or one variant of a matrix.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// The name of the job in the file.
    pub(crate) base: String,
    pub(crate) stage: usize,
    pub(crate) is_variant: bool,
    pub(crate) detached: bool,
    needs: Vec<String>,
    retry: usize,
    act: Act,
}

/// What becomes of a run.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) order: Vec<Instance>,
    pub(crate) came: BTreeMap<String, Came>,
    /// Groups in the order of their beginnings, each with its members.
    pub(crate) groups: Vec<(String, Vec<String>)>,
    pub(crate) is_graph: bool,
}

impl Expected {
    pub(crate) fn passed(&self, name: &str) -> bool {
        matches!(self.came[name], Came::Ran { passed: true, .. })
    }

    /// How the job is run: alone, in a barrier, or beside the chain.
    pub(crate) fn exec(&self, instance: &Instance, mode: Mode) -> &'static str {
        match mode {
            _ if self.is_graph => "concurrent",
            Mode::Sequential if instance.detached => "detached",
            Mode::Sequential if !instance.is_variant => "standalone",
            _ => "concurrent",
        }
    }

    fn run(&mut self, instance: &Instance, from: u64) -> u64 {
        let most = 1 + instance.retry;
        let passes_in = instance.act.fails.map(|fails| fails + 1).filter(|attempt| *attempt <= most);
        let attempts = passes_in.unwrap_or(most);
        let to = from + instance.act.takes * attempts as u64;
        self.came
            .insert(instance.name.clone(), Came::Ran { from, to, attempts, passed: passes_in.is_some() });
        to
    }

    /// All of `members` at once; when the last has ended, and whether all passed.
    fn run_all(&mut self, members: &[&Instance], from: u64) -> (u64, bool) {
        let ends: Vec<u64> = members.iter().map(|member| self.run(member, from)).collect();
        let passed = members.iter().all(|member| self.passed(&member.name));
        (ends.into_iter().max().unwrap_or(from), passed)
    }

    fn skip(&mut self, members: &[&Instance]) {
        self.came.extend(members.iter().map(|member| (member.name.clone(), Came::Skipped)));
    }

    fn open(&mut self, group: impl Into<String>, members: &[&Instance]) {
        self.groups.push((group.into(), members.iter().map(|member| member.name.clone()).collect()));
    }
}

/// What becomes of a run of `jobs`.
pub(crate) fn expect(jobs: &[Job], stages: usize, asked: &Asked, mode: Mode) -> Expected {
    let order = instances(&selected(jobs, asked));
    let mut expected = Expected { order: order.clone(), ..Expected::default() };
    let all: Vec<&Instance> = order.iter().collect();
    if all.iter().any(|instance| !instance.needs.is_empty()) {
        expected.is_graph = true;
        expected.open("dag", &all);
        graph(&mut expected, &all);
        return expected;
    }
    match mode {
        Mode::Sequential => sequential(&mut expected, &all),
        Mode::Parallel => {
            expected.open("parallel", &all);
            expected.run_all(&all, 0);
        }
        Mode::ParallelStages => parallel_stages(&mut expected, &all, stages),
    }
    expected
}

/// Names and stages select in the file's order; without either all run, by stage and then in the file's order.
fn selected(jobs: &[Job], asked: &Asked) -> Vec<Job> {
    let mut selected: Vec<Job> = match asked {
        Asked::Jobs(names) => jobs.iter().filter(|job| names.contains(&job.name)).cloned().collect(),
        Asked::Stages(stages) => jobs.iter().filter(|job| stages.contains(&job.stage)).cloned().collect(),
        Asked::All => jobs.to_vec(),
    };
    if matches!(asked, Asked::All) {
        selected.sort_by_key(|job| job.stage);
    }
    selected
}

/// A job with a matrix becomes its variants, of which the first variable is `V`.
fn instances(jobs: &[Job]) -> Vec<Instance> {
    let instance = |job: &Job, name: String, act: Act| Instance {
        name,
        base: job.name.clone(),
        stage: job.stage,
        is_variant: job.is_matrix,
        detached: job.detached,
        needs: job.needs.clone(),
        retry: job.retry,
        act,
    };
    let mut made = Vec::new();
    for job in jobs {
        for (value, act) in job.acts.iter().enumerate() {
            let name = if job.is_matrix { format!("{}_V.{value}", job.name) } else { job.name.clone() };
            made.push(instance(job, name, *act));
        }
    }
    made
}

/// Detached jobs from the start; beside them one job after the other, the variants of a matrix as one. The first that does not pass
/// stops those after it.
fn sequential(expected: &mut Expected, all: &[&Instance]) {
    let (detached, chain): (Vec<&Instance>, Vec<&Instance>) =
        all.iter().partition(|instance| instance.detached);
    expected.run_all(&detached, 0);
    let (mut now, mut going_on) = (0, true);
    let mut rest = chain.as_slice();
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|next| next.base == first.base).count();
        let (link, behind) = rest.split_at(length);
        rest = behind;
        if !going_on {
            expected.skip(link);
            continue;
        }
        if first.is_variant {
            expected.open(format!("matrix:{}", first.base), link);
        }
        (now, going_on) = expected.run_all(link, now);
    }
}

/// A stage at a time, in the order of the stages; one that does not pass whole stops those after it.
fn parallel_stages(expected: &mut Expected, all: &[&Instance], stages: usize) {
    let (mut now, mut going_on) = (0, true);
    for stage in 0..stages {
        let members: Vec<&Instance> =
            all.iter().copied().filter(|instance| instance.stage == stage).collect();
        if members.is_empty() {
            continue;
        }
        if !going_on {
            expected.skip(&members);
            continue;
        }
        expected.open(format!("stage:s{stage}"), &members);
        (now, going_on) = expected.run_all(&members, now);
    }
}

/// A job waits for all variants of the selected jobs that it needs; without needs for all jobs of earlier stages, and detached for
/// nobody. One that does not pass, or is skipped, makes those that wait for it be skipped.
fn graph(expected: &mut Expected, all: &[&Instance]) {
    while expected.came.len() < all.len() {
        for instance in all {
            if expected.came.contains_key(&instance.name) {
                continue;
            }
            let waits_for: Vec<&&Instance> = all.iter().filter(|other| waits_for(instance, other)).collect();
            if !waits_for.iter().all(|other| expected.came.contains_key(&other.name)) {
                continue;
            }
            if !waits_for.iter().all(|other| expected.passed(&other.name)) {
                expected.skip(&[instance]);
                continue;
            }
            let end = |other: &&&Instance| match expected.came[&other.name] {
                Came::Ran { to, .. } => to,
                Came::Skipped => 0,
            };
            let from = waits_for.iter().map(end).max().unwrap_or(0);
            expected.run(instance, from);
        }
    }
}

/// Whether `instance` waits for `other` in a graph.
pub(crate) fn waits_for(instance: &Instance, other: &Instance) -> bool {
    if instance.needs.is_empty() {
        !instance.detached && other.stage < instance.stage
    } else {
        instance.needs.contains(&other.base)
    }
}
