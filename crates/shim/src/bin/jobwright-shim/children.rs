//! What steps write and how they end: copying pipes to spools, waiting for children, writing exit records.

use std::io;

use jobwright_shim::frame::{OutputEnd, Stream};
use jobwright_shim::protocol::Notice;
use jobwright_shim::record::{EndedBy, ExitRecord, ExitStatus, Instants, Usage};
use rustix::io::Errno;

use crate::cgroup;
use crate::shim::Shim;
use crate::step::Step;
use crate::system;

/// What one pipe may take of a turn, so that a greedy step does not starve the others.
const TURN: usize = 1 << 20;
/// What one pipe may hold at most, and so what may be left of an ended process, twice over.
const LAST_TURN: usize = 4 << 20;
/// A default pipe that is read full is too small for its writer.
const DEFAULT_PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 1 << 20;
/// How long an exit record that could not be written is left alone, in nanoseconds.
const RETRY_NS: u64 = 200_000_000;

impl Shim {
    /// Copies what a step wrote, at most one turn's worth.
    pub(crate) fn copy(&mut self, key: u64, stream: Stream) {
        self.copy_at_most(key, stream, TURN);
        // That of a running step is marked when it ends, which is mostly at once: then one turn tells both.
        let is_at_its_end =
            |step: &Step| step.pipes_are_closed() && !step.is_running() && !step.spool.is_complete();
        if self.steps.get(key).is_some_and(is_at_its_end) {
            self.end_output(key, OutputEnd::Eof);
        }
    }

