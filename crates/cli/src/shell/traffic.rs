//! Bytes between our standard streams and a program elsewhere.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::{LogStream, StreamKind};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What is read at once.
const PIECE: usize = 16 << 10;
/// How long the output of a program that has ended may stay open without saying anything: something that it left behind holds it.
const SILENCE: Duration = Duration::from_secs(1);

/// Our standard input to its end, or to the end of whoever reads it.
pub(super) async fn into(mut program: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut input = tokio::io::stdin();
    let mut piece = vec![0; PIECE];
    // A terminal that is gone answers with an error.
    while let Ok(count @ 1..) = input.read(&mut piece).await {
        let written = async {
            program.write_all(&piece[..count]).await?;
            program.flush().await
        };
        if written.await.is_err() {
            // It reads no more; its end is told elsewhere.
            return std::future::pending().await;
        }
    }
    // It may have ended already.
    let _ = program.shutdown().await;
}

/// The program's output to ours, to its end: until it is closed, or silent after the program `ended`.
pub(super) async fn out(mut output: LogStream, ended: CancellationToken) -> std::io::Result<()> {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = output.next() => chunk,
            () = async { ended.cancelled().await; sleep(SILENCE).await } => None,
        };
        let chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Err(std::io::Error::other(error)),
            None => return Ok(()),
        };
        match chunk.stream {
            StreamKind::Stdout => write(&mut stdout, &chunk.bytes).await?,
            StreamKind::Stderr => write(&mut stderr, &chunk.bytes).await?,
        }
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}
