//! Reads run on a connection of their own, which never waits for the writer nor holds it up.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::error::{Fault, LedgerError};
use super::metrics::LedgerMetrics;
use super::writer::caught;
use crate::clock;

/// Runs one read at a time, away from the async threads, in the order in which they are asked for: a small one never
/// waits for more than is before it, and those that wait hold no thread.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Turns of the callers.
    turn: Arc<Semaphore>,
    /// Gone once the ledger is closed.
    connection: Mutex<Option<Connection>>,
    /// Timing and counts of its transactions, if there are any.
    metrics: Option<LedgerMetrics>,
}

impl Reader {
    /// Takes over a connection that cannot write.
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        metrics: Option<LedgerMetrics>,
    ) -> Self {
        Self(Arc::new(Shared {
            path,
            turn: Arc::new(Semaphore::new(1)),
            connection: Mutex::new(Some(connection)),
            metrics,
        }))
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
        let shared = Arc::clone(&self.0);
        // It is never closed. Whoever gives up waiting while the read is under way leaves it the turn.
        let turn = Arc::clone(&shared.turn).acquire_owned().await;
        // The task is never aborted and never panics, so it fails only if the runtime is ending.
        spawn_blocking(move || {
            let _turn = turn;
            shared.read(transaction, work)
        })
        .await
        .unwrap_or_else(|_| Err(self.0.closed()))
    }

    /// Waits for the read that is under way and lets go of the file.
    pub(super) async fn close(&self) {
        let shared = Arc::clone(&self.0);
        // Fails only if the runtime is ending, which lets go of it as well.
        let _ = spawn_blocking(move || drop(shared.connection.lock().take())).await;
    }
}

impl Shared {
    fn read<T>(
        &self,
        transaction: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        let mut connection = self.connection.lock();
        let connection = connection.as_mut().ok_or_else(|| self.closed())?;
        let started = clock::instant();
        let outcome = in_snapshot(connection, |connection| {
            caught(transaction, || work(connection))
        });
        if let Some(metrics) = &self.metrics {
            metrics.took(transaction, started.elapsed().as_secs_f64());
            if outcome.is_err() {
                metrics.failed(transaction);
            }
        }
        outcome.map_err(|fault| fault.at(&self.path))
    }

    fn closed(&self) -> LedgerError {
        Fault::Closed.at(&self.path)
    }
}

/// Runs `work` in a transaction, so that all of it sees the same state.
fn in_snapshot<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction()?;
    work(&transaction)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn reads_that_wait_for_their_turn_hold_no_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(2)
            .build()
            .unwrap();
        let connection = Connection::open_in_memory().unwrap();
        let reader = Reader::new(PathBuf::new(), connection, None);
        let (release, held) = channel::<()>();
        runtime.block_on(async {
            let first = reader.run("first", move |_| Ok(held.recv().is_ok()));
            let second = reader.run("second", |_| Ok(true));
            let other = async {
                let other = spawn_blocking(|| ());
                let done = tokio::time::timeout(Duration::from_secs(30), other).await;
                done.expect("both threads are taken").unwrap();
                release.send(()).unwrap();
            };
            let (first, second, ()) = tokio::join!(first, second, other);
            assert!(first.unwrap() && second.unwrap());
        });
    }
}
