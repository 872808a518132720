//! What a graph of jobs costs: that nobody waits for whom it does not need, and that many jobs cost no more than in proportion.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::project::{Jobwright, Project};
use super::table::Row;
use super::turns;

/// The job `a` takes 1 s, `b` 3 s, and `c`, which needs `a`, 2 s: with no barrier between, 3 s in all.
const WAVE: &str = "stages: [one, two]\n\
    a: {stage: one, script: [sleep 1]}\n\
    b: {stage: one, script: [sleep 3]}\n\
    c: {stage: two, needs: [a], script: [sleep 2]}\n";

/// A wave of three jobs: at most 3.2 s.
pub(crate) fn wave(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let project = Project::new(jobwright, WAVE)?;
    let arguments = ["--backend", "process", "--limit", "3"];
    let floor = || {
        thread::sleep(Duration::from_secs(3));
        Ok(())
    };
    let taken = turns::take(rounds.min(3), floor, || project.run(&arguments))?;
    let limit = Duration::from_millis(200);
    Ok(vec![Row::time("a 1 s, b 3 s, c after a 2 s", taken.measured, taken.floor, 1.0, limit)])
}

/// 10,000 jobs with 20,000 needs, all but one of which are not to run: at most 1 s over one job alone, and at most 15 times what 1,000 add
/// (10 is in proportion, and a round is never as quiet as the other).
pub(crate) fn cost(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let arguments = ["--backend", "process"];
    let rounds = rounds.min(5);
    let one = Project::new(jobwright, &web(1))?;
    let many = Project::new(jobwright, &web(10_000))?;
    let fewer = Project::new(jobwright, &web(1_000))?;
    let alone = turns::take(rounds, || one.run(&arguments), || many.run(&arguments))?;
    let beside = turns::take(rounds, || one.run(&arguments), || fewer.run(&arguments))?;
    let (large, small) =
        (alone.measured.saturating_sub(alone.floor), beside.measured.saturating_sub(beside.floor));
    Ok(vec![
        Row::time(
            "10,000 jobs, 20,000 needs over one job",
            alone.measured,
            alone.floor,
            1.0,
            Duration::from_secs(1),
        ),
        Row::time("what they add over what 1,000 add", large, small, 15.0, Duration::ZERO),
    ])
}

/// Jobs that each need two that stand before them, near and far. Only the last runs.
fn web(jobs: usize) -> String {
    let mut file = String::from("stages: [all]\n");
    for job in 0..jobs {
        let mut needs: Vec<usize> = if job == 0 { Vec::new() } else { vec![job - 1, job / 2] };
        needs.dedup();
        let needs: Vec<String> = needs.iter().map(|need| format!("job-{need}")).collect();
        let condition = if job + 1 == jobs { "true" } else { "false" };
        // Writing to a string does not fail.
        let _ = writeln!(
            file,
            "job-{job}:\n  stage: all\n  if: {condition}\n  needs: [{}]\n  script: ['true']",
            needs.join(", ")
        );
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_but_the_first_needs_others_and_only_the_last_runs() {
        let file = web(3);
        assert!(file.contains("job-2:\n  stage: all\n  if: true\n  needs: [job-1]\n"), "{file}");
        assert_eq!(file.matches("if: false").count(), 2);
        assert!(web(10_000).contains("needs: [job-9998, job-4999]"));
    }
}
