//! The events as they lie in the log.

use jobwright_events::{Event, WireLine};

use super::Show;
use super::sink::Out;

pub(crate) struct Json(Out);

impl Json {
    pub(crate) fn new() -> Self {
        Self(Out::new())
    }
}

impl Show for Json {
    fn line(&mut self, line: &WireLine) {
        self.0.write(&[&line.json, b"\n"]);
    }

    fn event(&mut self, _event: &Event) {}
}
