//! A program beside a running step: what an owner orders and what it hears, as plain data.
//!
//! The owner makes the program's pipes, or its terminal, and hands its ends over with the order; what goes through them is the
//! owner's affair and not kept. The program is one of the step's processes and ends with them at the latest. A connection
//! that gave such an order hears of the ends of its own programs and of nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::protocol::StepId;
use crate::record::{ExitStatus, Instants, Usage};

/// A program to start beside a running step, as the step's user, within its limits and its cgroups.
///
/// With the first byte of the order come its descriptors ([`crate::descriptors`]): standard input, output and error, or one
/// terminal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecOrder {
    /// The step, whose first process must be running.
    pub step: StepId,
    /// The program and its arguments; never secrets. A name without `/` is looked up in the PATH of `env`.
    pub argv: Vec<String>,
    /// The whole environment; the step's token is added.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Absolute path of the directory to start in.
    pub cwd: PathBuf,
    /// One descriptor comes, a terminal that shall become the program's own.
    #[serde(default)]
    pub terminal: bool,
}

impl ExecOrder {
    /// How many descriptors come with it.
    pub fn descriptors(&self) -> usize {
        if self.terminal { 1 } else { crate::descriptors::MOST }
    }
}

/// How such a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecEnd {
    /// The process that the order was answered with.
    pub pid: u32,
    /// Its exit status.
    pub status: ExitStatus,
    /// When it started.
    pub started: Instants,
    /// When it was waited for.
    pub finished: Instants,
    /// What it and those of its children that it waited for used.
    pub usage: Usage,
}
