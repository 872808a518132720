//! The dummy backend: runs nothing, and does what a step's own environment tells it to.
