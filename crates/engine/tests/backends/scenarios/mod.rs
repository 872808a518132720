//! The scenarios, by subject. Each is an `async fn(World)` that panics when the behaviour in its name does not show.

mod background;
mod cancel;
mod environment;
mod failures;
mod files;
mod isolation;
mod journal;
mod logs;
mod order;
mod phases;
mod secrets;
mod starts;
mod timeouts;

use crate::suite::Scenario;
use crate::world::{Site, World};

/// Makes a [`Scenario`] of a function; the function's name is the scenario's.
macro_rules! scenario {
    ($show:ident) => {
        scenario!($show, |_| None)
    };
    ($show:ident, $needs:expr) => {
        $crate::suite::Scenario {
            name: stringify!($show),
            needs: $needs,
            show: |world| Box::pin($show(world)),
        }
    };
}
use scenario;

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    [
        order::scenarios(),
        failures::scenarios(),
        starts::scenarios(),
        background::scenarios(),
        cancel::scenarios(),
        timeouts::scenarios(),
        logs::scenarios(),
        secrets::scenarios(),
        environment::scenarios(),
        isolation::scenarios(),
        files::scenarios(),
        phases::scenarios(),
        journal::scenarios(),
    ]
    .concat()
}

fn shell(world: &World) -> Option<&'static str> {
    matches!(world.site(), Site::Dummy).then_some("real shell")
}

fn containers(world: &World) -> Option<&'static str> {
    (!matches!(world.site(), Site::Containers(_))).then_some("real images")
}
