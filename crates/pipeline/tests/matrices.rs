//! `matrix` (local-ci.md 1.6): which variants a job becomes, how they are called, and what needs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;

use jobwright_pipeline::{Loader, Pipeline, Report};

fn load(file: &str) -> Result<Pipeline, Report> {
    Loader::new().every_key().parse("p.yaml", format!("stages: [t, u]\n{file}").as_bytes())
}

fn parse(file: &str) -> Pipeline {
    load(file).unwrap_or_else(|report| panic!("{report}"))
}

fn job(matrix: &str) -> String {
    format!("j: {{stage: t, script: ls, variables: {{V: job, W: job}}, matrix: {matrix}}}\n")
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.jobs.iter().map(|job| job.name.as_str()).collect()
}

fn findings(file: &str) -> String {
    load(file).expect_err(file).summary()
}

// covers: local-ci 89
#[test]
fn a_job_becomes_the_product_of_its_variables_in_the_order_of_their_names() {
    let pipeline = parse(&job("[{os: [b, a], go: ['1.22', 1.23]}]"));
    assert_eq!(names(&pipeline), ["j_go.1.22_os.b", "j_go.1.22_os.a", "j_go.1.23_os.b", "j_go.1.23_os.a"]);
    let variant = pipeline.jobs[0].variant.as_ref().unwrap();
    assert_eq!((variant.group.as_str(), variant.max_parallel), ("j", None));
    assert_eq!(
        variant.values.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
        ["go=1.22", "os=b"]
    );
}

// covers: local-ci 89
#[test]
fn entries_are_combined_each_for_itself() {
    let pipeline = parse(&job("[{A: [1, 2]}, {B: x, A: 3}]"));
    assert_eq!(names(&pipeline), ["j_A.1", "j_A.2", "j_A.3_B.x"]);
}

// covers: local-ci 89
#[test]
fn a_value_wins_over_the_jobs_variable_and_variants_do_not_share_theirs() {
    let pipeline = parse(&job("[{V: [1, 2]}]"));
    let values =
        |at: usize| (pipeline.jobs[at].variables["V"].as_str(), pipeline.jobs[at].variables["W"].as_str());
    assert_eq!((values(0), values(1)), (("1", "job"), ("2", "job")));
}

// covers: local-ci 89
#[test]
fn variants_inherit_everything_else() {
    let pipeline = parse("j: {stage: t, script: ls, parallel: true, retry: 2, matrix: [{A: [1, 2]}]}\n");
    assert!(pipeline.jobs.iter().all(|job| job.detached && job.retry.max == 2 && job.base() == "j"));
}

// covers: local-ci 89
#[test]
fn a_job_without_a_matrix_stays_as_it_is_and_one_value_is_one_variant() {
    let pipeline = parse(&format!(
        "k: {{stage: t, script: ls}}\nl: {{stage: t, script: ls, matrix: []}}\n{}",
        job("[{A: 1}]")
    ));
    assert_eq!(names(&pipeline), ["k", "l", "j_A.1"]);
    assert!(pipeline.jobs[0].variant.is_none() && pipeline.jobs[1].variant.is_none());
}

// covers: local-ci 89
#[test]
fn what_cannot_be_a_variant_is_refused_with_its_place() {
    for (matrix, message) in [
        ("[{}]", "2:65: error: this entry has no variables"),
        ("[{A: []}]", "2:66: error: the variable `A` has no values"),
        ("[{A b: [1]}]", "2:66: error: the variable `A b` has characters that a matrix cannot have"),
        ("[{A: ['x=y']}]", "2:70: error: the value `x=y` has characters that a matrix cannot have"),
        ("[{A: ['x:y']}]", "2:70: error: the value `x:y` has characters"),
        ("[{A: [~]}]", "2:70: error: a value of a matrix must be a text, found nothing"),
        ("[{A: [[1]]}]", "2:70: error: a value of a matrix must be a text, found a list"),
        ("[{A: [1, 1]}]", "error: two variants of this matrix are `j_A.1`"),
        ("[{A: 1}, {A: [2, 1]}]", "error: two variants of this matrix are `j_A.1`"),
        (
            "[x]",
            "2:65: error: an entry of a matrix must be a mapping of variables to values, found the text `x`",
        ),
        (
            "x",
            "error: `matrix` must be a list of mappings of variables to values, or a mapping with `values`",
        ),
        ("{A: [1]}", "error: `matrix` has no `values`"),
    ] {
        let found = findings(&job(matrix));
        assert!(found.contains(message), "{matrix}: {found}");
    }
}

