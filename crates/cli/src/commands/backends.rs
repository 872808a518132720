//! `jobwright backends`.

use jobwright_backend::Availability;
use jobwright_journal::StateDir;
use serde_json::json;

use crate::args::BackendsArgs;
use crate::backends;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

pub(crate) async fn run(args: BackendsArgs, state: &StateDir) -> Result<Exit, Failure> {
    let registry = backends::registry(args.backends, state);
    let mut rows = Vec::new();
    for backend in registry.iter() {
        let (available, about) = match backend.is_available().await {
            Availability::Unavailable(reason) => (false, reason),
            Availability::Available => match backend.load().await {
                Ok(info) => (true, format!("{}, {}; {}", info.engine, info.platform, backend.capabilities())),
                Err(error) => (false, error.to_string()),
            },
        };
        rows.push((backend.name(), available, about));
    }
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, available, about)| json!({ "name": name, "available": available, "about": about }))
            .collect();
        sink::say(serde_json::Value::from(rows));
    } else {
        for (name, available, about) in rows {
            let mark = if available { "available" } else { "not available" };
            sink::say(format_args!("{name:<10} {mark:<14} {about}"));
        }
    }
    Ok(Exit::Success)
}
