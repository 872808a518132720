//! `jobwright exec` and `jobwright executions`: one program under an id, as if it ran here, and looked after by other processes.

mod dying;
mod inside;
mod looking;
mod running;

use std::process::Command;

use serde_json::Value;

use crate::support::{Bench, Ended, IMAGE, Running, docker, wait_for};

/// What isolates the work: this host, and an engine where there is one.
#[derive(Clone, Copy)]
struct Site {
    host: Option<&'static str>,
    name: &'static str,
}

const HOST: Site = Site { host: None, name: "process" };

fn sites() -> Vec<Site> {
    let docker = docker().map(|host| Site { host: Some(host), name: "docker" });
    docker.into_iter().chain([HOST]).collect()
}

impl Site {
    fn bench(self) -> Bench {
        match self.host {
            Some(host) => Bench::new().on(host),
            None => Bench::new().without_engine(),
        }
    }

    /// `jobwright exec` with these flags and this command.
    fn command(self, bench: &Bench, flags: &[&str], command: &[&str]) -> Command {
        let image: &[&str] = if self.host.is_some() { &["--image", IMAGE] } else { &[] };
        bench.command(&[&["exec"], image, flags, &["--"], command].concat())
    }

    fn exec(self, bench: &Bench, flags: &[&str], script: &str) -> Ended {
        bench.end(self.command(bench, flags, &["sh", "-c", script]))
    }

    /// One that runs `script`, once it has printed a line `ready` in front of it.
    fn start(self, bench: &Bench, flags: &[&str], script: &str) -> Running {
        let running =
            bench.start(self.command(bench, flags, &["sh", "-c", &format!("echo ready; {script}")]));
        let came = wait_for(|| running.stdout_now().contains("ready\n"));
        assert!(came, "{}: {}", self.name, running.stderr_now());
        running
    }
}

/// `jobwright executions` with these arguments.
fn executions(bench: &Bench, args: &[&str]) -> Ended {
    bench.run(&[&["executions"], args].concat())
}

fn listed(bench: &Bench) -> Vec<(String, String)> {
    let rows: Value = serde_json::from_str(&executions(bench, &["ls", "--json"]).expect(0).stdout).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "execution_id"), text(row, "status"))).collect()
}

fn standing(id: &str, status: &str) -> Vec<(String, String)> {
    vec![(id.to_owned(), status.to_owned())]
}
