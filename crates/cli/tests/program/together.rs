//! Several things at the same time: jobs of a graph, two runs of one project, a run and its cancellation. On host processes, and in each engine
//! that there is.

use std::path::Path;

use rustix::process::Signal;

use crate::support::{Bench, Ended, IMAGE, Running, ask, belongings, docker, podman, wait_for};

/// An image that serves its files when it is run as it is, for services, which have no command of their own.
const FILES: &str = "docker.io/jobwright-test/files:1";

fn provide_files(host: &str) {
    if ask(host, &["image", "inspect", FILES]).is_ok() {
        return;
    }
    let container = ask(host, &["create", IMAGE]).unwrap();
    let command = r#"CMD ["httpd", "-f", "-p", "8080", "-h", "/"]"#;
    ask(host, &["commit", "--change", command, container.trim(), FILES]).unwrap();
    ask(host, &["rm", "--force", container.trim()]).unwrap();
}

/// A job that shows its service, says that it is up, waits until it may go on, and hands on what is its own; and one that takes that.
fn pipeline(site: Site) -> String {
    let contained = site != Site::Process;
    let image = if contained { format!("image: '{IMAGE}', ") } else { String::new() };
    let services =
        if contained { format!("services: [{{image: '{FILES}', alias: web}}], ") } else { String::new() };
    // Podman without its plugin for names, as distributions install it, has services that nobody can call.
    let service = match site {
        Site::Docker => "'until wget -q -O - http://web:8080/etc/hostname; do sleep 0.1; done', ",
        _ => "",
    };
    let own = r#"'echo "$WHO" > mine; mkdir -p kept; echo "$WHO" >> kept/log'"#;
    let wait = r#"'echo "up $WHO"', 'until [ -e "$GO" ]; do sleep 0.05; done', 'echo "still $(cat mine)"'"#;
    format!(
        "stages: [make, use]\n\
         make: {{stage: make, {image}{services}cache: {{key: shared, paths: [kept]}}, artifacts: {{paths: [mine]}}, \
         script: [{own}, {service}{wait}]}}\n\
         use: {{stage: use, {image}needs: [make], script: ['echo \"got $(cat mine)\"']}}\n"
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    Process,
    Docker,
    Podman,
}

/// One place to run: a bench, and how its jobs are told to go on.
struct Place {
    site: Site,
    bench: Bench,
    host: Option<&'static str>,
}

impl Place {
    fn all() -> Vec<Self> {
        let on = |site, host: &'static str| {
            provide_files(host);
            Self { site, bench: Bench::with(&pipeline(site)).on(host), host: Some(host) }
        };
        let bench = Bench::with(&pipeline(Site::Process)).without_engine();
        let process = Self { site: Site::Process, bench, host: None };
        let docker = docker().map(|host| on(Site::Docker, host));
        let podman = podman().map(|host| on(Site::Podman, host));
        std::iter::once(process).chain(docker).chain(podman).collect()
    }

    /// The file whose presence lets the jobs go on, as they see it.
    fn go_file(&self) -> String {
        match self.host {
            Some(_) => "/tmp/go".to_owned(),
            None => self.bench.root().join("go").display().to_string(),
        }
    }

    fn start(&self, who: &str, go: &str) -> Running {
        let backend = if self.host.is_some() { "docker" } else { "process" };
        let (who, go) = (format!("WHO={who}"), format!("GO={go}"));
        self.bench.start(self.bench.command(&["run", "-b", backend, "--env", &who, "--env", &go]))
    }

    fn go(&self) {
        match self.host {
            None => std::fs::write(self.go_file(), "").unwrap(),
            Some(host) => {
                for (_, id) in
                    belongings(host, &self.bench.state()).iter().filter(|(kind, _)| *kind == "container")
                {
                    // One that has just ended needs no word.
                    let _ = ask(host, &["exec", id, "touch", "/tmp/go"]);
                }
            }
        }
    }
}

#[track_caller]
fn wait_until_it_says(running: &Running, text: &str) {
    assert!(
        wait_for(|| running.stdout_now().contains(text)),
        "{}\n{}",
        running.stdout_now(),
        running.stderr_now()
    );
}

