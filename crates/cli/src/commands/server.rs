//! `jobwright server`: executions over HTTP until it is told to end. What it runs goes on without it, and is taken over by the next one.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jobwright_backend::Backend;
use jobwright_executor::{Executions, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::QueueRules;
use jobwright_server::{Address, Error as ServerError, QueueApi, Server, Token};
use tempfile::NamedTempFile;

use crate::args::ServerArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};
use crate::{backends, database, signals};

pub(crate) async fn run(args: ServerArgs, state: &StateDir) -> Result<Exit, Failure> {
    let folder = state.path().join("server");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| cannot("make", &folder, &error))?;
    let queues = match args.queues.is_empty() {
        true => None,
        false => Some(queue_api(&args, state).await?),
    };
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
    builder = builder.queues(queues);
    let server = builder.bind().await.map_err(|error| match error {
        ServerError::NotLoopback(_) => {
            Failure::new(Exit::Invalid, format!("{error} (`--beyond-loopback` says that it is meant)"))
        }
        ServerError::Name(_) => Failure::new(Exit::Invalid, error),
        error => Failure::new(Exit::Unavailable, error),
    })?;
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

/// The queues that were named, for executors.
async fn queue_api(args: &ServerArgs, state: &StateDir) -> Result<QueueApi, Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::new(Exit::Invalid, error);
    let store = database::open(&args.database, state).await?;
    for queue in &args.queues {
        let is_there = store.queues(Timestamp::now()).await?.iter().any(|summary| summary.queue == *queue);
        // One that is there keeps its rules.
        if !is_there {
            store.create_queue(queue, &QueueRules::default()).await?;
        }
    }
    let tokens = executor_tokens(args.executor_token_file.as_deref())?;
    if tokens.is_empty() && args.insecure_no_auth && args.beyond_loopback {
        return Err(invalid(
            &"--insecure-no-auth opens loopback addresses only; leave out --beyond-loopback",
        ));
    }
    let api = tokens.iter().fold(QueueApi::new(store), QueueApi::executor_token);
    let api = api.open_on_loopback(args.insecure_no_auth).files(args.files.clone());
    api.git(args.git_base.as_deref()).map_err(|error| invalid(&error))
}

/// One for each line.
fn executor_tokens(file: Option<&Path>) -> Result<Vec<Token>, Failure> {
    let text = match file {
        Some(file) => read_private(file).map_err(|error| unread(file, &error))?,
        None => std::env::var("JOBWRIGHT_EXECUTOR_TOKEN").unwrap_or_default(),
    };
    let tokens = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Token::new);
    tokens
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::new(Exit::Invalid, format!("of executors: {error}")))
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
    let text = match read_private(&file) {
        Err(Unread::Io(error)) if error.kind() == ErrorKind::NotFound && is_own => {
            make_token(&file, folder)?;
            read_private(&file)
        }
        read => read,
    };
    let invalid =
        |why: String| Failure::new(Exit::Invalid, format!("the token in {}: {why}", file.display()));
    let text = text.map_err(|error| unread(&file, &error))?;
    let hint = if is_own { "; remove the file, and a new one is made" } else { "" };
    Token::new(text.trim()).map_err(|error| invalid(format!("{error}{hint}")))
}

/// Why a file with a token is not read.
pub(super) enum Unread {
    Io(std::io::Error),
    /// It has this mode.
    Exposed(u32),
}

/// A file's text, when nobody else can read it. A pipe has no mode that would say so.
pub(super) fn read_private(file: &Path) -> Result<String, Unread> {
    let mut file = File::open(file).map_err(Unread::Io)?;
    let metadata = file.metadata().map_err(Unread::Io)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(Unread::Exposed(mode));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(Unread::Io)?;
    Ok(text)
}

/// Why a token's file is of no use.
pub(super) fn unread(file: &Path, why: &Unread) -> Failure {
    match why {
        Unread::Io(error) => cannot("read", file, error),
        Unread::Exposed(mode) => {
            let text = format!(
                "the token in {}: others can get at it (mode {mode:04o}), and so at all that it opens; chmod 600 {0}, and choose \
                 another token if somebody may have read it",
                file.display()
            );
            Failure::new(Exit::Invalid, text)
        }
    }
}

/// Puts a new token into its file, unless somebody else was faster. It is written to a draft first, so that whoever dies on the way leaves
/// no file without a token.
fn make_token(file: &Path, folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| cannot("write", file, &error);
    let token = Token::random().map_err(failed)?;
    let mut draft = NamedTempFile::with_prefix_in("token.", folder).map_err(failed)?;
    writeln!(draft, "{}", token.as_str()).and_then(|()| draft.as_file().sync_all()).map_err(failed)?;
    match draft.persist_noclobber(file) {
        Ok(_) => aside::say(format_args!("the token for TCP is in {}", file.display())),
        Err(other) if other.error.kind() == ErrorKind::AlreadyExists => {}
        Err(other) => return Err(failed(other.error)),
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot {what} {}: {error}", path.display()))
}
