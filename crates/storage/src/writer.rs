//! SQLite's one writer: a thread that runs all the writes that wait as one transaction, each in a
//! savepoint of its own, and commits them together. A commit costs a flush of the disk whatever
//! its size, so sharing it is what makes many writers fast.
//!
//! Nobody is answered before COMMIT returned. If it fails, every write of the group is answered
//! that the database is unavailable, also those that had failed by themselves: what they failed
//! on may have been a row that is not there now. A write that panics or takes too long is rolled
//! back alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keystead_domain::revocation::Revocation;

use crate::connection::{Connection, Tx};
use crate::error::StoreError;
use crate::generations::Generations;
use crate::trail::Claim;
use crate::{dialect, sqlite};

/// How many writes share a commit at most, and for how long they are gathered: whoever comes first
/// must not wait for a stream of others, nor another process for the lock.
const GROUP: usize = 128;
const GATHERING: Duration = Duration::from_millis(20);

/// How long one write may take. The others wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The thread, which ends when this is dropped.
pub(crate) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the file for writing, and makes it where there is none. A write that has waited for
    /// `patience` is not begun any more. What is ended is made known to `generations`.
    pub(crate) fn start(
        path: &Path,
        patience: Duration,
        generations: Arc<Generations>,
    ) -> Result<Self, StoreError> {
        let connection = Some(sqlite::open_writer(path)?);
        let (jobs, waiting) = channel();
        let state = State { path: path.to_owned(), connection, patience, generations };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || state.serve(&waiting))
            .map_err(|error| StoreError::Unavailable(format!("the writer cannot be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `f` as a part of the next group, and answers once that is committed.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        claim: Claim,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = sync_channel(1);
        let job = Write {
            f: Some(f),
            claim: Some(claim),
            result: None,
            revoked: Vec::new(),
            reply,
            since: Instant::now(),
        };
        self.jobs.as_ref().ok_or_else(gone)?.send(Box::new(job)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Writer {
    /// Waits for what was begun, so that the file is closed afterwards.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches what closures panic with, and nothing of its own panics.
            let _ = thread.join();
        }
    }
}

/// What became of one write in the open transaction.
#[derive(PartialEq, Eq)]
enum Ran {
    /// It is a part of the transaction, or rolled back alone.
    Apart,
    /// The transaction is gone: the disk is full or failed, say.
    Broken,
}

/// A write that waits, whatever it answers.
trait Job: Send {
    /// Runs it in a savepoint of the open transaction.
    fn run(&mut self, connection: &mut Connection, patience: Duration) -> Ran;

    /// What it ended, if it was committed.
    fn revoked(&self) -> &[Revocation];

    /// Answers: what it came to, or, where the group was not committed, why that was not.
    fn answer(self: Box<Self>, not_committed: Option<&str>);
}

struct Write<T, F> {
    f: Option<F>,
    /// Dropped with whoever cannot say what became of the write.
    claim: Option<Claim>,
    result: Option<Result<T, StoreError>>,
    revoked: Vec<Revocation>,
    reply: SyncSender<Result<T, StoreError>>,
    since: Instant,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &mut Connection, patience: Duration) -> Ran {
        let (Some(f), Some(mut claim)) = (self.f.take(), self.claim.take()) else { return Ran::Apart };
        if self.since.elapsed() >= patience {
            self.result = Some(Err(StoreError::Unavailable("too many writes are waiting".to_owned())));
            return Ran::Apart;
        }
        if dialect::begin_part(connection).is_err() {
            return Ran::Broken;
        }
        let began = Instant::now();
        // What the closure leaves behind if it panics is its savepoint, which is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut tx = Tx::new(connection, &mut claim);
            let value = f(&mut tx)?;
            Ok((value, tx.close()?))
        }));
        let result = match result {
            Ok(Ok(_)) if began.elapsed() > TIME_LIMIT => {
                Err(StoreError::Unavailable("a transaction took too long".to_owned()))
            }
            Ok(result) => result,
            Err(_) => Err(StoreError::Failed("a transaction panicked".to_owned())),
        };
        let settled = match &result {
            Ok(_) => dialect::keep_part(connection),
            Err(_) => dialect::undo_part(connection),
        };
        if result.is_ok() {
            self.claim = Some(claim);
        } else {
            // Whatever becomes of the group: without its savepoint, the group is not committed.
            claim.rolled_back();
        }
        self.result = Some(result.map(|(value, revoked)| {
            self.revoked = revoked;
            value
        }));
        if settled.is_ok() { Ran::Apart } else { Ran::Broken }
    }

    fn revoked(&self) -> &[Revocation] {
        &self.revoked
    }

    fn answer(self: Box<Self>, not_committed: Option<&str>) {
        let unavailable = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
        if let (None, Some(claim)) = (not_committed, self.claim) {
            claim.committed();
        }
        let result = match (not_committed, self.result) {
            (None, Some(result)) => result,
            (None, None) => unavailable("the write was not begun"),
            (Some(why), _) => unavailable(why),
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(result);
    }
}

