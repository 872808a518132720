//! The command that a log shows for a docker step: that of the original (sourcegraph.md 4.6), whatever engine runs it and however it is asked.

use jobwright_queue::DockerStep;

use crate::settings::HostRules;

/// Where the workspace is in a container.
pub(crate) const WORKSPACE: &str = "/data";
/// Where the scripts lie in it.
pub(crate) const SCRIPTS: &str = ".sourcegraph-executor";

/// `docker run` for `step`, whose script is called `script`, with the workspace at `host_dir`.
pub(crate) fn docker_run(
    step: &DockerStep,
    script: &str,
    host_dir: &str,
    has_auth: bool,
    rules: &HostRules,
) -> Vec<String> {
    let mut argv = vec!["docker".to_owned()];
    if has_auth {
        argv.extend(["--config".to_owned(), format!("{host_dir}.docker")]);
    }
    argv.extend(["run", "--rm"].map(str::to_owned));
    if rules.add_host_gateway {
        argv.push("--add-host=host.docker.internal:host-gateway".to_owned());
    }
    if rules.cpus > 0.0 {
        argv.extend(["--cpus".to_owned(), rules.cpus.to_string()]);
    }
    if !matches!(rules.memory.as_str(), "" | "0") {
        argv.extend(["--memory".to_owned(), rules.memory.clone()]);
    }
    argv.extend(["-v".to_owned(), format!("{host_dir}:{WORKSPACE}"), "-w".to_owned(), directory(&step.dir)]);
    for variable in &step.env {
        argv.extend(["-e".to_owned(), variable.clone()]);
    }
    argv.extend(["--entrypoint".to_owned(), "/bin/sh".to_owned(), step.image.clone(), script_path(script)]);
    argv
}

/// A directory of the workspace, as containers see it.
pub(crate) fn directory(dir: &str) -> String {
    let dir = dir.trim_matches('/');
    if dir.is_empty() { WORKSPACE.to_owned() } else { format!("{WORKSPACE}/{dir}") }
}

/// A script, as containers see it.
pub(crate) fn script_path(script: &str) -> String {
    format!("{WORKSPACE}/{SCRIPTS}/{script}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> DockerStep {
        DockerStep {
            image: "alpine:3".to_owned(),
            commands: vec!["true".to_owned()],
            dir: "sub/dir".to_owned(),
            env: vec!["A=b c".to_owned(), "D=".to_owned()],
            ..DockerStep::default()
        }
    }

    // covers: sourcegraph 59
    #[test]
    fn the_command_is_the_original_s_and_flags_are_absent_when_they_say_nothing() {
        let told = |rules: &HostRules, has_auth| {
            docker_run(&step(), "1.0_x@y.sh", "/tmp/w", has_auth, rules).join(" ")
        };
        let all =
            HostRules { cpus: 2.0, memory: "4G".to_owned(), add_host_gateway: true, ..HostRules::default() };
        assert_eq!(
            told(&all, true),
            "docker --config /tmp/w.docker run --rm --add-host=host.docker.internal:host-gateway --cpus 2 --memory 4G \
             -v /tmp/w:/data -w /data/sub/dir -e A=b c -e D= --entrypoint /bin/sh alpine:3 /data/.sourcegraph-executor/1.0_x@y.sh"
        );
        for memory in ["", "0"] {
            let none = HostRules { cpus: 0.0, memory: memory.to_owned(), ..HostRules::default() };
            assert_eq!(
                told(&none, false),
                "docker run --rm -v /tmp/w:/data -w /data/sub/dir -e A=b c -e D= --entrypoint /bin/sh alpine:3 \
                 /data/.sourcegraph-executor/1.0_x@y.sh"
            );
        }
    }
}
