//! The dummy backend: runs nothing, and does what a step's own environment tells it to.

mod act;
pub mod variables;

pub use act::{Act, give_script};
