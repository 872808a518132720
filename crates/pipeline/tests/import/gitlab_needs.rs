//! What GitLab's jobs need of each other.

use crate::gitlab::{JOB, with};
use crate::{check_noted, gitlab, job, wrong_gitlab};

#[test]
fn needs_may_be_objects_and_optional_ones_that_are_not_there_are_left_out() {
    let file = format!(
        "{JOB}b:\n  image: i\n  script: [x]\n  needs: [{{job: a, artifacts: false}}, {{job: zz, optional: true}}]\n"
    );
    let imported = gitlab(&file);
    assert_eq!(job(&imported, "b").needs, ["a"]);
    check_noted(&imported, "`artifacts` of this need is not carried over");
    check_noted(&imported, "the optional need of `zz` is left out");
    assert_eq!(
        wrong_gitlab(&format!("{JOB}  needs: [zz]\n")),
        "4:11 `a` needs `zz`, but there is no such job"
    );
}

#[test]
fn a_need_that_gitlab_refuses_is_wrong() {
    let jobs = |a: &str, b: &str| {
        let job = |name: &str, keys: &str| format!("{name}: {{image: i, script: [x], {keys}}}\n");
        wrong_gitlab(&(job("a", a) + &job("b", b)))
    };
    assert_eq!(jobs("needs: [a]", "stage: test"), "1:36 `a` needs itself");
    let circle = "1:36 `needs` goes round in a circle: `a` → `b` → `a`";
    assert_eq!(jobs("needs: [b]", "needs: [a]"), circle);
    let written_out = "a: {image: 'i:$A', script: [x], needs: [b], parallel: {matrix: [{A: ['1', '2']}]}}\n\
                       b: {image: i, script: [x], needs: [a]}\n";
    let once = "1:41 `needs` goes round in a circle: `a` → `b` → `a`";
    assert_eq!(wrong_gitlab(written_out), once, "a job of a matrix is named once");
    let later = "1:36 `a` (stage `test`) needs `b` from the later stage `deploy`";
    assert_eq!(jobs("needs: [b]", "stage: deploy"), later);
    let last = "1:36 `a` (stage `deploy`) needs `b` from the later stage `post`";
    assert_eq!(jobs("needs: [b], stage: deploy", "stage: .post"), last);
}

#[test]
fn an_optional_need_of_a_job_that_may_not_run_is_noted() {
    let imported = gitlab(&format!(
        "{JOB}c:\n  image: i\n  script: [x]\n  needs: [{{job: a, optional: true}}, {{job: b, optional: true}}]\n\
         b:\n  image: i\n  script: [x]\n  rules: [{{if: $DEPLOY}}]\n"
    ));
    assert_eq!(job(&imported, "c").needs, ["a", "b"]);
    check_noted(&imported, "the need of `b` is optional");
    assert!(!imported.text.contains("the need of `a`"), "a job that always runs is always needed");
}

#[test]
fn a_job_that_needs_nothing_is_noted() {
    check_noted(&gitlab(&with("needs: []")), "`a` needs nothing and waits for all earlier stages here");
}
