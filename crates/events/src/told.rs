//! What a run's log tells already, for a run that is gone on with after its owner died: each thing that can happen once is told once,
//! by whichever process. Output is not looked at: where it goes on is told by its position.

use std::collections::HashMap;

use crate::event::EventKind;

/// Events that were told, each as often as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(HashMap<String, u32>);

impl Told {
    /// Notes an event of the log.
    pub(crate) fn add(&mut self, event: &EventKind) {
        if let Some(identity) = identity(event) {
            *self.0.entry(identity).or_default() += 1;
        }
    }

    /// Whether this event was told and is only told again; each telling counts once.
    pub(crate) fn take(&mut self, event: &EventKind) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(identity) = identity(event) else { return false };
        let Some(left) = self.0.get_mut(&identity) else { return false };
        *left -= 1;
        if *left == 0 {
            self.0.remove(&identity);
        }
        true
    }
}

/// What an event tells of, without what may differ when it is told again: times and durations. None for what a job, or a command around all of them, printed.
fn identity(event: &EventKind) -> Option<String> {
    let name = event.type_name();
    match event {
        EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => Some(name.to_owned()),
        EventKind::GroupStarted { group, .. } | EventKind::GroupFinished { group } => {
            Some(format!("{name} {}", group.id()))
        }
        EventKind::JobStarted { job, .. }
        | EventKind::JobFinished { job, .. }
        | EventKind::JobSkipped { job, .. } => Some(format!("{name} {job}")),
        EventKind::StepStarted { job, step, attempt }
        | EventKind::StepFinished { job, step, attempt, .. } => {
            Some(format!("{name} {attempt} {job}\n{step}"))
        }
        EventKind::Diagnostic { data } => Some(format!("{name} {data}")),
        EventKind::LogLine { job: None, step: None, data, .. } => {
            Some(format!("{name} {}", String::from_utf8_lossy(data)))
        }
        EventKind::LogLine { .. } | EventKind::LogGap { .. } | EventKind::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::kinds::{ExecKind, StreamKind};

    fn started(attempt: u32) -> EventKind {
        EventKind::StepStarted { job: "a".into(), step: "s".into(), attempt }
    }

    fn notice(text: &str) -> EventKind {
        EventKind::notice(text)
    }

    fn told(events: &[EventKind]) -> Told {
        let mut told = Told::default();
        events.iter().for_each(|event| told.add(event));
        told
    }

    #[test]
    fn what_was_told_is_told_again_as_often_as_it_was_and_no_more() {
        let mut told = told(&[started(1), notice("again\n"), notice("again\n")]);
        assert!(told.take(&started(1)));
        assert!(!told.take(&started(1)) && !told.take(&started(2)));
        assert_eq!([0; 3].map(|_| told.take(&notice("again\n"))), [true, true, false]);
    }

    #[test]
    fn output_is_never_taken_for_told() {
        let output = EventKind::LogLine {
            job: Some("a".into()),
            step: None,
            exec: ExecKind::Standalone,
            stream: StreamKind::Stdout,
            data: Bytes::from_static(b"x"),
            position: None,
        };
        assert!(!told(std::slice::from_ref(&output)).take(&output));
    }
}
