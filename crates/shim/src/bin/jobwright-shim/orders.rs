//! What owners ask for: connections, the start of a step, and the short orders.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use jobwright_shim::codec::DecodeError;
use jobwright_shim::frame::{OutputEnd, StartInfo};
use jobwright_shim::protocol::{
    Answer, Order, PROTOCOL, PROTOCOL_MIN, Refusal, Request, StartFailure, StartOrder, StartProblem,
};
use jobwright_shim::record::{EndedBy, Instants};
use jobwright_shim::{StepId, procfs};
use rustix::pipe::PipeFlags;

use crate::connection::Connection;
use crate::poller::Source;
use crate::shim::Shim;
use crate::spawn::Streams;
use crate::spool::Spool;
use crate::step::{Pipe, Step, Waiter};
use crate::system;

/// The longest name of a step; an exit record must fit into the space reserved for it.
const MAX_STEP_ID: usize = 512;

impl Shim {
    /// Lets in everybody who waits, if it is the same user or root.
    pub(crate) fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                // Out of descriptors, or they left again: the rest is seen in the next turn.
                Err(_) => return,
            };
            let own = rustix::process::geteuid();
            let peer = rustix::net::sockopt::socket_peercred(&stream).map(|peer| peer.uid);
            if peer.is_ok_and(|uid| uid == own || uid.is_root()) {
                // A connection that cannot be polled is closed, which is what its owner then sees.
                let _ = self.add_connection(stream.into(), None);
            }
        }
    }

    /// Takes the owner of `--stdio`.
    pub(crate) fn add_stdio_owner(&mut self, (input, output): (OwnedFd, OwnedFd)) -> io::Result<()> {
        self.add_connection(input, Some(output))
    }

    fn add_connection(&mut self, input: OwnedFd, output: Option<OwnedFd>) -> io::Result<()> {
        let connection = Connection::new(input, output)?;
        self.last_connection += 1;
        self.poller.add(connection.input(), Source::Connection(self.last_connection))?;
        self.connections.insert(self.last_connection, connection);
        Ok(())
    }

    /// Reads an owner's orders and obeys them.
    pub(crate) fn serve(&mut self, key: u64) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.flush().is_err() || connection.receive().is_err() {
            return self.drop_connection(key);
        }
        while let Some(connection) = self.connections.get_mut(&key) {
            match connection.next_request() {
                Ok(Some(request)) => self.obey(key, request),
                Ok(None) => break,
                Err(DecodeError::Json(error)) => {
                    self.answer(key, 0, Err(Refusal::BadOrder { why: error.to_string() }));
                }
                Err(DecodeError::TooLong) => return self.drop_connection(key),
            }
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        // Before anything is copied, and before an owner that asked and left is let go.
        if connection.flush().is_err() || (connection.input_ended && !connection.is_stdio()) {
            return self.drop_connection(key);
        }
        self.watch_output(key);
    }

    pub(crate) fn drop_connection(&mut self, key: u64) {
        self.connections.remove(&key);
    }

    /// Makes the poller wait for what the connection is waiting for.
    pub(crate) fn watch_output(&mut self, key: u64) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let source = Source::Connection(key);
        let wanted = connection.has_unsent();
        if connection.input_ended {
            self.poller.remove(connection.input());
        }
        if wanted == connection.waits_for_output {
            return;
        }
        connection.waits_for_output = wanted;
        let result = match (connection.is_stdio(), wanted) {
            (false, _) => self.poller.set_output(connection.input(), source, wanted),
            (true, true) => self.poller.add_output(connection.output(), source),
            (true, false) => {
                self.poller.remove(connection.output());
                Ok(())
            }
        };
        if result.is_err() {
            self.drop_connection(key);
        }
    }

    fn obey(&mut self, key: u64, Request { id, order }: Request) {
        let greeted = self.connections.get(&key).is_some_and(|connection| connection.greeted);
        let result = match order {
            Order::Hello { min, max } => self.greet(key, min, max),
            _ if !greeted => Err(Refusal::HelloFirst),
            Order::Start(order) => self.start(*order),
            Order::Exec(order) => self.exec(key, *order),
            Order::Members { step } => self.members(&step),
            Order::Signal { step, signo, whole_tree } => self.signal(&step, signo, whole_tree),
            Order::Stop { step, grace_ms, forget } => match self.steps.key(&step) {
                Ok(step) => {
                    let waiter = Waiter { connection: key, request: id, forget };
                    return self.begin_stop(step, grace_ms, EndedBy::Stop, Some(waiter));
                }
                Err(refusal) => Err(refusal),
            },
            Order::CloseOutput { step } => self.close_output(&step),
            Order::Status { step } => self.steps.key(&step).map(|step| {
                self.family.survey(&self.steps);
                Answer::Status(Box::new(self.status(step)))
            }),
            Order::List => {
                self.family.survey(&self.steps);
                Ok(Answer::List(self.steps.keys().into_iter().map(|step| self.status(step)).collect()))
            }
            Order::Forget { step } => self.forget(&step),
            Order::Shutdown { grace_ms } => {
                self.answer(key, id, Ok(Answer::Done));
                return self.shut_down(grace_ms);
            }
        };
        self.answer(key, id, result);
    }

    fn greet(&mut self, key: u64, min: u32, max: u32) -> Result<Answer, Refusal> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let protocol = max.min(PROTOCOL);
        if protocol < min.max(PROTOCOL_MIN) {
            return Err(Refusal::Protocol { min: PROTOCOL_MIN, max: PROTOCOL, version });
        }
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.greeted = true;
        }
        Ok(Answer::Hello { protocol, version, pid: std::process::id() })
    }

    fn start(&mut self, order: StartOrder) -> Result<Answer, Refusal> {
        if self.shutting_down {
            return Err(Refusal::ShuttingDown);
        }
        if order.step.as_str().len() > MAX_STEP_ID {
            return Err(Refusal::BadOrder { why: format!("a step's name has at most {MAX_STEP_ID} bytes") });
        }
        if self.steps.key(&order.step).is_ok() {
            return Err(Refusal::StepExists { step: order.step });
        }
        let folder = |error: io::Error| {
            let subject = order.files.dir.display().to_string();
            StartFailure { problem: StartProblem::Folder, subject, errno: error.raw_os_error().unwrap_or(0) }
        };
        let key = self.steps.next_key();
        let token = format!("{}-{key}", self.token_base);
        let spool = Spool::create(&order.files, &token).map_err(|error| Refusal::Start(folder(error)))?;
        self.start_in(&order, (key, token), spool).map_err(|failure| {
            // An output without a step would look like one that is still written.
            let _ = std::fs::remove_file(order.files.output());
            Refusal::Start(failure)
        })
    }

    fn start_in(
        &mut self,
        order: &StartOrder,
        (key, token): (u64, String),
        mut spool: Spool,
    ) -> Result<Answer, StartFailure> {
        let (stdout, stderr, pid) = self.spawn_with_pipes(order, &token, key)?;
        let started = Instants::now();
        // The child was not waited for, so its entry is there even if it already ended.
        let start_time = procfs::stat(pid).map_or(0, |stat| stat.start_time);
        let info = StartInfo {
            version: 1,
            step: order.step.clone(),
            pid,
            start_time,
            boot_id: self.boot_id.clone(),
            token: token.clone(),
            label: order.label.clone(),
            shim: self.dir.clone(),
        };
        if let Err(error) = spool.start(info, started.realtime_ns) {
            // Nothing but the program's first instructions ran; a full disk must be an error now, not a lost log.
            system::kill(-(pid as i32), libc::SIGKILL);
            let errno = error.raw_os_error().unwrap_or(0);
            let subject = order.files.dir.display().to_string();
            return Err(StartFailure { problem: StartProblem::Folder, subject, errno });
        }
        let inode = |pipe: &Pipe| rustix::fs::fstat(&pipe.descriptor).map_or(0, |stat| stat.st_ino);
        let step = Step {
            id: order.step.clone(),
            files: order.files.clone(),
            token: token.clone(),
            confinement: confinement(order),
            pid,
            start_time,
            started,
            deadline: order.deadline_ns,
            cgroups: order.cgroups.clone(),
            grace_ms: order.grace_ms,
            reap: order.reap,
            pipe_inodes: [inode(&stdout), inode(&stderr)],
            stdout: Some(stdout),
            stderr: Some(stderr),
            spool,
            exit: None,
            record_retry: None,
            is_gone: false,
            stopping: None,
        };
        self.steps.insert(key, step);
        Ok(Answer::Started { pid, start_time, token })
    }

    fn spawn_with_pipes(
        &mut self,
        order: &StartOrder,
        token: &str,
        key: u64,
    ) -> Result<(Pipe, Pipe, u32), StartFailure> {
        let resources = |error: io::Error| StartFailure {
            problem: StartProblem::Resources,
            subject: order.argv.first().cloned().unwrap_or_default(),
            errno: error.raw_os_error().unwrap_or(0),
        };
        let pipe = |source: Source| -> io::Result<(Pipe, OwnedFd)> {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            // Only the shim's end: the two ends have their own flags.
            rustix::io::ioctl_fionbio(&read, true)?;
            self.poller.add(&read, source)?;
            Ok((Pipe { descriptor: read, enlarged: false }, write))
        };
        let (stdout, stdout_of_step) = pipe(Source::Stdout(key)).map_err(resources)?;
        let (stderr, stderr_of_step) = pipe(Source::Stderr(key)).map_err(resources)?;
        let (output, error) = (stdout_of_step.as_fd(), stderr_of_step.as_fd());
        let script = order.script.as_deref().map(system::sealed_text).transpose().map_err(resources)?;
        let script = script.as_ref().map(AsFd::as_fd);
        let streams = Streams { input: None, output, error, script, terminal: false };
        let pid = self.spawner.spawn(order, token, &streams)?;
        Ok((stdout, stderr, pid))
    }

    fn signal(&mut self, id: &StepId, signo: i32, whole_tree: bool) -> Result<Answer, Refusal> {
        let key = self.steps.key(id)?;
        if !(1..=64).contains(&signo) {
            return Err(Refusal::BadOrder { why: format!("{signo} is not the number of a signal") });
        }
        let not_running = || Refusal::NotRunning { step: id.clone() };
        if whole_tree {
            self.family.survey(&self.steps);
            return if self.family.signal(key, &self.steps, signo) > 0 {
                Ok(Answer::Done)
            } else {
                Err(not_running())
            };
        }
        let step = self.steps.get(key).filter(|step| step.is_running()).ok_or_else(not_running)?;
        system::kill(step.pid as i32, signo);
        Ok(Answer::Done)
    }

    fn close_output(&mut self, id: &StepId) -> Result<Answer, Refusal> {
        let key = self.steps.key(id)?;
        if self.steps.get(key).is_some_and(Step::is_running) {
            return Err(Refusal::StillRunning { step: id.clone() });
        }
        self.end_output(key, OutputEnd::Closed);
        Ok(Answer::Done)
    }

    fn forget(&mut self, id: &StepId) -> Result<Answer, Refusal> {
        let key = self.steps.key(id)?;
        self.family.survey(&self.steps);
        let busy =
            self.steps.get(key).is_some_and(|step| step.stopping.is_some() || !step.spool.is_complete());
        if busy || !self.family.members(key, &self.steps).is_empty() {
            return Err(Refusal::StillRunning { step: id.clone() });
        }
        self.steps.remove(key);
        Ok(Answer::Done)
    }

    fn status(&self, key: u64) -> jobwright_shim::StepStatus {
        let step = self.steps.get(key).expect("the key was just looked up");
        let processes = if step.is_gone { 0 } else { self.family.members(key, &self.steps).len() };
        step.status(processes)
    }
}

/// What an order says of how a step runs, without what runs, which may be large.
fn confinement(order: &StartOrder) -> StartOrder {
    StartOrder {
        step: order.step.clone(),
        argv: Vec::new(),
        env: BTreeMap::new(),
        script: None,
        cwd: order.cwd.clone(),
        files: order.files.clone(),
        label: String::new(),
        run_as: order.run_as.clone(),
        limits: order.limits.clone(),
        cgroups: order.cgroups.clone(),
        ..*order
    }
}

/// A span that an owner gave in milliseconds.
pub(crate) fn nanoseconds(ms: u64) -> u64 {
    u64::try_from(Duration::from_millis(ms).as_nanos()).unwrap_or(u64::MAX)
}
