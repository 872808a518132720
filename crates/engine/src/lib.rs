//! Runs a pipeline's jobs and emits the run's events
