//! What other instances tell of their changes. Not for our own, which are told where they are made.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::problem::problem;
use crate::error::Result;
use crate::queue::Change;

/// What instances tell each other by.
pub(super) const CHANNEL: &str = "jobwright_queues";
/// A server that went away is asked again after so long.
const AGAIN: Duration = Duration::from_millis(500);

/// A handle on the task that listens, which ends with it.
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    pub(super) fn start(config: Config, changes: watch::Sender<Change>, name: String) -> Self {
        Self(tokio::spawn(async move {
            let mut is_lost = false;
            loop {
                if let Err(error) = listen(&config, &changes, &name, &mut is_lost).await
                    && !is_lost
                {
                    tracing::warn!(%error, "changes of queues by other instances are not heard of");
                    is_lost = true;
                }
                sleep(AGAIN).await;
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until the connection breaks.
async fn listen(
    config: &Config,
    changes: &watch::Sender<Change>,
    name: &str,
    is_lost: &mut bool,
) -> Result<()> {
    let (client, mut connection) = config.connect(NoTls).await.map_err(|error| problem(&error))?;
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    let heard = async {
        while let Some(message) = messages.next().await {
            match message.map_err(|error| problem(&error))? {
                AsyncMessage::Notification(told) if told.payload() != name => {
                    changes.send_modify(|change| *change += 1);
                }
                _ => {}
            }
        }
        Ok(())
    };
    let asked = async {
        let listen = format!("LISTEN {CHANNEL}");
        client.batch_execute(&listen).await.map_err(|error| problem(&error))?;
        *is_lost = false;
        // Something may have been told while nobody listened.
        changes.send_modify(|change| *change += 1);
        // The connection lasts as long as its client is there.
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        heard = heard => heard,
        asked = asked => asked,
    }
}
