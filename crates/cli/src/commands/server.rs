//! `jobwright server`: executions over HTTP until it is told to end. What it runs goes on without it, and is taken over by the next one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_backend::Backend;
use jobwright_executor::{Executions, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_server::{Address, Server, Token};

use crate::args::ServerArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};
use crate::{backends, signals};

pub(crate) async fn run(args: ServerArgs, state: &StateDir) -> Result<Exit, Failure> {
    let folder = state.path().join("server");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| cannot("make", &folder, &error))?;
    let unix = match args.unix {
        Some(path) if path == Path::new("none") => None,
        Some(path) => Some(path),
        None => Some(folder.join("socket")),
    };
    if unix.is_none() && args.tcp.is_none() {
        return Err(Failure::new(
            Exit::Invalid,
            "there is neither a socket nor an address to listen on: say --tcp",
        ));
    }
    let token = match args.tcp {
        Some(_) => Some(token(args.token_file, &folder)?),
        None => args.token_file.map(|file| token(Some(file), &folder)).transpose()?,
    };
    let available = available(backends::registry(args.backends, state).iter().cloned().collect()).await;
    let executor = Executions::open(state.clone(), available, ExecutorOptions::default())?;
    let mut builder =
        Server::builder(Arc::new(executor.clone())).token(token).beyond_loopback(args.beyond_loopback);
    builder = unix.into_iter().fold(builder, |builder, path| builder.unix(path));
    builder = args.tcp.into_iter().fold(builder, |builder, address| builder.tcp(address));
    builder = args.name.into_iter().fold(builder, |builder, name| builder.name(name));
    let server = builder.bind().await.map_err(|error| Failure::new(Exit::Unavailable, error))?;
    for (id, error) in executor.adopt().await? {
        aside::say(format_args!("warning: execution {id} cannot be taken over: {error}"));
    }
    for address in server.addresses() {
        sink::say(&match address {
            Address::Unix(path) => format!("listening on unix:{}", path.display()),
            Address::Tcp(address) => format!("listening on http://{address}"),
        });
    }
    server.run(signals::asked_to_end()?).await;
    Ok(Exit::Success)
}

/// The backends that answer; of the others is said why they do not.
async fn available(all: Vec<Arc<dyn Backend>>) -> Vec<Arc<dyn Backend>> {
    let mut available = Vec::new();
    for backend in all {
        match backend.load().await {
            Ok(_) => available.push(backend),
            Err(error) => aside::say(format_args!("without the {} backend: {error}", backend.name())),
        }
    }
    available
}

/// The token of whoever asks over TCP.
fn token(file: Option<PathBuf>, folder: &Path) -> Result<Token, Failure> {
    let is_own = file.is_none();
    let file = file.unwrap_or_else(|| folder.join("token"));
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound && is_own => make_token(&file)?,
        read => read.map_err(|error| cannot("read", &file, &error))?,
    };
    let token = Token::new(text.trim());
    token.map_err(|error| Failure::new(Exit::Invalid, format!("the token in {}: {error}", file.display())))
}

fn make_token(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| cannot("write", file, &error);
    let token = Token::random().map_err(failed)?;
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    writeln!(new, "{}", token.as_str()).map_err(failed)?;
    aside::say(format_args!("the token for TCP is in {}", file.display()));
    Ok(token.as_str().to_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot {what} {}: {error}", path.display()))
}