/// What the thread works with.
struct State {
    path: PathBuf,
    /// Nothing after it broke.
    connection: Option<Connection>,
    patience: Duration,
    generations: Arc<Generations>,
}

impl State {
    fn serve(mut self, waiting: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = waiting.recv() {
            let mut group = Vec::with_capacity(8);
            let not_committed = self.run_group(first, waiting, &mut group).err();
            // Before anybody is answered; and also where it is not known whether the commit took place.
            for job in &group {
                self.generations.end(job.revoked());
            }
            for job in group {
                job.answer(not_committed.as_deref());
            }
        }
    }

    /// Runs `first` and what waits behind it, and commits. What was taken from the queue is in
    /// `group` afterwards, whatever becomes of it.
    fn run_group(
        &mut self,
        first: Box<dyn Job>,
        waiting: &Receiver<Box<dyn Job>>,
        group: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), String> {
        let mut next = Some(first);
        let began = Instant::now();
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => sqlite::open_writer(&self.path).map_err(|error| error.to_string()),
        };
        let begun = opened.and_then(|mut connection| match dialect::begin_write(&mut connection) {
            Ok(()) => Ok(connection),
            Err(error) => Err(error.to_string()),
        });
        let mut connection = match begun {
            Ok(connection) => connection,
            Err(error) => {
                group.extend(next);
                return Err(error);
            }
        };
        while let Some(mut job) = next {
            let ran = job.run(&mut connection, self.patience);
            group.push(job);
            if ran == Ran::Broken {
                return Err("the transaction broke".to_owned());
            }
            next = if group.len() < GROUP && began.elapsed() < GATHERING {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        match dialect::commit(&mut connection) {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                if dialect::rollback(&mut connection).is_ok() {
                    self.connection = Some(connection);
                }
                Err(format!("the transaction was not committed: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::process;
    use std::sync::atomic::{AtomicU32, Ordering};

    use diesel::connection::SimpleConnection as _;
    use diesel::prelude::*;
    use diesel::sql_types::BigInt;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A writer on a file of its own, which has a table of parents and one of children.
    struct Fixture {
        writer: Arc<Writer>,
        folder: PathBuf,
    }

    impl Fixture {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("keystead-writer-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let folder = std::env::temp_dir().join(name);
            fs::create_dir(&folder).unwrap();
            let writer = Arc::new(Writer::start(&folder.join("db"), PATIENCE, Arc::default()).unwrap());
            let fixture = Self { writer, folder };
            let schema = "CREATE TABLE parents (id BIGINT PRIMARY KEY);
                CREATE TABLE children (id BIGINT PRIMARY KEY,
                    parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);";
            fixture.write(|tx| execute(tx, schema)).unwrap();
            fixture
        }

        /// Holds the writer up until the returned closure is called, so that what is asked
        /// meanwhile shares a transaction.
        fn hold(&self) -> impl FnOnce() + use<> {
            let (release, held) = channel::<()>();
            let (began, begun) = channel();
            let writer = Arc::clone(&self.writer);
            let holder = thread::spawn(move || {
                writer.write(Claim::on(None), move |_| {
                    began.send(()).unwrap();
                    held.recv().unwrap();
                    Ok(())
                })
            });
            begun.recv().unwrap();
            move || {
                release.send(()).unwrap();
                let _ = holder.join().unwrap();
            }
        }

        fn write<T: Send + 'static>(
            &self,
            f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        ) -> Result<T, StoreError> {
            self.writer.write(Claim::on(None), f)
        }

        fn parents(&self) -> Vec<i64> {
            self.write(|tx| rows(tx, "SELECT id FROM parents ORDER BY id")).unwrap()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }

    fn execute(tx: &mut Tx<'_>, sql: &str) -> Result<(), StoreError> {
        Ok(on!(tx, |conn| conn.batch_execute(sql))?)
    }

    fn rows(tx: &mut Tx<'_>, sql: &str) -> Result<Vec<i64>, StoreError> {
        let rows: Vec<Row> = on!(tx, |conn| diesel::sql_query(sql).load(conn))?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    fn insert_parent(id: i64) -> impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static {
        move |tx| execute(tx, &format!("INSERT INTO parents VALUES ({id})"))
    }

    /// Asks for writes from threads of their own, in this order.
    fn ask<F>(writer: &Arc<Writer>, writes: Vec<F>) -> Vec<JoinHandle<Result<(), StoreError>>>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let ask = |write| {
            let writer = Arc::clone(writer);
            let thread = thread::spawn(move || writer.write(Claim::on(None), write));
            // The next one comes after it.
            thread::sleep(Duration::from_millis(20));
            thread
        };
        writes.into_iter().map(ask).collect()
    }

    type AnyWrite = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send>;

    #[test]
    fn in_a_group_each_fails_alone() {
        let fixture = Fixture::new();
        let release = fixture.hold();
        let writes: Vec<AnyWrite> = vec![
            Box::new(insert_parent(1)),
            Box::new(|tx| {
                insert_parent(2)(tx)?;
                Err(StoreError::Failed("no".to_owned()))
            }),
            Box::new(|tx| {
                insert_parent(3)(tx)?;
                panic!("a test's panic");
            }),
            Box::new(insert_parent(1)),
            Box::new(insert_parent(5)),
        ];
        let asked = ask(&fixture.writer, writes);
        release();
        let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap().is_ok()).collect();
        assert_eq!(answers, [true, false, false, false, true]);
        assert_eq!(fixture.parents(), [1, 5]);
    }

    #[test]
    fn when_the_commit_fails_nobody_is_told_otherwise() {
        let fixture = Fixture::new();
        let release = fixture.hold();
        let writes: Vec<AnyWrite> = vec![
            Box::new(insert_parent(1)),
            // Only the commit finds out.
            Box::new(|tx| execute(tx, "INSERT INTO children VALUES (1, 77)")),
            Box::new(|_| Err(StoreError::Failed("no".to_owned()))),
        ];
        let asked = ask(&fixture.writer, writes);
        release();
        for asked in asked {
            assert!(matches!(asked.join().unwrap(), Err(StoreError::Unavailable(_))));
        }
        assert!(fixture.parents().is_empty());
        fixture.write(insert_parent(9)).unwrap();
        assert_eq!(fixture.parents(), [9], "the writer goes on");
    }

    #[test]
    fn a_transaction_that_is_gone_takes_its_group_along_and_no_more() {
        let fixture = Fixture::new();
        let release = fixture.hold();
        let writes: Vec<AnyWrite> = vec![
            Box::new(insert_parent(1)),
            // As SQLite does by itself when the disk is full.
            Box::new(|tx| execute(tx, "ROLLBACK")),
        ];
        let asked = ask(&fixture.writer, writes);
        release();
        for asked in asked {
            assert!(matches!(asked.join().unwrap(), Err(StoreError::Unavailable(_))));
        }
        fixture.write(insert_parent(9)).unwrap();
        assert_eq!(fixture.parents(), [9]);
    }

    #[test]
    fn what_waited_too_long_is_not_begun() {
        let fixture = Fixture::new();
        let impatient = Writer::start(&fixture.folder.join("db"), Duration::ZERO, Arc::default()).unwrap();
        assert!(matches!(
            impatient.write(Claim::on(None), insert_parent(1)),
            Err(StoreError::Unavailable(_))
        ));
        assert!(fixture.parents().is_empty());
    }
}
