use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tamarack_crypto::Provider;
use tamarack_store::{StoreError, StoreOp};

use crate::connection::failed;
use crate::write::{self, WriteError};

/// Most batches that share one commit.
const GROUP: usize = 256;

type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

struct Job {
    ops: Vec<StoreOp>,
    done: Done,
}

/// The one thread that writes.
pub(crate) struct Writer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(database: Connection, path: PathBuf, crypto: Provider) -> Result<Self, StoreError> {
        let (queue, jobs) = channel();
        let run = move || Worker { database, path, crypto }.run(&jobs);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(run)
            .map_err(|e| StoreError::Failed(format!("the store's writer thread cannot be started: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(crate) fn submit(&self, ops: Vec<StoreOp>, done: Done) {
        let stopped = match &self.queue {
            Some(queue) => queue.send(Job { ops, done }).err().map(|unsent| unsent.0),
            None => Some(Job { ops, done }),
        };
        if let Some(job) = stopped {
            (job.done)(Err(StoreError::Failed("the store's writer has stopped".into())));
        }
    }
}

impl Drop for Writer {
    /// Ends the queue and waits until what is in it is written.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, that has been printed; there is nothing to add while dropping.
            let _ = thread.join();
        }
    }
}

struct Worker {
    database: Connection,
    path: PathBuf,
    crypto: Provider,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let group: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1)).collect();
            let (ops, done): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.ops, job.done)).unzip();
            let results = self.commit(ops);
            done.into_iter().zip(results).for_each(|(done, result)| done(result));
        }
    }

    /// One transaction for all, a savepoint for each; nothing is acknowledged, not even a refusal, unless it commits.
    fn commit(&mut self, group: Vec<Vec<StoreOp>>) -> Vec<Result<(), StoreError>> {
        let count = group.len();
        self.try_commit(group).unwrap_or_else(|e| {
            let error = failed(&self.path, &e);
            vec![Err(error); count]
        })
    }

    fn try_commit(
        &mut self,
        group: Vec<Vec<StoreOp>>,
    ) -> Result<Vec<Result<(), StoreError>>, rusqlite::Error> {
        let mut transaction = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(group.len());
        for ops in group {
            let savepoint = transaction.savepoint()?;
            match ops.into_iter().try_for_each(|op| write::apply(&savepoint, op, &self.crypto)) {
                Ok(()) => {
                    savepoint.commit()?;
                    results.push(Ok(()));
                }
                // Dropping the savepoint rolls this batch back.
                Err(WriteError::Conflict(conflict)) => results.push(Err(conflict.into())),
                Err(WriteError::Database(e)) => return Err(e),
            }
        }
        transaction.commit()?;
        Ok(results)
    }
}
