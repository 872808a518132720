//! Connections that read. Each reads one state of the database, whatever is written meanwhile.

use tokio_postgres::Config;

use super::session::Session;
use crate::database::{Operation, Statement};
use crate::error::Result;
use crate::pool::Pool;
use crate::value::values;

pub(super) struct Readers {
    config: Config,
    pool: Pool<Session>,
}

impl Readers {
    pub(super) fn new(config: Config) -> Self {
        Self { config, pool: Pool::new() }
    }

    /// A connection whose reader went away half-way is dropped with it.
    pub(super) async fn read<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        let place = self.pool.place().await;
        let mut session = loop {
            match place.idle() {
                Some(session) if session.is_broken() => {}
                Some(session) => break session,
                None => break Session::connect(&self.config).await?,
            }
        };
        session.say_ahead(Statement::look("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", values![]));
        let answer = operation.run(&mut session).await;
        session.execute("ROLLBACK").await?;
        place.keep(session);
        answer
    }
}
