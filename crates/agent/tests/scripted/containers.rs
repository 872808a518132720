//! Docker steps, in the real Docker and the real Podman.

use std::sync::Arc;

use jobwright_backend::Backend;
use jobwright_docker::Docker;
use serde_json::json;

use crate::agents::Site;
use crate::engines::{Engine, IMAGE};
use crate::original::Mark;

async fn sites() -> Vec<(Site, Engine)> {
    let mut sites = Vec::new();
    for engine in Engine::all().await {
        let mut site = Site::new().await;
        // As many processors and as much memory as there are.
        (site.settings.host.cpus, site.settings.host.memory) = (0.0, String::new());
        let docker: Arc<dyn Backend> =
            Arc::new(Docker::new(Some(engine.settings()), site.state().owner().clone()));
        docker.load().await.unwrap();
        site.docker = Some(docker);
        sites.push((site, engine));
    }
    sites
}

async fn leftovers(site: &Site, engine: &Engine) -> String {
    let docker = Docker::new(Some(engine.settings()), site.state().owner().clone());
    docker.load().await.unwrap();
    format!("{:?}", docker.leftovers(site.state().owner()).await.unwrap())
}

// covers: sourcegraph 40, 42, 58, 62
#[tokio::test(flavor = "multi_thread")]
async fn docker_steps_share_their_workspace_with_the_repository_before_and_the_cli_steps_after_them() {
    for (site, engine) in sites().await {
        let before = leftovers(&site, &engine).await;
        let commit = site.original.repository("github.com/a/b");
        site.original.push(
            "builds",
            json!({
                "id": 7, "repositoryName": "github.com/a/b", "commit": commit, "files": {"in.txt": "given\n"},
                "dockerSteps": [
                    {"image": IMAGE, "commands": ["false", "cat README in.txt", "echo made >made.txt", "echo $OWN $(pwd)"], "env": ["OWN=its own"]},
                    {"image": IMAGE, "commands": ["cat ../made.txt", "pwd"], "dir": "docs", "key": "second"},
                ],
                "cliSteps": [{"command": ["cat made.txt README; test -d .git && echo repository"]}],
            }),
        );
        let agent = site.start().await;
        let marked = site.original.marked("7-builds").await;
        agent.end().await;
        let log = site.original.log("7-builds");
        assert_eq!(
            marked,
            Mark { job: "7-builds".into(), how: "markComplete".into(), why: String::new() },
            "{log:#?}"
        );
        let of = |key: &str| {
            log.iter().find(|entry| entry.0 == key).unwrap_or_else(|| panic!("no {key} in {log:#?}")).clone()
        };
        let (_, code, first) = of("step.docker.0");
        assert_eq!(code, 0, "what fails in between fails nothing");
        for line in ["stdout: read me\n", "stdout: given\n", "stdout: its own /data\n", "stderr: + false\n"] {
            assert!(first.contains(line), "{line:?} in {first}");
        }
        assert!(
            of("step.docker.second").2.contains("stdout: made\nstderr: + pwd\nstdout: /data/docs\n")
                || of("step.docker.second").2.contains("stdout: /data/docs\n")
        );
        assert_eq!(of("step.src.0").2, "stdout: made\nstdout: read me\nstdout: repository\n");
        let entries = site.original.inner().entries["7-builds"].clone();
        let command = &entries.iter().find(|entry| entry["key"] == "step.docker.0").unwrap()["command"];
        let words: Vec<&str> =
            command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!((words[0], words[1], words[2]), ("docker", "run", "--rm"), "{words:?}");
        let script = format!("/data/.sourcegraph-executor/7.0_github.com_a_b@{commit}.sh");
        assert_eq!(words[words.len() - 4..], ["--entrypoint", "/bin/sh", IMAGE, &script]);
        assert_eq!(leftovers(&site, &engine).await, before);
        site.check_nothing_is_left();
    }
}

// covers: sourcegraph 63
#[tokio::test(flavor = "multi_thread")]
async fn a_skip_file_leads_to_the_step_that_it_names_and_is_gone_there() {
    for (site, _engine) in sites().await {
        let step = |key: &str, command: &str| json!({"image": IMAGE, "commands": [command], "key": key});
        let steps = [
            step("a.pre", "echo '{\"nextStep\": \"c.run\"}' >skip.json"),
            step("b.run", "echo never"),
            step("c.run", "ls"),
            step("d.pre", "echo nothing to skip"),
            step("e.run", "echo e"),
        ];
        site.original.push("builds", json!({"id": 1, "files": {"kept": "x"}, "dockerSteps": steps}));
        site.original.push("builds", json!({"id": 2, "dockerSteps": [step("a.pre", "echo '{\"nextStep\": \"x\"}' >skip.json"), step("b", "true")]}));
        let agent = site.start().await;
        let marked = site.original.marked("1-builds").await;
        assert_eq!(marked.how, "markComplete", "{marked:?} {:#?}", site.original.log("1-builds"));
        let wrong = site.original.marked("2-builds").await;
        assert_eq!(wrong.how, "markErrored", "a step that is not there cannot be next: {wrong:?}");
        agent.end().await;
        let log = site.original.log("1-builds");
        let keys: Vec<&str> =
            log.iter().map(|(key, ..)| key.as_str()).filter(|key| key.starts_with("step")).collect();
        assert_eq!(
            keys,
            ["step.docker.a.pre", "step.docker.c.run", "step.docker.d.pre", "step.docker.e.run"]
        );
        let listed = &log.iter().find(|entry| entry.0 == "step.docker.c.run").unwrap().2;
        assert!(listed.contains("stdout: kept\n") && !listed.contains("skip.json"), "{listed}");
    }
}

// covers: sourcegraph 42, 50
#[tokio::test(flavor = "multi_thread")]
async fn a_docker_step_that_fails_or_is_ended_leaves_no_container() {
    for (site, engine) in sites().await {
        let before = leftovers(&site, &engine).await;
        let step =
            |command: &str| json!([{"image": IMAGE, "commands": ["set -e", command, "echo not reached"]}]);
        site.original.push("builds", json!({"id": 1, "dockerSteps": step("exit 9")}));
        site.original.push("builds", json!({"id": 2, "dockerSteps": step("echo began; sleep 1000")}));
        site.original.push(
            "builds",
            json!({"id": 3, "dockerSteps": [{"image": "jobwright-test/none:1", "commands": ["true"]}]}),
        );
        let agent = site.start().await;
        let marked = site.original.marked("1-builds").await;
        let why = "running command \"step.docker.0\": command failed with exit code 9";
        assert_eq!((marked.how.as_str(), marked.why.as_str()), ("markErrored", why));
        site.original
            .until("it runs", |inner| {
                let entries = inner.entries.get("2-builds")?;
                entries
                    .iter()
                    .find(|entry| entry["out"].as_str().is_some_and(|out| out.contains("began")))
                    .map(drop)
            })
            .await;
        site.original.inner().cancelled.insert("2-builds".to_owned());
        assert_eq!(site.original.marked("2-builds").await.how, "markFailed");
        let absent = site.original.marked("3-builds").await;
        assert!(absent.how == "markErrored" && absent.why.contains("jobwright-test/none:1"), "{absent:?}");
        agent.end().await;
        assert_eq!(leftovers(&site, &engine).await, before);
        site.check_nothing_is_left();
    }
}
