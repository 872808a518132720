//! An executor in memory: executions do what a test says, and a call fails when a test says so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use std::future::ready;

use futures_util::{StreamExt, stream};
use jobwright_executor::{DEFAULT_WAIT, Error, Executor, OutputChunk, OutputStream, Result};
use jobwright_model::{
    Cause, Ending, ExecOutput, ExecutionId, ExecutionInfo, ExecutionListItem, ExecutionRequest,
    ExecutionResult, ExecutionStats, ExecutionStatus, JobId, LogStreamRequest, MappedPort, NetInfo,
    StreamKind,
};
use tokio::sync::{Semaphore, watch};

struct Entry {
    request: ExecutionRequest,
    status: ExecutionStatus,
    output: Vec<(StreamKind, Bytes)>,
    result: Option<ExecutionResult>,
}

struct Inner {
    entries: Mutex<BTreeMap<ExecutionId, Entry>>,
    fails: Mutex<Option<Error>>,
    changed: watch::Sender<u64>,
    /// A start waits for one of these.
    starts: Semaphore,
    /// A command waits for one of these.
    commands: Semaphore,
    /// What the next command writes.
    writing: Mutex<Option<ExecOutput>>,
    /// How many calls that take time have begun.
    begun: Mutex<BTreeMap<&'static str, usize>>,
    /// How many streams of output are held.
    streams: Mutex<usize>,
    /// How many bytes of output were pulled.
    pulled: AtomicU64,
    /// How long the last removal was given.
    removal: Mutex<Option<Duration>>,
}

#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

pub(crate) fn id(text: &str) -> ExecutionId {
    ExecutionId::new(text).unwrap()
}

pub(crate) fn job(text: &str) -> JobId {
    JobId::new(text).unwrap()
}

