//! The compatible queue interface over real TCP, asked by hand as executors of every age ask it, in front of a store.

mod access;
mod bodies;
mod dequeue;
mod files;
mod git;
mod heartbeat;
mod logs;
mod marks;
mod settings;
pub(crate) mod support;
