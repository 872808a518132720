//! `jobwright executions` from other processes than the owner's, and what the commands for runs make of executions.

use super::{HOST, executions, listed, sites, standing};
use crate::support::wait_for;

// covers: nunet 34, 35, 36, 42, 43, 44, 69, 70, 71, 72
#[test]
fn another_process_sees_it_reaches_into_it_and_ends_it() {
    for site in sites() {
        let bench = site.bench();
        let running = site.start(&bench, &["--id", "one", "--job", "mine"], "echo err >&2; sleep 1000");
        let table = executions(&bench, &["ls"]).expect(0).stdout;
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["one", "mine", site.name, "running"], "{table}");
        assert_eq!(
            executions(&bench, &["ls", "--status", "failed"]).expect(0).stdout,
            "there are no executions\n"
        );
        let shown = executions(&bench, &["show", "one"]).expect(0).stdout;
        assert!(shown.contains("\nstatus    running\n"), "{shown}");
        assert!(wait_for(|| executions(&bench, &["logs", "one"]).expect(0).stderr == "err\n"));
        assert_eq!(
            executions(&bench, &["logs", "one", "--stdout"]).expect(0).said(),
            "ready\n--- stderr ---\n"
        );
        assert_eq!(
            executions(&bench, &["logs", "one", "--stderr"]).expect(0).said(),
            "--- stderr ---\nerr\n"
        );

        let beside = ["exec", "one", "--", "sh", "-c", "echo in; echo beside >&2; exit 9"];
        assert_eq!(
            executions(&bench, &beside).expect(9).said(),
            "in\n--- stderr ---\nbeside\n",
            "{}",
            site.name
        );
        let stats = executions(&bench, &["stats", "one"]);
        assert!(
            stats.stdout.contains("one ") || stats.stderr.contains("does not support"),
            "{}",
            stats.said()
        );

        executions(&bench, &["pause", "one"]).expect(0);
        assert_eq!(listed(&bench), standing("one", "paused"), "{}", site.name);
        let refused = executions(&bench, &beside).expect(125);
        assert!(refused.stderr.contains("execution (one) is paused; it has to run"), "{}", refused.stderr);
        executions(&bench, &["pause", "one"]).expect(1);
        executions(&bench, &["resume", "one"]).expect(0);
        assert_eq!(listed(&bench), standing("one", "running"), "{}", site.name);
        executions(&bench, &["resume", "one"]).expect(1);

        let follower = bench.start(bench.command(&["executions", "logs", "--follow", "--tail-now", "one"]));
        let waiter = bench.start(bench.command(&["executions", "wait", "one"]));
        executions(&bench, &["cancel", "one"]).expect(0);
        assert_eq!(running.end().expect(8).stdout, "ready\n", "{}", site.name);
        assert_eq!(follower.end().expect(0).stdout, "", "{}", site.name);
        assert_eq!(waiter.end().expect(8).stdout, "", "{}", site.name);
        assert_eq!(listed(&bench), standing("one", "failed"), "{}", site.name);
        let refused = executions(&bench, &["cancel", "one"]).expect(1);
        assert!(
            refused.stderr.contains("execution (one) has already concluded: failed"),
            "{}",
            refused.stderr
        );
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

// covers: nunet 15, 20, 41, 45, 47
#[test]
fn one_that_has_ended_keeps_its_output_its_result_and_its_exit_code() {
    for site in sites() {
        let bench = site.bench();
        site.exec(&bench, &["--id", "one"], "echo out; echo err >&2; exit 42").expect(42);
        for follow in [&["logs", "one"][..], &["logs", "one", "--follow"]] {
            assert_eq!(
                executions(&bench, follow).expect(0).said(),
                "out\n--- stderr ---\nerr\n",
                "{}",
                site.name
            );
        }
        for _ in 0..2 {
            assert_eq!(executions(&bench, &["wait", "one"]).expect(42).said(), "--- stderr ---\n");
        }
        let shown = executions(&bench, &["show", "one", "--json"]).expect(0).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["result"]["exit_code"], &shown["status"]), (&42.into(), &"failed".into()));
        assert_eq!(
            (&shown["result"]["stdout"], &shown["result"]["stderr"]),
            (&"out\n".into(), &"err\n".into())
        );
        assert!(executions(&bench, &["show", "one"]).stdout.contains("\nexit code 42\n"));
    }
}