#[test]
fn combinations_can_be_left_out() {
    let names = |exclude: &str| {
        let matrix = format!("{{values: [{{A: [1, 2], B: [x, y]}}], exclude: {exclude}}}");
        names(&parse(&job(&matrix))).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("[{A: 1, B: y}]"), ["j_A.1_B.x", "j_A.2_B.x", "j_A.2_B.y"]);
    assert_eq!(names("{B: [y]}"), ["j_A.1_B.x", "j_A.2_B.x"]);
    assert_eq!(names("[{A: [1, 2], B: x}, {A: 2}]"), ["j_A.1_B.y"]);
    let matrix = "{values: {A: [1, 2]}, exclude: {A: 3}}";
    let warnings = parse(&job(matrix)).warnings().summary();
    assert!(warnings.contains("no combination is left out by this"), "{warnings}");
    assert!(findings(&job("{values: {A: 1}, exclude: {A: 1}}")).contains("leaves nothing"));
}

#[test]
fn a_matrix_says_how_many_of_it_may_run_at_a_time() {
    let pipeline = parse(&job("{values: {A: [1, 2]}, max_parallel: 1}"));
    assert_eq!(pipeline.jobs[1].variant.as_ref().unwrap().max_parallel.unwrap().get(), 1);
    assert!(findings(&job("{values: {A: [1, 2]}, max_parallel: 0}")).contains("`max_parallel` must be"));
}

// covers: local-ci 52 (the variants)
#[test]
fn a_need_of_a_job_with_a_matrix_is_one_of_all_its_variants() {
    let file = format!(
        "{}k: {{stage: u, script: ls, needs: [j, l]}}\nl: {{stage: t, script: ls}}\n",
        job("[{A: [1, 2]}]")
    );
    assert_eq!(parse(&file).job("k").unwrap().needs, ["j_A.1", "j_A.2", "l"]);
    let file =
        format!("{}k: {{stage: u, script: ls, needs: j, matrix: [{{B: [1, 2]}}]}}\n", job("[{A: [1, 2]}]"));
    assert_eq!(parse(&file).job("k_B.2").unwrap().needs, ["j_A.1", "j_A.2"]);
}

// covers: local-ci 84
#[test]
fn a_variant_cannot_be_needed_by_its_own_name() {
    let file = format!("{}k: {{stage: u, script: ls, needs: j_A.1}}\n", job("[{A: [1, 2]}]"));
    assert!(findings(&file).contains("`k` needs `j_A.1`, but there is no such job"));
}

#[test]
fn a_person_may_name_the_job_or_one_variant() {
    let pipeline = parse(&format!("k: {{stage: t, script: ls}}\n{}", job("[{A: [1, 2]}]")));
    let named = |name: &str| pipeline.named(name).map(|job| job.name.as_str()).collect::<Vec<_>>();
    assert_eq!(named("j"), ["j_A.1", "j_A.2"]);
    assert_eq!(named("j_A.2"), ["j_A.2"]);
    assert_eq!(named("k"), ["k"]);
    assert!(named("x").is_empty());
}

#[test]
fn a_variant_is_called_as_no_other_job() {
    let found = findings(&format!("{}j_A.1: {{stage: t, script: ls}}\n", job("[{A: [1, 2]}]")));
    assert!(found.contains("a variant of `j` has the name of another job"), "{found}");
    let found = findings("j: {stage: t, script: ls, secrets: {A: {env: X}}, matrix: [{A: [1, 2]}]}\n");
    assert!(found.contains("`A` is a secret of this job and a variable of its matrix"), "{found}");
}

#[test]
fn the_number_and_size_of_variants_are_bounded() {
    let values: Vec<String> = (0..32).map(|i| i.to_string()).collect();
    let values = values.join(", ");
    let found = findings(&job(&format!("[{{A: [{values}], B: [{values}]}}]")));
    assert!(found.contains("more than 1000 variants"), "{found}");
    let many: String = ('a'..='z').map(|key| format!("{key}: [{values}], ")).collect();
    assert!(findings(&job(&format!("[{{{many}}}]"))).contains("more than 1000 variants"));

    let command = "x".repeat(1 << 20);
    let found =
        findings(&format!("j: {{stage: t, script: {command}, matrix: [{{A: [{values}], B: [1, 2, 3]}}]}}\n"));
    assert!(found.contains("too many, or too large"), "{found}");

    let mut jobs = String::new();
    let fewer = values.trim_end_matches(", 31");
    for i in 0..30 {
        writeln!(jobs, "j{i}: {{stage: t, script: ls, matrix: [{{A: [{values}], B: [{fewer}]}}]}}").unwrap();
    }
    assert!(findings(&jobs).contains("too many, or too large"));

    let mut jobs = "a: &a {stage: t, script: ls, matrix: [{A: &v [".to_owned();
    (0..900).for_each(|i| write!(jobs, "{i}, ").unwrap());
    jobs.push_str("]}]}\nb: {stage: u, script: ls, needs: a, matrix: [{A: *v}]}\n");
    assert!(findings(&jobs).contains("too many needs of matrices"));
}
