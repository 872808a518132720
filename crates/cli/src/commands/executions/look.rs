//! What can be seen of executions: a list, one of them, what it uses.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jobwright_executor::{Error, Executions, Executor};
use jobwright_journal::StateDir;
use jobwright_model::{
    ExecutionId, ExecutionInfo, ExecutionResult, ExecutionStatus, MappedPort, NetInfo, RunId,
};
use jobwright_workspace::Size;
use serde_json::{Value, json};

use super::{Opened, conclusion};
use crate::args::{ExecutionsLsArgs, ExecutionsShowArgs};
use crate::commands::cache::table;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

/// An execution in a list.
struct Row {
    info: ExecutionInfo,
    begun: Option<Timestamp>,
}

pub(super) async fn list(args: ExecutionsLsArgs, state: &StateDir) -> Result<Exit, Failure> {
    let executor = Opened::new(args.backends, state)?.executor;
    let mut rows = Vec::new();
    for item in executor.list().await? {
        let wanted = args.status.as_deref().is_none_or(|status| status == item.status.as_str());
        if !wanted {
            continue;
        }
        let found = executor.get_info(&item.execution_id).await;
        match found.and_then(|info| Ok((info, executor.run_of(&item.execution_id)?))) {
            Ok((info, run)) => rows.push(Row { info, begun: begun(&run) }),
            // Somebody removed it meanwhile.
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        sink::json(&rows.iter().map(Row::as_json).collect::<Vec<_>>());
    } else if rows.is_empty() {
        sink::say("there are no executions");
    } else {
        let rows: Vec<[String; 5]> = rows.iter().map(Row::cells).collect();
        table(["ID", "JOB", "BACKEND", "STATUS", "STARTED"], &rows);
    }
    Ok(Exit::Success)
}

impl Row {
    fn as_json(&self) -> Value {
        let ExecutionInfo { execution_id, job_id, runtime, image, status } = &self.info;
        json!({
            "execution_id": execution_id,
            "job_id": job_id,
            "backend": runtime,
            "image": image,
            "status": status,
            "running": matches!(status, ExecutionStatus::Running | ExecutionStatus::Paused),
            "started": self.begun,
        })
    }

    fn cells(&self) -> [String; 5] {
        let ExecutionInfo { execution_id, job_id, runtime, status, .. } = &self.info;
        let begun = self.begun.map(moment).unwrap_or_default();
        [execution_id.to_string(), job_id.to_string(), runtime.clone(), status.to_string(), begun]
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// When an execution was taken in: its run's id begins with it.
fn begun(run: &RunId) -> Option<Timestamp> {
    let (time, _) = run.as_str().split_once('-')?;
    let parsed = strtime::parse("%Y%m%dT%H%M%SZ", time).ok()?.to_datetime().ok()?;
    Some(parsed.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

pub(super) async fn show(args: ExecutionsShowArgs, state: &StateDir) -> Result<Exit, Failure> {
    let (id, opened) = (args.of.id, Opened::new(args.of.backends, state)?);
    let executor = &opened.executor;
    let info = executor.get_info(&id).await?;
    let row = Row { begun: begun(&executor.run_of(&id)?), info };
    let (network, result) = match row.info.status.is_terminal() {
        true => (None, Some(conclusion(executor, &id).await?)),
        false => (network(&opened, &id).await, None),
    };
    if args.json {
        let mut shown = row.as_json();
        shown["network"] = json!(network);
        shown["result"] = json!(result);
        sink::json(&shown);
    } else {
        lines(&row, network.as_ref(), result.as_ref()).iter().for_each(|(name, text)| {
            sink::say(format_args!("{name:<9} {text}"));
        });
    }
    Ok(Exit::Success)
}

/// How it is reached, as far as that can be told: no reason to say nothing of the rest.
async fn network(opened: &Opened, id: &ExecutionId) -> Option<NetInfo> {
    let executor: &Executions = opened.reaching(id).await.ok()?;
    executor.get_net_info(id).await.ok()
}

fn lines(
    row: &Row,
    network: Option<&NetInfo>,
    result: Option<&ExecutionResult>,
) -> Vec<(&'static str, String)> {
    let ExecutionInfo { execution_id, job_id, runtime, image, status } = &row.info;
    let mut lines = vec![
        ("id", execution_id.to_string()),
        ("job", job_id.to_string()),
        ("backend", runtime.clone()),
        ("image", image.clone()),
        ("status", status.to_string()),
        ("started", row.begun.map(moment).unwrap_or_default()),
    ];
    if let Some(NetInfo { network, ip_address, mapped_ports, .. }) = network {
        lines.push(("network", network.clone()));
        lines.push(("address", ip_address.clone()));
        lines.extend(mapped_ports.iter().map(|port| ("port", mapped(port))));
    }
    if let Some(result) = result {
        lines.push(("ended", result.ending.finished.map(moment).unwrap_or_default()));
        lines.push(("exit code", result.exit_code.to_string()));
        lines.push(("error", result.error_msg.clone()));
    }
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

fn mapped(port: &MappedPort) -> String {
    let MappedPort { host_ip, host_port, executor_port, protocol } = port;
    format!("{host_ip}:{host_port} -> {executor_port}/{protocol}")
}

pub(super) async fn stats(args: ExecutionsShowArgs, state: &StateDir) -> Result<Exit, Failure> {
    let (id, opened) = (args.of.id, Opened::new(args.of.backends, state)?);
    let stats = opened.reaching(&id).await?.stats(&id).await?;
    if args.json {
        sink::json(&stats);
        return Ok(Exit::Success);
    }
    let limit = match stats.memory_limit {
        0 => "none".to_owned(),
        bytes => Size(bytes).to_string(),
    };
    let processor = format!("{:.3} s", stats.cpu_ns as f64 / 1e9);
    let row = [id.to_string(), processor, Size(stats.memory).to_string(), limit, stats.pids.to_string()];
    table(["ID", "PROCESSOR TIME", "MEMORY", "LIMIT", "PIDS"], &[row]);
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_when_it_was_begun() {
        let run = RunId::new("20261129T210509Z-aaaaaa").unwrap();
        assert_eq!(begun(&run).map(moment).as_deref(), Some("2026-11-29 21:05:09Z"));
    }
}
