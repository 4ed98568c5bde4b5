//! The one thread that writes. Jobs that have queued up behind a transaction share the next one, so
//! that a hundred commits cost one flush of the disk; none is answered before it is on the disk.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::slice;
use std::thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::anchor::Anchor;
use super::error::{Fault, LedgerError};
use super::file::{Lock, Place, io_error};
use super::metrics::LedgerMetrics;
use crate::clock;

/// Jobs that may wait before their callers do.
const QUEUE_LENGTH: usize = 1024;
/// Jobs that share one transaction at most.
const BATCH_LENGTH: usize = 512;

/// Hands work to the writing thread, which lives until [`Writer::close`] or the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    path: PathBuf,
    queue: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>),
    /// Answer if the file is there.
    Ping(oneshot::Sender<Result<(), LedgerError>>),
    /// Do what is queued, then put the file in order, let go of it and answer.
    Close(oneshot::Sender<()>),
}

/// A piece of work and its caller, whatever the type of the result.
trait Job: Send {
    /// The name of its transaction, shared with others of that name alone.
    fn transaction(&self) -> &'static str;
    /// Does the work; again, if the first transaction was rolled back because of another job.
    fn run(&mut self, connection: &Connection) -> Result<(), Fault>;
    /// Tells the caller that it is on the disk, or why not.
    fn answer(self: Box<Self>, outcome: Result<(), LedgerError>);
}

struct Call<W, D, T> {
    transaction: &'static str,
    work: W,
    /// Is shown the result once it is on the disk, before the caller hears of it.
    done: D,
    result: Option<T>,
    caller: oneshot::Sender<Result<T, LedgerError>>,
}

impl<W, D, T> Job for Call<W, D, T>
where
    W: FnMut(&Connection) -> Result<T, Fault> + Send,
    D: FnOnce(&T) + Send,
    T: Send,
{
    fn transaction(&self) -> &'static str {
        self.transaction
    }

    fn run(&mut self, connection: &Connection) -> Result<(), Fault> {
        let result = caught(self.transaction, || (self.work)(connection))?;
        self.result = Some(result);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), LedgerError>) {
        let (result, done) = (self.result, self.done);
        let answer = outcome.map(|()| {
            let result = result.expect("a job that succeeded has left its result behind");
            done(&result);
            result
        });
        // A caller that no longer waits has nobody to tell; its work is done all the same.
        let _ = self.caller.send(answer);
    }
}

impl Writer {
    /// Starts the thread, which takes over the connection and the lock.
    pub(super) fn start(
        place: Place,
        connection: Connection,
        lock: Lock,
        metrics: LedgerMetrics,
    ) -> Result<Self, LedgerError> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let path = place.shown.clone();
        let worker = Worker {
            anchor: Anchor::new(place.clone(), lock),
            place,
            connection,
            metrics,
        };
        thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || worker.serve(jobs))
            .map_err(io_error(&path, "start the writing thread of", &path))?;
        Ok(Self { path, queue })
    }

    /// The result of `work` once it is on the disk. `work` may run twice, the first time undone.
    pub(super) async fn run<T, W>(
        &self,
        transaction: &'static str,
        work: W,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.run_then(transaction, work, |_| ()).await
    }

    /// The same, with something that is to be done once it is on the disk, also if nobody waits for it any more.
    pub(super) async fn run_then<T, W, D>(
        &self,
        transaction: &'static str,
        work: W,
        done: D,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
        D: FnOnce(&T) + Send + 'static,
    {
        let closed = || Fault::Closed.at(&self.path);
        let (caller, answer) = oneshot::channel();
        let job = Message::Job(Box::new(Call {
            transaction,
            work,
            done,
            result: None,
            caller,
        }));
        self.queue.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Waits until the thread answers that the file is there.
    pub(super) async fn ping(&self) -> Result<(), LedgerError> {
        let closed = || Fault::Closed.at(&self.path);
        let (caller, answer) = oneshot::channel();
        let ping = Message::Ping(caller);
        self.queue.send(ping).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Waits until what is queued is done and the file is in order and let go of.
    pub(super) async fn close(&self) {
        let (caller, answer) = oneshot::channel();
        if self.queue.send(Message::Close(caller)).await.is_ok() {
            // An error means that the thread has ended meanwhile, which is what is waited for.
            let _ = answer.await;
        }
    }
}

struct Worker {
    place: Place,
    connection: Connection,
    metrics: LedgerMetrics,
    /// Holds the lock until the connection is closed.
    anchor: Anchor,
}

impl Worker {
    fn serve(mut self, mut queue: mpsc::Receiver<Message>) {
        self.measure_size();
        let mut closers = Vec::new();
        let mut next = queue.blocking_recv();
        while let Some(message) = next.take() {
            match message {
                Message::Ping(caller) => {
                    // Who no longer waits need not know.
                    let _ = caller.send(self.anchor.check());
                }
                Message::Close(caller) => {
                    // What was queued before is still received, and nothing more is let in.
                    queue.close();
                    closers.push(caller);
                }
                Message::Job(first) => {
                    let transaction = first.transaction();
                    let mut batch = vec![first];
                    while batch.len() < BATCH_LENGTH && next.is_none() {
                        match queue.try_recv() {
                            Ok(Message::Job(job)) if job.transaction() == transaction => {
                                batch.push(job);
                            }
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.perform(batch);
                }
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
        self.finish();
        for closer in closers {
            let _ = closer.send(());
        }
    }

    /// Does the jobs in one transaction; if that fails, each in its own, so that only the guilty
    /// one hears of it.
    fn perform(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let together = batch.len() > 1 && self.attempt(&mut batch).is_ok();
        for mut job in batch {
            let outcome = if together {
                Ok(())
            } else {
                self.attempt(slice::from_mut(&mut job))
            };
            if outcome.is_err() {
                self.metrics.failed(job.transaction());
            }
            job.answer(outcome);
        }
    }

    fn attempt(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
        let Some(name) = batch.first().map(|job| job.transaction()) else {
            return Ok(());
        };
        self.anchor.check()?;
        let started = clock::instant();
        let outcome = in_transaction(&mut self.connection, |connection| {
            batch.iter_mut().try_for_each(|job| job.run(connection))
        });
        self.metrics.took(name, started.elapsed().as_secs_f64());
        self.measure_size();
        outcome.map_err(|fault| fault.at(&self.place.shown))
    }

    fn measure_size(&self) {
        let size = i64::try_from(self.place.size()).unwrap_or(i64::MAX);
        self.metrics.size_bytes.set(size);
    }

    /// Moves the log into the file. What fails here is nothing lost: the next start does it.
    fn finish(mut self) {
        if self.anchor.check().is_err() {
            // A log that is there now may be another ledger's.
            let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.connection.set_db_config(keep_log, true);
            return;
        }
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let outcome = self
            .connection
            .query_row(checkpoint, [], |_| Ok(()))
            .and_then(|()| self.connection.close().map_err(|(_, error)| error));
        if let Err(error) = outcome {
            let error = Fault::from(error).at(&self.place.shown);
            tracing::warn!(%error, "the ledger's write-ahead log stays beside it until the next start");
        }
    }
}

/// Runs `work` in one transaction that holds the write lock from its start; an error undoes it.
pub(super) fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// The result of `work`, a panic in it being an error like others. What it has done so far is for
/// the caller to undo by rolling the transaction back.
pub(super) fn caught<T>(
    transaction: &'static str,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Fault::Panicked {
            transaction,
            message: message(panic.as_ref()),
        })
    })
}

/// Text of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
