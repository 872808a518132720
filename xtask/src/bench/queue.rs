//! What queues cost over the bare statements of their databases. Not for measuring: no program of ours can be started that does nothing else, so the
//! store's example does it (`crates/store/examples/queue_cost`), and its figures are read here.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::table::Row;
use crate::repository;

/// At most twice the time of the bare statements; four callers at once in half the time of one; 5 ms for a job of 100,000.
pub(crate) fn cost(rounds: usize) -> Result<Vec<Row>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "-p", "jobwright-store", "--example", "queue_cost", "--"]);
    cargo.arg(rounds.to_string()).current_dir(repository::root()).stderr(std::process::Stdio::inherit());
    let output = cargo.output()?;
    if !output.status.success() {
        bail!("the example queue_cost ended with {}", output.status);
    }
    let mut rows = rows(&String::from_utf8(output.stdout)?)?;
    if !rows.iter().any(|row| row.name.starts_with("PostgreSQL")) {
        rows.push(Row::unmeasured("queues in PostgreSQL", "it is not installed".to_owned()));
    }
    Ok(rows)
}

/// One row a line: what, measured, floor or `-`, limit.
fn rows(text: &str) -> Result<Vec<Row>> {
    text.lines().map(|line| row(line).with_context(|| format!("{line:?} is no figure"))).collect()
}

fn row(line: &str) -> Option<Row> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [name, measured, floor, limit] = columns[..] else { return None };
    let time = |text: &str| text.parse().ok().map(Duration::from_nanos);
    let (measured, limit) = (time(measured)?, time(limit)?);
    Some(if floor == "-" {
        Row::bounded(name, measured, limit)
    } else {
        Row { floor: Some(super::table::Quantity::Time(time(floor)?)), ..Row::bounded(name, measured, limit) }
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    #[test]
    fn figures_are_rows() {
        let rows =
            rows("SQLite: a push\t3000000\t2000000\t4000000\nSQLite: p99\t6000000\t-\t5000000\n").unwrap();
        let table = Table { rows }.to_string();
        assert!(table.contains("3.00 ms      2.00 ms    1.50      4.00 ms  holds"), "{table}");
        assert!(table.contains("6.00 ms            -       -      5.00 ms  BROKEN"), "{table}");
    }

    #[test]
    fn what_is_no_figure_is_named() {
        for line in ["what", "what\t1\t2", "what\tx\t-\t2"] {
            let error = rows(line).unwrap_err().to_string();
            assert!(error.contains("is no figure"), "{error}");
        }
    }
}