pub(crate) fn result(code: i32) -> ExecutionResult {
    let cause = if code == 0 { Cause::Success } else { Cause::ExitCode };
    ExecutionResult {
        stdout: "out".into(),
        stderr: String::new(),
        left_out: 0,
        missing: 0,
        exit_code: code,
        error_msg: String::new(),
        killed: false,
        ending: Ending::new(cause),
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            entries: Mutex::default(),
            fails: Mutex::default(),
            changed: watch::Sender::default(),
            starts: Semaphore::new(1_000_000),
            commands: Semaphore::new(1_000_000),
            writing: Mutex::default(),
            begun: Mutex::default(),
            streams: Mutex::default(),
            pulled: AtomicU64::new(0),
            removal: Mutex::default(),
        }))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ExecutionId, Entry>> {
        self.0.entries.lock().unwrap()
    }

    fn change<T>(&self, name: &ExecutionId, change: impl FnOnce(&mut Entry) -> T) -> Result<T> {
        let outcome = self.entries().get_mut(name).map(change).ok_or_else(|| Error::NotFound(name.clone()));
        self.0.changed.send_modify(|count| *count += 1);
        outcome
    }

    /// An execution that runs.
    pub(crate) fn runs(&self, name: &str) {
        let request = ExecutionRequest::new(job("j"), id(name), jobwright_model::SpecConfig::new("fake"));
        self.take(request);
    }

    fn take(&self, request: ExecutionRequest) {
        let name = request.execution_id.clone();
        let entry = Entry { request, status: ExecutionStatus::Running, output: Vec::new(), result: None };
        self.entries().insert(name, entry);
        self.0.changed.send_modify(|count| *count += 1);
    }

    pub(crate) fn writes(&self, name: &str, stream: StreamKind, bytes: impl Into<Bytes>) {
        self.change(&id(name), |entry| entry.output.push((stream, bytes.into()))).unwrap();
    }

    pub(crate) fn ends(&self, name: &str, code: i32) {
        self.end(&id(name), code).unwrap();
    }

    fn end(&self, name: &ExecutionId, code: i32) -> Result<()> {
        self.change(name, |entry| {
            let result = result(code);
            entry.status = result.status();
            entry.result = Some(result);
        })
    }

    /// The next call fails so.
    pub(crate) fn fails(&self, error: Error) {
        *self.0.fails.lock().unwrap() = Some(error);
    }

    fn fail(&self) -> Result<()> {
        self.0.fails.lock().unwrap().take().map_or(Ok(()), Err)
    }

    pub(crate) fn starts_wait(&self) {
        self.0.starts.forget_permits(usize::MAX);
    }

    pub(crate) fn starts_go_on(&self) {
        self.0.starts.add_permits(1);
    }

    pub(crate) fn commands_wait(&self) {
        self.0.commands.forget_permits(usize::MAX);
    }

    pub(crate) fn commands_go_on(&self) {
        self.0.commands.add_permits(1);
    }

    /// The next command writes this.
    pub(crate) fn command_writes(&self, output: ExecOutput) {
        *self.0.writing.lock().unwrap() = Some(output);
    }

    /// Returns as soon as such a call has begun.
    pub(crate) async fn until_begun(&self, call: &'static str) {
        self.until_so_many_begun(1, call).await;
    }

    /// Returns as soon as so many such calls have begun.
    pub(crate) async fn until_so_many_begun(&self, count: usize, call: &'static str) {
        self.until(|fake| fake.0.begun.lock().unwrap().get(call).is_some_and(|begun| *begun >= count)).await;
    }

    fn begins(&self, call: &'static str) {
        *self.0.begun.lock().unwrap().entry(call).or_default() += 1;
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// How many streams of output are held.
    pub(crate) fn streams(&self) -> usize {
        *self.0.streams.lock().unwrap()
    }

    pub(crate) fn pulled(&self) -> u64 {
        self.0.pulled.load(Ordering::SeqCst)
    }

    /// How long the last removal was given, since this was asked last.
    pub(crate) fn removed_within(&self) -> Option<Duration> {
        self.0.removal.lock().unwrap().take()
    }

    pub(crate) fn request(&self, name: &str) -> Option<ExecutionRequest> {
        self.entries().get(&id(name)).map(|entry| entry.request.clone())
    }

    /// Returns as soon as the executor's state is such.
    pub(crate) async fn until(&self, mut such: impl FnMut(&Self) -> bool) {
        let mut changed = self.0.changed.subscribe();
        while !such(self) {
            changed.changed().await.unwrap();
        }
    }

    /// The status, when it has not concluded.
    fn open(&self, name: &ExecutionId) -> Result<ExecutionStatus> {
        self.fail()?;
        self.change(name, |entry| match entry.result.clone() {
            None => Ok(entry.status),
            Some(result) => Err(Error::AlreadyConcluded { id: name.clone(), result: Box::new(result) }),
        })?
    }

    fn set(&self, name: &ExecutionId, from: ExecutionStatus, to: ExecutionStatus) -> Result<()> {
        let status = self.open(name)?;
        if status != from {
            return Err(Error::WrongStatus { id: name.clone(), status, needs: "it has to be otherwise" });
        }
        self.change(name, |entry| entry.status = to)
    }

    /// The output from that byte on.
    fn output(&self, request: LogStreamRequest, from: u64) -> Result<OutputStream> {
        self.fail()?;
        let name = request.execution_id;
        let (own, there) =
            self.change(&name, |entry| (entry.request.job_id.clone(), entry.output.clone()))?;
        if own != request.job_id {
            return Err(Error::OtherJob { id: name, own, given: request.job_id });
        }
        let first = if request.tail { there.len() } else { 0 };
        let offset = there[..first].iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        let held = Held::new(self);
        Ok(Box::pin(
            stream::unfold((first, offset), move |(number, offset)| {
                let (fake, name) = (held.0.clone(), name.clone());
                async move {
                    let mut found = (None, false);
                    fake.until(|fake| {
                        found = fake.piece(&name, number);
                        found.0.is_some() || !found.1 || !request.follow
                    })
                    .await;
                    if let Err(error) = fake.fail() {
                        return Some((Err(error), (usize::MAX, offset)));
                    }
                    let (stream, bytes) = found.0?;
                    let (length, skipped) = (bytes.len() as u64, from.saturating_sub(offset));
                    let bytes = bytes.slice(usize::try_from(skipped.min(length)).unwrap()..);
                    fake.0.pulled.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                    let chunk = OutputChunk { stream, bytes, offset: offset + skipped.min(length) };
                    Some((Ok(chunk), (number + 1, offset + length)))
                }
            })
            .filter(|chunk| ready(!chunk.as_ref().is_ok_and(|chunk| chunk.bytes.is_empty()))),
        ))
    }

    /// The piece with this number; none when there is none yet, and whether there may be one.
    fn piece(&self, name: &ExecutionId, number: usize) -> (Option<(StreamKind, Bytes)>, bool) {
        let entries = self.entries();
        let Some(entry) = entries.get(name) else { return (None, false) };
        (entry.output.get(number).cloned(), entry.result.is_none())
    }
}

/// A stream of output is held as long as this.
struct Held(Fake);

