//! `jobwright server`: the real program over its socket, killed and begun again.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

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
    let open = bench.run(&["server", "--tcp", "0.0.0.0:0"]).expect(3);
    assert!(open.stderr.contains("loopback"), "{open:?}");
    let _server = serve(&bench);
    let second = bench.run(&["server"]).expect(3);
    assert!(second.stderr.contains("socket"), "{second:?}");
}
