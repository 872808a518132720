//! Reaching into a running dummy step.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_model::{MappedPort, NetInfo, Port, Step, TaskUuid};

use super::backend::Dummy;
use super::calls::Verb;
use super::exec;
use super::running::Running;
use super::scenario::Check;
use crate::{Error, ExecRequest, ExecSession, Health, Result, StepControl, StepStats};

impl Dummy {
    /// The started step, if it still runs: there is no process to reach in one that ended.
    fn alive(&self, verb: Verb, step: &Step, task: &TaskUuid) -> Result<Arc<Running>> {
        self.called(verb, Some(task), Some(step))?;
        let running = self.running(step, task)?;
        if running.runs() { Ok(running) } else { Err(Error::unknown_step(step, task)) }
    }
}

#[async_trait]
impl StepControl for Dummy {
    /// Knows the programs `echo`, `cat`, `printenv`, `true`, `false`, `sleep`, and `sh -c` with one of them; any other one is not found
    /// (127).
    async fn exec(&self, step: &Step, task: &TaskUuid, request: ExecRequest) -> Result<Box<dyn ExecSession>> {
        self.alive(Verb::Exec, step, task)?;
        exec::start(step, request)
    }

    async fn pause(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.alive(Verb::Pause, step, task)?.stop(true);
        Ok(())
    }

    async fn resume(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.alive(Verb::Resume, step, task)?.stop(false);
        Ok(())
    }

    async fn signal(&self, step: &Step, task: &TaskUuid, signal: i32) -> Result<()> {
        self.alive(Verb::Signal, step, task)?.signal(signal);
        Ok(())
    }

    async fn stats(&self, step: &Step, task: &TaskUuid) -> Result<StepStats> {
        let stats = self.alive(Verb::Stats, step, task)?.scenario.stats;
        Ok(StepStats { cpu: stats.cpu, memory: stats.memory, memory_limit: 0, pids: 1 })
    }

    /// An address that is for documentation only (RFC 5737); each of the step's ports at the same number of the host itself.
    async fn network(&self, step: &Step, task: &TaskUuid) -> Result<NetInfo> {
        self.alive(Verb::Network, step, task)?;
        let mapped = |port: &Port| MappedPort {
            host_ip: "127.0.0.1".to_owned(),
            host_port: port.number,
            executor_port: port.number,
            protocol: if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.to_lowercase() },
        };
        Ok(NetInfo {
            network: "dummy".to_owned(),
            ip_address: "192.0.2.1".to_owned(),
            cidr: "192.0.2.0/24".to_owned(),
            mapped_ports: step.ports.iter().map(mapped).collect(),
        })
    }

    async fn health(&self, step: &Step, task: &TaskUuid) -> Result<Health> {
        let running = self.alive(Verb::Health, step, task)?;
        Ok(match running.scenario.health {
            None => Health::Unchecked,
            Some(Check::Fails) => Health::Unhealthy,
            Some(Check::SucceedsAfter(time)) if running.began.elapsed() >= time => Health::Healthy,
            Some(Check::SucceedsAfter(_)) => Health::Starting,
        })
    }
}
