//! A backend's progress on its way to the observer, masked like everything else that an engine or registry said.

use jobwright_backend::{Progress, ProgressEvent};
use jobwright_model::Step;
use jobwright_redact::Masker;

use crate::observer::Observer;

/// Hands the progress of one step's preparation to the observer.
pub(crate) struct Forward<'a> {
    pub(crate) observer: &'a dyn Observer,
    pub(crate) masker: &'a Masker,
    pub(crate) step: &'a Step,
}

impl Progress for Forward<'_> {
    fn report(&self, mut event: ProgressEvent) {
        let texts: Vec<&mut String> = match &mut event {
            ProgressEvent::PullStarted { image } | ProgressEvent::PullFinished { image } => vec![image],
            ProgressEvent::Layer { layer, status, .. } => vec![layer, status],
            ProgressEvent::PullFailedUsingLocal { image, reason } => vec![image, reason],
            // What we do not know cannot be masked.
            _ => return,
        };
        for text in texts {
            *text = self.masker.mask_str(text).into_owned();
        }
        self.observer.progress(self.step, &event);
    }
}
