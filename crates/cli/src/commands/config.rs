//! `jobwright config show`.

use serde_json::{Value, json};

use crate::args::ConfigShowArgs;
use crate::exit::Exit;
use crate::settings::{Holding, Origin, Settings};
use crate::show::sink;

pub(crate) fn show(args: &ConfigShowArgs, settings: &Settings) -> Exit {
    let holdings = settings.holdings();
    if args.json {
        sink::say(Value::from_iter(holdings.iter().map(row)));
    } else {
        let widest = holdings.iter().map(|holding| holding.key.len()).max().unwrap_or_default();
        holdings.iter().for_each(|holding| sink::say(line(holding, widest)));
    }
    Exit::Success
}

/// The value is written as `config.toml` takes it.
fn line(Holding { key, value, origin }: &Holding, widest: usize) -> String {
    let value = if value.is_null() { "-".to_owned() } else { value.to_string() };
    let origin = match origin {
        Origin::Flag => "flag".to_owned(),
        Origin::Environment(variable) => format!("environment {variable}"),
        Origin::File(path, line) => format!("{}:{line}", path.display()),
        Origin::Default => "default".to_owned(),
    };
    format!("{key:<widest$}  {value:<32}  {origin}")
}

fn row(Holding { key, value, origin }: &Holding) -> Value {
    match origin {
        Origin::Flag => json!({ "key": key, "value": value, "source": "flag" }),
        Origin::Environment(variable) => {
            json!({ "key": key, "value": value, "source": "environment", "variable": variable })
        }
        Origin::File(path, line) => {
            json!({ "key": key, "value": value, "source": "file", "file": path.to_string_lossy(), "line": line })
        }
        Origin::Default => json!({ "key": key, "value": value, "source": "default" }),
    }
}
