//! How fast a project is copied, beside `cp -a` in the same run: `cargo run --release -p jobwright-workspace --example copy_speed [files]`.
//!
//! Prints the medians of several rounds for a tree of so many files (default 5,000) and for one of 20, and their ratios to `cp -a`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jobwright_workspace::{CopyOptions, copy_tree, remove_tree};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let large = std::env::args().nth(1).map_or(Ok(5000), |count| count.parse())?;
    println!("{:>7}  {:>12}  {:>12}  {:>6}", "files", "copy_tree", "cp -a", "ratio");
    for (files, rounds) in [(large, 9), (20, 101)] {
        let (ours, cp) = compare(files, rounds)?;
        println!("{files:>7}  {ours:>12.2?}  {cp:>12.2?}  {:>6.2}", ours.as_secs_f64() / cp.as_secs_f64());
    }
    Ok(())
}

/// The medians of `copy_tree` and of `cp -a`, in turns, so that a change of the machine's load meets both.
fn compare(files: usize, rounds: usize) -> Result<(Duration, Duration), AnyError> {
    let dir = std::env::temp_dir().join(format!("jobwright-copy-speed-{}", std::process::id()));
    let (source, dest) = (dir.join("source"), dir.join("dest"));
    make_tree(&source, files)?;
    let (mut ours, mut cp) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        copy_tree(&source, &dest, &CopyOptions::default())?;
        ours.push(start.elapsed());
        remove_tree(&dest)?;

        let start = Instant::now();
        let status = Command::new("cp").arg("-a").arg(&source).arg(&dest).status()?;
        cp.push(start.elapsed());
        if !status.success() {
            return Err("cp failed".into());
        }
        remove_tree(&dest)?;
    }
    remove_tree(&dir)?;
    Ok((median(ours), median(cp)))
}

/// Files of 4 KiB on average, 25 to a directory, and a usual `.gitignore`.
fn make_tree(source: &Path, files: usize) -> std::io::Result<()> {
    fs::create_dir_all(source)?;
    fs::write(
        source.join(".gitignore"),
        "/target\nnode_modules/\n*.log\n*.tmp\n!keep.log\n.env\ndist/**/*.map\n",
    )?;
    for file in 1..files {
        let directory = source.join(format!("d{}/e{}", file / 250, file / 25));
        if file == 1 || file % 25 == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join(format!("f{file}.rs")), vec![b'x'; (file * 7919) % 8192])?;
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
