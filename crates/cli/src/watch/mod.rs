//! Sees when the files of a project change. Not for what is done then: that is `commands::watch`.

mod alarm;
mod eyes;

pub(crate) use eyes::{Changes, Eyes, Watched};