// covers: nunet 14, 26, 30, 37, 45
#[test]
fn what_is_not_there_is_4_whoever_asks() {
    let bench = HOST.bench();
    for args in [
        &["show", "none"][..],
        &["logs", "none"],
        &["logs", "-f", "none"],
        &["wait", "none"],
        &["cancel", "none"],
        &["pause", "none"],
        &["resume", "none"],
        &["exec", "none", "--", "true"],
        &["exec", "-i", "none", "--", "true"],
        &["stats", "none"],
        &["rm", "none"],
        &["rm", "--force", "none"],
    ] {
        let ended = executions(&bench, args).expect(4);
        assert!(ended.stderr.contains("execution (none) not found"), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("`jobwright executions ls`"), "{args:?}: {}", ended.stderr);
    }
    executions(&bench, &["rm"]).expect(2);
    executions(&bench, &["wait", "../x"]).expect(2);
}

// covers: nunet 30, 32
#[test]
fn what_runs_is_removed_only_when_that_is_meant() {
    for site in sites() {
        let bench = site.bench();
        site.exec(&bench, &["--id", "over"], "true").expect(0);
        let running = site.start(&bench, &["--id", "goes-on"], "sleep 1000");
        let refused = executions(&bench, &["rm", "over", "goes-on", "none"]);
        assert_eq!(refused.stdout, "over\n", "{}", site.name);
        assert!(
            refused.stderr.contains("execution goes-on has not ended; end it first"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("execution (none) not found"), "{}", refused.stderr);
        executions(&bench, &["rm", "goes-on"]).expect(1);
        assert_eq!(executions(&bench, &["rm", "--all"]).expect(0).said(), "--- stderr ---\n");
        assert_eq!(listed(&bench), standing("goes-on", "running"), "{}", site.name);
        assert_eq!(executions(&bench, &["rm", "--all", "--force"]).expect(0).stdout, "goes-on\n");
        running.end();
        assert!(listed(&bench).is_empty() && bench.runs().is_empty(), "{}", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn commands_for_runs_know_an_execution_and_leave_one_that_lives_alone() {
    let bench = HOST.bench();
    let running = HOST.start(&bench, &["--id", "one"], "sleep 1000");
    let run = bench.runs().remove(0);
    assert_eq!(bench.run(&["ps"]).expect(0).stdout, "no run is going on\n");
    assert_eq!(bench.run(&["ps", "--all"]).expect(0).stdout, "no run was begun here\n");
    for (args, instead) in [
        (&["cancel", &run][..], "cancel one"),
        (&["attach", &run], "logs --follow one"),
        (&["run", "--resume", &run], "wait one"),
    ] {
        let said = bench.run(args).expect(2).stderr;
        assert!(said.contains(&format!("{run} is the execution one")), "{said}");
        assert!(said.contains(&format!("`jobwright executions {instead}`")), "{said}");
    }
    bench.run(&["artifacts", "ls", "last"]).expect(4);
    let left = format!("{run} is running and is left alone\nnothing to remove\n");
    for clean in [&["clean"][..], &["clean", &run], &["clean", "--strays"]] {
        assert_eq!(bench.run(clean).expect(0).stdout, left, "{clean:?}");
    }
    assert!(bench.run(&["doctor"]).expect(0).stdout.contains("1 watched by a Jobwright that lives"));
    assert_eq!(listed(&bench), standing("one", "running"));
    executions(&bench, &["cancel", "one"]).expect(0);
    running.end().expect(8);
    assert!(bench.run(&["doctor"]).expect(0).stdout.ends_with("nothing needs attention\n"));
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
    assert_eq!(listed(&bench), standing("one", "failed"), "clean removes no result");
}
