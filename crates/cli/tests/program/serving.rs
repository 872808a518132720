//! `jobwright server`: the real program over its socket, killed and begun again.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Bench, Running, wait_for};

/// What the server at `socket` answers: status line, heads and body.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn serve(bench: &Bench) -> Running {
    let server = bench.start(bench.command(&["server"]));
    assert!(wait_for(|| server.stdout_now().contains("listening on unix:")), "{}", server.stderr_now());
    server
}

// covers: nunet 34, 76
#[test]
fn what_a_killed_server_ran_goes_on_and_the_next_one_tells_its_result() {
    let bench = Bench::new().without_engine();
    let socket = bench.state().join("server/socket");
    let mut server = serve(&bench);
    let go = bench.root().join("go");
    let script =
        format!("echo begun; while [ ! -e {} ]; do sleep 0.02; done; echo ended; exit 3", go.display());
    let request = format!(
        r#"{{"job_id":"j","execution_id":"one","engine_spec":{{"type":"process","params":{{"entrypoint":["/bin/sh","-c","{script}"]}}}}}}"#
    );
    let taken = ask(&socket, "POST", "/executions", &request);
    assert!(taken.starts_with("HTTP/1.1 201"), "{taken}");
    assert!(wait_for(|| ask(&socket, "GET", "/executions/one/logs", "").contains("begun")));
    server.child.kill().unwrap();
    server.end();

    let server = serve(&bench);
    let status = ask(&socket, "GET", "/executions/one/status?until=running&timeout=10", "");
    assert!(status.contains(r#""status":"running""#), "{status}");
    std::fs::write(go, "").unwrap();
    let waited = ask(&socket, "GET", "/executions/one/wait?timeout=30", "");
    assert!(
        waited.contains(r#""exit_code":3"#) && waited.contains(r#""stdout":"begun\nended\n""#),
        "{waited}"
    );
    let removed = ask(&socket, "DELETE", "/executions", "");
    assert!(removed.starts_with("HTTP/1.1 204"), "{removed}");
    server.signal(rustix::process::Signal::TERM);
    server.end().expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_server_that_cannot_listen_says_why() {
    let bench = Bench::new().without_engine();
    let nowhere = bench.run(&["server", "--unix", "none"]).expect(2);
    assert!(nowhere.stderr.contains("--tcp"), "{nowhere:?}");
    let open = bench.run(&["server", "--tcp", "0.0.0.0:0"]).expect(2);
    assert!(open.stderr.contains("--beyond-loopback"), "{open:?}");
    let _server = serve(&bench);
    let second = bench.run(&["server"]).expect(3);
    assert!(second.stderr.contains("socket"), "{second:?}");
}

/// The server that also listens on TCP, of which only the end is waited for.
const ON_TCP: [&str; 3] = ["server", "--tcp", "127.0.0.1:0"];

/// A limit of the size of files kills it at the first byte that it writes: after the token's file was made, and before its text.
#[test]
fn a_server_that_is_killed_while_it_writes_its_token_leaves_none() {
    let bench = Bench::new().without_engine();
    // The state directory is there already, so the token is the first thing that is written.
    let mut first = serve(&bench);
    first.child.kill().unwrap();
    first.end();
    let server = bench.command(&ON_TCP);
    let mut killed = Command::new("/bin/sh");
    killed
        .args(["-c", r#"ulimit -c 0; ulimit -f 0; exec "$@""#, "sh"])
        .arg(server.get_program())
        .args(server.get_args());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => killed.env(name, value),
            None => killed.env_remove(name),
        };
    }
    killed.current_dir(bench.project());
    assert!(killed.output().unwrap().status.signal().is_some());
    let token = bench.state().join("server/token");
    assert!(!token.exists());

    let server = bench.start(bench.command(&ON_TCP));
    assert!(
        wait_for(|| server.stdout_now().contains("listening on http://127.0.0.1:")),
        "{}",
        server.stderr_now()
    );
    assert_eq!(std::fs::read_to_string(&token).unwrap().trim().len(), 64);
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_token_that_others_can_read_is_refused_and_told_what_to_do() {
    let bench = Bench::new().without_engine();
    let file = bench.file("token", "0123456789abcdef-hunter2\n");
    let ask = [ON_TCP.as_slice(), &["--token-file", file.to_str().unwrap()]].concat();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let refused = bench.run(&ask).expect(2);
        assert!(refused.stderr.contains(&format!("chmod 600 {}", file.display())), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let server = bench.start(bench.command(&ask));
    assert!(
        wait_for(|| server.stdout_now().contains("listening on http://127.0.0.1:")),
        "{}",
        server.stderr_now()
    );
}