/// The name of the host that the job's service told.
fn service_of(ended: &Ended) -> String {
    let lines = ended.stdout.lines().map(|line| line.rsplit(' ').next().unwrap_or_default());
    let is_id = |line: &&str| line.len() == 12 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    lines.clone().find(is_id).unwrap_or_else(|| panic!("no host in {}", ended.stdout)).to_owned()
}

#[test]
fn two_runs_of_one_project_at_the_same_time_do_not_disturb_each_other() {
    for place in Place::all() {
        let (one, two) = (place.start("amber", &place.go_file()), place.start("blue", &place.go_file()));
        wait_until_it_says(&one, "up amber");
        wait_until_it_says(&two, "up blue");
        place.go();
        let (one, two) = (one.end().expect(0), two.end().expect(0));
        for (ended, own, other) in [(&one, "amber", "blue"), (&two, "blue", "amber")] {
            assert!(ended.stdout.contains(&format!("still {own}")), "{:?}: {}", place.site, ended.stdout);
            assert!(ended.stdout.contains(&format!("got {own}")), "{:?}: {}", place.site, ended.stdout);
            assert!(!ended.stdout.contains(other), "{:?}: {}", place.site, ended.stdout);
        }
        if place.site == Site::Docker {
            assert_ne!(service_of(&one), service_of(&two), "each has a service of its own");
        }
        assert_eq!(place.bench.runs().len(), 2);
        assert_eq!(place.bench.leftovers(), [""; 0], "{:?}", place.site);
    }
}

#[test]
fn a_run_that_is_cancelled_takes_nothing_of_another_with_it() {
    for place in Place::all() {
        let (one, two) = (place.start("amber", &place.go_file()), place.start("blue", &place.go_file()));
        wait_until_it_says(&one, "up amber");
        wait_until_it_says(&two, "up blue");
        one.signal(Signal::INT);
        one.end().expect(130);
        place.go();
        let two = two.end().expect(0);
        assert!(two.stdout.contains("got blue"), "{:?}: {}", place.site, two.stdout);
        assert_eq!(place.bench.leftovers(), [""; 0], "{:?}", place.site);
    }
}

#[test]
fn a_cancelled_run_leaves_no_lock_of_a_cache_no_service_and_no_network() {
    for place in Place::all() {
        let running = place.start("amber", &place.go_file());
        wait_until_it_says(&running, "up amber");
        if let Some(host) = place.host {
            let kinds: Vec<_> =
                belongings(host, &place.bench.state()).into_iter().map(|(kind, _)| kind).collect();
            assert!(
                kinds.iter().filter(|kind| **kind == "container").count() >= 2,
                "job and service: {kinds:?}"
            );
            assert!(kinds.contains(&"network"), "{kinds:?}");
        }
        running.signal(Signal::INT);
        running.end().expect(130);
        assert_eq!(place.bench.leftovers(), [""; 0], "{:?}", place.site);
        // The next run takes and stores the cache that the cancelled one had in use: `/` lets it go on at once.
        place.start("next", "/").end().expect(0);
        let caches = place.bench.run(&["cache", "ls"]).expect(0).stdout;
        assert!(caches.contains("shared"), "{:?}: {caches}", place.site);
        assert_eq!(place.bench.leftovers(), [""; 0], "{:?}", place.site);
    }
}

// covers: local-ci 53 (no stage-mate is waited for)
#[test]
fn a_job_begins_while_one_that_it_does_not_need_still_runs() {
    let bench = Bench::with(
        "stages: [first, second]\n\
         a: {stage: first, script: ['true']}\n\
         b: {stage: first, script: ['until [ -e \"$BEGUN\" ]; do sleep 0.02; done']}\n\
         c: {stage: second, needs: [a], script: ['touch \"$BEGUN\"']}\n",
    );
    let bench = bench.without_engine();
    let begun = format!("BEGUN={}", bench.root().join("begun").display());
    // `b` ends only when `c` has begun: a barrier between the stages would hold both up for ever.
    let ended = bench.run(&["run", "-b", "process", "--limit", "2", "--env", &begun]).expect(0);
    assert!(ended.stdout.contains("3 passed"), "{}", ended.stdout);
    assert!(Path::new(begun.split_once('=').unwrap().1).exists());
}
