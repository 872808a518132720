//! What a request can ask for, and how it is refused.

use std::time::Duration;

use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{AllocationKey, Cause, ProvisionScript, StorageVolume};

use crate::site::{Site, World, talkative};

// covers: nunet 4, 18
pub(crate) async fn what_cannot_be_started_is_a_result(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy starts anything");
    }
    let mut request = world.request("one", &Script::new());
    request.engine_spec = request.engine_spec.with_param("entrypoint", vec!["/no/such/program".to_owned()]);
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.exit_code, -1, "{result:?}");
    assert!(result.error_msg.contains("/no/such/program"), "{}", result.error_msg);
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 24
pub(crate) async fn one_that_takes_too_long_is_ended(world: &World) {
    let mut request = world.request("one", &Script::new().say_ready().forever());
    request.timeout = Some(Duration::from_secs(3));
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.ending.cause, Cause::Timeout, "{result:?}");
    assert_eq!(result.stdout, "ready\n");
}

fn provisioned(world: &World, scripts: &[(&str, &str)]) -> jobwright_model::ExecutionRequest {
    let mut request = world.request("one", &Script::new().print("job\n"));
    let script =
        |(name, content): &(&str, &str)| ProvisionScript { name: (*name).into(), content: (*content).into() };
    request.provision_scripts = scripts.iter().map(script).collect();
    request
}

/// Prints how many microseconds of processor time it may have in which time, by either version of control groups, as the host or a container
/// sees them.
const QUOTA: &str = r#"
one=$(sed -n 's/^[0-9]*:\(.*,\)\{0,1\}cpu\(,.*\)\{0,1\}://p' /proc/self/cgroup)
two=$(sed -n 's/^0:://p' /proc/self/cgroup)
for dir in "/sys/fs/cgroup/cpu$one" /sys/fs/cgroup/cpu; do
  [ -e "$dir/cpu.cfs_quota_us" ] && exec cat "$dir/cpu.cfs_quota_us" "$dir/cpu.cfs_period_us"
done
for dir in "/sys/fs/cgroup$two" /sys/fs/cgroup; do
  [ -e "$dir/cpu.max" ] && exec cat "$dir/cpu.max"
done
"#;

// covers: nunet 67
pub(crate) async fn provision_scripts_run_first_and_in_order(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    let scripts = [("z first", "#!/bin/sh\necho one \"$0\" | grep -c 'z first'"), ("a second", "echo two")];
    let result = world.executor.run(provisioned(world, &scripts)).await.unwrap();
    assert_eq!(result.stdout, "Executing z first\n1\nExecuting a second\ntwo\njob\n", "{result:?}");
}

// covers: nunet 67
pub(crate) async fn provision_scripts_run_where_the_command_does(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    let mut request = provisioned(world, &[("where", "pwd")]);
    let argv = ["/bin/sh", "-c", "pwd"].map(str::to_owned).to_vec();
    request.engine_spec =
        request.engine_spec.with_param("entrypoint", argv).with_param("working_directory", "/tmp");
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "Executing where\n/tmp\n/tmp\n", "{result:?}");
}

// covers: nunet 67
pub(crate) async fn a_provision_script_that_fails_ends_it(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    let result =
        world.executor.run(provisioned(world, &[("bad", "exit 9"), ("never", "echo never")])).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (9, "Executing bad\n"), "{result:?}");
}

