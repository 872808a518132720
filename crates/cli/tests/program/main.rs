//! The program `jobwright`, as people and their CI use it: the real binary, real processes, a real engine where there is one.
//! Not for the rooms below, which have tests of their own.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod adopting;
mod answers;
mod bad_input;
mod cleaning;
mod completing;
mod doctor;
mod dry_run;
mod executions;
mod files;
mod graph;
mod importing;
mod json;
mod keeping;
mod killed;
mod leaving;
mod plain;
mod provider;
mod queues;
mod restarting;
mod run;
mod secrets;
mod selection;
mod serving;
mod settings;
mod shell;
mod signals;
mod support;
mod terminal;
mod together;
mod validate;
mod watching;
mod workflow;