    fn copy_at_most(&mut self, key: u64, stream: Stream, most: usize) {
        let Some(step) = self.steps.get_mut(key) else { return };
        let mut copied = 0;
        while copied < most {
            let Some(pipe) = step.pipe(stream) else { return };
            let length = match rustix::io::read(&pipe.descriptor, &mut self.buffer) {
                Ok(0) => {
                    *step.pipe(stream) = None;
                    return;
                }
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            if length >= DEFAULT_PIPE && !pipe.enlarged {
                // The kernel may refuse to an unprivileged user who has many; then it stays as it is.
                let _ = rustix::pipe::fcntl_setpipe_size(&pipe.descriptor, LARGE_PIPE);
                pipe.enlarged = true;
            }
            let now = Instants::now();
            step.spool.append(stream, &self.buffer[..length], now.realtime_ns, now.boottime_ns);
            copied += length;
        }
    }

    /// Takes what is still in the pipes, closes them and marks the end of the output.
    pub(crate) fn end_output(&mut self, key: u64, end: OutputEnd) {
        self.drain(key);
        let Some(step) = self.steps.get_mut(key) else { return };
        if step.spool.is_complete() {
            return;
        }
        let end = if step.pipes_are_closed() { OutputEnd::Eof } else { end };
        (step.stdout, step.stderr) = (None, None);
        let now = Instants::now();
        step.spool.end(end, now.realtime_ns, now.boottime_ns);
        if step.spool.is_complete() {
            self.output_done(key);
        }
    }

    fn drain(&mut self, key: u64) {
        self.copy_at_most(key, Stream::Stdout, LAST_TURN);
        self.copy_at_most(key, Stream::Stderr, LAST_TURN);
    }

    /// Tells of the end mark, and puts it into the exit record if that said otherwise.
    fn output_done(&mut self, key: u64) {
        let Some(step) = self.steps.get_mut(key) else { return };
        let id = step.id.clone();
        let state = step.spool.state();
        if let Some(exit) = step.exit.as_mut().filter(|exit| exit.output != state) {
            exit.output = state;
            record(step);
        }
        self.notify(Notice::OutputDone { step: id });
    }

    /// Tries again what a full disk did not take.
    pub(crate) fn settle_files(&mut self, key: u64, now: Instants) {
        let Some(step) = self.steps.get_mut(key) else { return };
        if step.record_retry.is_some_and(|at| at <= now.boottime_ns) {
            record(step);
        }
        let due = step.spool.retry_at().is_some_and(|at| at <= now.boottime_ns);
        if due && step.spool.settle(now.realtime_ns, now.boottime_ns) {
            self.output_done(key);
        }
    }

    /// Waits for every child that ended: steps' first processes, and what was left to the shim.
    pub(crate) fn wait_for_children(&mut self) {
        let mut any = false;
        // Whether a look at the children would show nothing new: until one is waited for that could have left children of its own to
        // the shim after the last look. A step's first process had ended before it.
        let mut is_surveyed = false;
        while let Some(pid) = system::peek_ended_child() {
            any = true;
            let step = self.steps.key_of_process(pid);
            if step.is_some() || self.execs.has(pid) {
                // What it leaves behind was given to the shim when it ended, and its numbers are still its own.
                self.family.survey(&self.steps);
                is_surveyed = true;
            }
            let Some((status, usage)) = system::reap(pid) else { continue };
            self.steps.waited_for(pid);
            match step {
                Some(key) => self.finish(key, status, usage),
                None => {
                    is_surveyed = false;
                    self.family.waited_for(pid);
                    self.finish_exec(pid, status, usage);
                }
            }
        }
        if any {
            self.look_after_ended(is_surveyed);
        }
    }

    /// A step's first process ended: its exit status is written at once, whoever still holds its pipes.
    fn finish(&mut self, key: u64, status: ExitStatus, usage: Usage) {
        let finished = Instants::now();
        self.drain(key);
        let Some(step) = self.steps.get_mut(key) else { return };
        let had_ended = step.spool.is_complete();
        if step.pipes_are_closed() {
            step.spool.end(OutputEnd::Eof, finished.realtime_ns, finished.boottime_ns);
        }
        let exit = ExitRecord {
            version: 1,
            step: step.id.clone(),
            pid: step.pid,
            status,
            started: step.started,
            finished,
            usage,
            out_of_memory: status != ExitStatus::Code(0) && cgroup::ran_out_of_memory(&step.cgroups),
            ended_by: step.stopping.as_ref().map(|stopping| stopping.cause),
            output: step.spool.state(),
        };
        step.exit = Some(exit.clone());
        let recorded = record(step);
        let (id, complete) = (step.id.clone(), step.spool.is_complete());
        self.notify(Notice::Exited { step: id.clone(), exit, recorded });
        if complete && !had_ended {
            self.notify(Notice::OutputDone { step: id });
        }
    }

    /// After any end: which steps are gone, which leave something behind, which stops are complete.
    fn look_after_ended(&mut self, is_surveyed: bool) {
        let open: Vec<u64> =
            self.steps.iter().filter(|(_, step)| !step.is_gone).map(|(key, _)| key).collect();
        let ended = |step: &Step| !step.is_running();
        if !is_surveyed && open.iter().any(|key| self.steps.get(*key).is_some_and(ended)) {
            self.family.survey(&self.steps);
        }
        for key in open {
            let Some(step) = self.steps.get(key) else { continue };
            let is_gone = self.family.is_gone(key, step);
            let Some(step) = self.steps.get_mut(key) else { continue };
            step.is_gone = is_gone;
            let leaves_something = !step.is_running() && !is_gone;
            if step.stopping.is_some() {
                self.advance_stop(key);
            } else if step.reap && leaves_something {
                let grace_ms = step.grace_ms;
                self.begin_stop(key, grace_ms, EndedBy::Stop, None);
            }
        }
    }
}

/// Writes the exit record, or notes that it is still to be written. True if it is there.
fn record(step: &mut Step) -> bool {
    let Some(exit) = &step.exit else { return false };
    let result = step.spool.publish(exit);
    let file_is_gone = matches!(&result, Err(error) if error.kind() == io::ErrorKind::NotFound);
    step.record_retry = match result {
        Ok(()) => None,
        // The owner removed the step's file; there is nobody to write for.
        Err(_) if file_is_gone => None,
        Err(_) => Some(Instants::now().boottime_ns + RETRY_NS),
    };
    step.record_retry.is_none() && !file_is_gone
}