// covers: nunet 5-7, 58, 63
pub(crate) async fn a_bad_request_makes_nothing(world: &World) {
    type Change = fn(&mut jobwright_model::ExecutionRequest);
    let changes: [(&str, Change); 9] = [
        ("secrets.PIN", |request| request.secrets = [("PIN".to_owned(), "123".to_owned())].into()),
        ("engine_spec.type", |request| request.engine_spec.kind = "  ".to_owned()),
        ("no-such-engine", |request| request.engine_spec.kind = "no-such-engine".to_owned()),
        ("limit on disk", |request| request.resources.disk_bytes = Some(1 << 30)),
        ("cpu_cores", |request| request.resources.cpu_cores = Some(-1.0)),
        ("ram_bytes", |request| request.resources.ram_bytes = Some(u64::MAX)),
        ("inputs[0].source", |request| {
            request.inputs = vec![jobwright_model::StorageVolume::bind("/tmp/../etc", "/x")];
        }),
        ("results_dir", |request| {
            request.outputs = vec![jobwright_model::StorageVolume::bind("/tmp", "/tmp")];
        }),
        ("variables", |request| {
            request.environment.extend((0..10_000).map(|number| (format!("V{number}"), String::new())));
        }),
    ];
    for (named, change) in changes {
        let mut request = world.request("one", &talkative());
        change(&mut request);
        let error = world.executor.start(request).await.unwrap_err();
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
    assert!(world.executor.list().await.unwrap().is_empty());
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 21, 55, 57
pub(crate) async fn memory_beyond_its_limit_ends_it_with_a_cause_of_its_own(world: &World) {
    let mut request = world.request("one", &Script::new().print("before\n").fill_memory());
    request.resources.ram_bytes = Some(64 << 20);
    let result = match world.executor.run(request).await {
        Err(Error::Unsupported { .. }) if !world.capabilities().await.limits => {
            return println!("skipped: {} limits no memory", world.site.name());
        }
        result => result.unwrap(),
    };
    if !world.capabilities().await.oom {
        assert_ne!(result.exit_code, 0, "{result:?}");
        return println!("skipped: {} does not tell memory from other ends", world.site.name());
    }
    assert_eq!(result.ending.cause, Cause::OutOfMemory, "{result:?}");
    assert!(result.error_msg.contains("OOM") && result.stdout.contains("before"), "{result:?}");
}

// covers: nunet 56
pub(crate) async fn parts_of_processors_are_taken_or_refused(world: &World) {
    let mut request = world.request("one", &talkative());
    request.resources.cpu_cores = Some(0.5);
    if !world.capabilities().await.limits {
        let refused = world.executor.run(request).await;
        return assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    }
    let argv = ["/bin/sh", "-c", QUOTA].map(str::to_owned).to_vec();
    request.engine_spec = request.engine_spec.with_param("entrypoint", argv);
    let result = world.executor.run(request).await.unwrap();
    let quota: Vec<u32> = result.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(matches!(quota[..], [quota, period] if quota * 2 == period), "{result:?}");
}

// covers: nunet 62
pub(crate) async fn volumes_are_there_as_they_were_asked_for(world: &World) {
    if !matches!(world.site, Site::Containers(_)) {
        return println!("skipped: only containers have volumes of their own");
    }
    let (input, output) = (world.folder("in"), world.folder("out"));
    std::fs::write(input.join("file"), "content\n").unwrap();
    let mut request = world.request("one", &Script::new());
    let script = "cat /in/file > /out/copy; touch /in/new 2>/dev/null && echo written; true";
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    request.engine_spec = request.engine_spec.with_param("entrypoint", argv);
    let bind = |source: &std::path::Path, target| StorageVolume::bind(source.display().to_string(), target);
    request.inputs = vec![StorageVolume { read_only: true, ..bind(&input, "/in") }];
    request.outputs = vec![bind(&output, "/out")];
    request.results_dir = Some(world.folder("results"));
    let result = world.executor.run(request).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (0, ""), "{result:?}");
    assert_eq!(std::fs::read_to_string(output.join("copy")).unwrap(), "content\n");
}

// covers: nunet 66
pub(crate) async fn a_key_lies_where_it_is_looked_for(world: &World) {
    if !matches!(world.site, Site::Containers(_)) {
        return println!("skipped: only containers have keys of their own");
    }
    let mut request = world.request("one", &Script::new());
    let argv = ["/bin/sh", "-c", "cat /root/.ssh/authorized_keys; stat -c %a /root/.ssh/authorized_keys"];
    request.engine_spec = request.engine_spec.with_param("entrypoint", argv.map(str::to_owned).to_vec());
    request.keys =
        vec![AllocationKey { kind: "ssh".into(), file: "ssh-ed25519 AAAA me".into(), dest: String::new() }];
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "ssh-ed25519 AAAA me\n600\n", "{result:?}");
}
