//! How fast output gets into the event log: `cargo run --release -p jobwright-events --example log_throughput [FOLDER]`.
//! Prints, for some shapes of output, the log's speed and that of a bare loop of writes of the same bytes.
#![allow(clippy::unwrap_used, reason = "a measurement that fails says why and stops")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use jobwright_events::{Bus, EventKind, EventLog, ExecKind, LogOptions, OutputPosition, StreamKind};
use jobwright_model::RunId;

const TOTAL: usize = 1 << 30;

fn gib_per_second(start: Instant) -> f64 {
    TOTAL as f64 / f64::from(1 << 30) / start.elapsed().as_secs_f64()
}

fn text(line: usize, size: usize) -> Bytes {
    (0..size).map(|at| if at % line == line - 1 { b'\n' } else { b'a' + (at % 26) as u8 }).collect()
}

fn to_log(folder: &Path, chunk: &Bytes) -> f64 {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let run_id = RunId::generate();
    let log = EventLog::open(folder.path(), &run_id, LogOptions::default()).unwrap();
    let bus = Bus::new(run_id);
    bus.attach("event log", log.sink());
    let start = Instant::now();
    for round in 0..TOTAL / chunk.len() {
        bus.emit(EventKind::LogLine {
            job: Some("build".into()),
            step: Some("cc".into()),
            exec: ExecKind::Concurrent,
            stream: StreamKind::Stdout,
            data: chunk.clone(),
            position: Some(OutputPosition::at(round as u64)),
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.flush()).unwrap();
    gib_per_second(start)
}

fn to_file(folder: &Path, chunk: &Bytes) -> f64 {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let start = Instant::now();
    write_all(&mut file, chunk);
    gib_per_second(start)
}

fn write_all(file: &mut File, chunk: &[u8]) {
    for _ in 0..TOTAL / chunk.len() {
        file.write_all(black_box(chunk)).unwrap();
    }
}

fn main() {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{:32} {:>10} {:>10} {:>7}", "output", "log GiB/s", "file GiB/s", "ratio");
    let shapes = [
        ("256 KiB chunks, lines of 80", text(80, 256 << 10)),
        ("64 KiB chunks, lines of 80", text(80, 64 << 10)),
        ("64 KiB chunks, lines of 20", text(20, 64 << 10)),
        ("64 KiB chunks, `yes`", text(2, 64 << 10)),
        ("64 KiB chunks, /dev/zero", vec![0; 64 << 10].into()),
        ("4 KiB chunks, lines of 80", text(80, 4 << 10)),
        ("64 KiB chunks, binary", (0..64 << 10).map(|at: u32| ((at * 7919) >> 3) as u8).collect()),
    ];
    for (name, chunk) in shapes {
        let (log, file) = (to_log(&folder, &chunk), to_file(&folder, &chunk));
        println!("{name:32} {log:>10.2} {file:>10.2} {:>7.2}", log / file);
    }
}
