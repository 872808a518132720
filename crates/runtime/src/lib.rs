//! Runs one job: its phases, stages and steps; the only caller of a backend
