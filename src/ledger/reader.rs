//! Reads run on a connection of their own, which never waits for the writer nor holds it up.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::error::{Fault, LedgerError};
use super::writer::caught;
use crate::clock;
use crate::telemetry::Telemetry;

/// Runs one read at a time, away from the async threads.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
    telemetry: Telemetry,
}

impl Reader {
    /// Takes over a connection that cannot write.
    pub(super) fn new(path: PathBuf, connection: Connection, telemetry: Telemetry) -> Self {
        Self {
            path,
            connection: Arc::new(Mutex::new(Some(connection))),
            telemetry,
        }
    }

    /// The result of `work`, which sees one state of the ledger throughout.
    pub(super) async fn run<T, W>(
        &self,
        transaction: &'static str,
        work: W,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let Self {
            path,
            connection,
            telemetry,
        } = self.clone();
        let closed = LedgerError::Closed { path: path.clone() };
        let read = move || {
            // Poisoned means that a read panicked, and its transaction was rolled back with it.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(connection) = connection.as_mut() else {
                return Err(LedgerError::Closed { path });
            };
            let started = clock::instant();
            let outcome = read_only(connection, |connection| {
                caught(transaction, || work(connection))
            });
            telemetry
                .ledger_transaction_duration
                .with_label_values(&[transaction])
                .observe(started.elapsed().as_secs_f64());
            outcome.map_err(|fault| fault.at(&path))
        };
        // The task is never aborted and never panics, so it fails only if the runtime is ending.
        spawn_blocking(read).await.unwrap_or(Err(closed))
    }

    /// Waits for the read that is under way and lets go of the file.
    pub(super) async fn close(&self) {
        let connection = self.connection.clone();
        let close = move || {
            drop(
                connection
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
        };
        // Fails only if the runtime is ending, which lets go of it as well.
        let _ = spawn_blocking(close).await;
    }
}

/// Runs `work` in a transaction, so that all of it sees the same state.
fn read_only<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction()?;
    work(&transaction)
}