impl Held {
    fn new(fake: &Fake) -> Self {
        *fake.0.streams.lock().unwrap() += 1;
        Self(fake.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.0.streams.lock().unwrap() -= 1;
        self.0.0.changed.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl Executor for Fake {
    fn get_id(&self) -> String {
        "fake-1".into()
    }

    async fn start(&self, request: ExecutionRequest) -> Result<()> {
        self.fail()?;
        self.begins("start");
        self.0.starts.acquire().await.unwrap().forget();
        let name = request.execution_id.clone();
        match self.entries().get(&name).map(|entry| entry.status.is_terminal()) {
            Some(true) => return Err(Error::AlreadyCompleted(name)),
            Some(false) => return Err(Error::AlreadyStarted(name)),
            None => {}
        }
        self.take(request);
        Ok(())
    }

    async fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult> {
        let name = request.execution_id.clone();
        self.start(request).await?;
        self.wait(&name).await
    }

    async fn wait(&self, name: &ExecutionId) -> Result<ExecutionResult> {
        self.open(name)?;
        self.begins("wait");
        let mut found = None;
        self.until(|fake| {
            found = fake.entries().get(name).map(|entry| entry.result.clone());
            !matches!(found, Some(None))
        })
        .await;
        found.flatten().ok_or_else(|| Error::NotFound(name.clone()))
    }

    async fn cancel(&self, name: &ExecutionId) -> Result<()> {
        self.open(name)?;
        self.end(name, 143)
    }

    async fn pause(&self, name: &ExecutionId) -> Result<()> {
        self.set(name, ExecutionStatus::Running, ExecutionStatus::Paused)
    }

    async fn resume(&self, name: &ExecutionId) -> Result<()> {
        self.set(name, ExecutionStatus::Paused, ExecutionStatus::Running)
    }

    async fn remove(&self, name: &ExecutionId, time: Duration) -> Result<()> {
        self.fail()?;
        *self.0.removal.lock().unwrap() = Some(time);
        self.change(name, |_| ())?;
        self.entries().remove(name);
        self.0.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn cleanup(&self) -> Result<()> {
        self.fail()?;
        self.entries().clear();
        Ok(())
    }

    async fn get_log_stream(&self, request: LogStreamRequest) -> Result<OutputStream> {
        self.output(request, 0)
    }

    async fn get_log_stream_from(&self, request: LogStreamRequest, from: u64) -> Result<OutputStream> {
        self.output(request, from)
    }

    async fn get_log_length(&self, request: LogStreamRequest) -> Result<u64> {
        self.fail()?;
        let there = self.change(&request.execution_id, |entry| entry.output.clone())?;
        Ok(there.iter().map(|(_, bytes)| bytes.len() as u64).sum())
    }

    async fn list(&self) -> Result<Vec<ExecutionListItem>> {
        self.fail()?;
        let item = |(name, entry): (&ExecutionId, &Entry)| ExecutionListItem {
            execution_id: name.clone(),
            job_id: entry.request.job_id.clone(),
            status: entry.status,
            running: entry.result.is_none(),
        };
        Ok(self.entries().iter().map(item).collect())
    }

    async fn get_status(&self, name: &ExecutionId) -> Result<ExecutionStatus> {
        self.fail()?;
        self.change(name, |entry| entry.status)
    }

    async fn wait_for_status(
        &self,
        name: &ExecutionId,
        status: ExecutionStatus,
        time: Option<Duration>,
    ) -> Result<()> {
        let time = time.unwrap_or(DEFAULT_WAIT);
        self.get_status(name).await?;
        let wait = self.until(|fake| fake.entries().get(name).is_some_and(|entry| entry.status == status));
        if tokio::time::timeout(time, wait).await.is_ok() {
            return Ok(());
        }
        let now = self.get_status(name).await?;
        Err(Error::DidNotReach { id: name.clone(), status, seconds: time.as_secs_f64(), now })
    }

    async fn exec(&self, name: &ExecutionId, argv: &[String]) -> Result<ExecOutput> {
        self.open(name)?;
        self.begins("exec");
        self.0.commands.acquire().await.unwrap().forget();
        self.begins("the end of exec");
        let usual = ExecOutput { exit_code: 7, stdout: argv.join(" "), stderr: String::new(), left_out: 0 };
        Ok(self.0.writing.lock().unwrap().take().unwrap_or(usual))
    }

    async fn stats(&self, name: &ExecutionId) -> Result<ExecutionStats> {
        self.open(name)?;
        Ok(ExecutionStats { cpu_ns: 1, memory: 2, memory_limit: 3, pids: 4, timestamp: 5 })
    }

    async fn get_info(&self, name: &ExecutionId) -> Result<ExecutionInfo> {
        self.fail()?;
        self.change(name, |entry| ExecutionInfo {
            execution_id: name.clone(),
            job_id: entry.request.job_id.clone(),
            runtime: "fake".into(),
            image: String::new(),
            status: entry.status,
        })
    }

    async fn get_net_info(&self, name: &ExecutionId) -> Result<NetInfo> {
        self.open(name)?;
        let port = MappedPort {
            host_ip: "127.0.0.1".into(),
            host_port: 8080,
            executor_port: 80,
            protocol: "tcp".into(),
        };
        Ok(NetInfo {
            network: "n".into(),
            ip_address: "10.0.0.2".into(),
            cidr: "10.0.0.0/24".into(),
            mapped_ports: vec![port],
        })
    }
}
