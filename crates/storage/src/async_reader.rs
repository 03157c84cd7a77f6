//! Looking things up on a thread that drives async tasks.
//!
//! Handing a look-up to another thread and waking up for the answer costs more than most look-ups. So each event
//! loop has a connection of its own, which counts as one of the pool's. On PostgreSQL the questions of all requests go
//! out over it as they come, before the first is answered (pipelining). On SQLite a question is answered where it
//! was asked: it reads a few pages, waits for no writer (<https://www.sqlite.org/wal.html#concurrency>), and rests when the
//! disk turns out to be slow.
//!
//! Whatever is in the way (a slow disk, a connection that died, no place for one), a question goes to the store, on
//! a thread that may block.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use tracing::{Instrument as _, Span};

use crate::connection::{Connection, Tx};
use crate::error::StoreError;
use crate::feed::Source;
use crate::postgres::Server;
use crate::sqlite;
use crate::store::{PATIENCE, Store, bare};

/// Something that one query answers, on either database.
pub trait Question: Clone + Send + 'static {
    /// What is found.
    type Answer: Send + 'static;

    /// Asks and waits for the answer.
    fn ask(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, StoreError>;

    /// Asks PostgreSQL, with other questions on their way.
    #[doc(hidden)]
    fn ask_on(&self, line: &AsyncPgConnection) -> impl Future<Output = Result<Self::Answer, StoreError>>;
}

/// Answers questions without blocking the thread that asks. It is of one thread, on which a tokio runtime runs that
/// drives I/O and timers.
pub struct AsyncReader {
    store: Arc<Store>,
    own: RefCell<Own>,
    /// Until when the own connection is not used: it was slow, or could not be opened.
    rests: Cell<Option<Instant>>,
}

/// The reader's own connection.
enum Own {
    Absent,
    Sqlite(Connection),
    Postgres(Rc<AsyncPgConnection>),
    /// Somebody is opening it.
    Opening,
}

/// How long SQLite may read in place without resting afterwards. Pages that are in memory take microseconds, those
/// on a local disk some hundred; everything else on the event loop waits meanwhile.
const SLOW: Duration = Duration::from_millis(1);
/// How many times as long it rests: so slow reads never take more than a twentieth of an event loop's time.
const RESTS: u32 = 20;
/// After how long it is tried again to open a connection.
const REOPEN: Duration = Duration::from_secs(1);
/// How many questions wait for PostgreSQL's answers at once. They are answered one after the other.
const IN_FLIGHT: usize = 64;

impl AsyncReader {
    /// A reader for the thread that calls. It opens its connection when it is first asked.
    pub const fn new(store: Arc<Store>) -> Self {
        Self { store, own: RefCell::new(Own::Absent), rests: Cell::new(None) }
    }

    /// The answer to a question, as [`Store::look_up`] finds it.
    pub async fn look_up<Q: Question>(&self, question: &Q) -> Result<Q::Answer, StoreError> {
        if self.may_try() {
            let span = self.store.span("read");
            let found = match self.store.source() {
                Source::Sqlite(path) => span.in_scope(|| self.in_place(path, question)),
                Source::Postgres(server) => self.on_line(server, question).instrument(span).await,
            };
            if let Some(found) = found {
                return found;
            }
        }
        let (store, question) = (Arc::clone(&self.store), question.clone());
        let parent = Span::current();
        let elsewhere = move || parent.in_scope(|| store.look_up(|tx| question.ask(tx)));
        tokio::task::spawn_blocking(elsewhere)
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(format!("a look-up did not end: {error}"))))
    }

    /// Whether the own connection is not at rest.
    fn may_try(&self) -> bool {
        match self.rests.get() {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                self.rests.set(None);
                true
            }
            None => true,
        }
    }

    fn rest(&self, long: Duration) {
        self.rests.set(Instant::now().checked_add(long));
    }

    /// Reads here and now.
    fn in_place<Q: Question>(&self, path: &Path, question: &Q) -> Option<Result<Q::Answer, StoreError>> {
        let mut own = self.own.borrow_mut();
        if matches!(*own, Own::Absent) {
            if !self.store.reading().keep_one() {
                self.rest(REOPEN);
                return None;
            }
            let Ok(opened) = sqlite::open_reader(path) else {
                self.store.reading().keep_no_more();
                self.rest(REOPEN);
                return None;
            };
            *own = Own::Sqlite(opened);
        }
        let Own::Sqlite(connection) = &mut *own else { return None };
        let began = Instant::now();
        let found = bare(connection, |tx| question.ask(tx));
        let took = began.elapsed();
        if took > SLOW {
            self.rest(took.saturating_mul(RESTS));
        }
        if found.is_err() {
            *own = Own::Absent;
            self.store.reading().keep_no_more();
            return None;
        }
        Some(found)
    }

    /// Sends the question, and waits for the answer.
    async fn on_line<Q: Question>(
        &self,
        server: &Server,
        question: &Q,
    ) -> Option<Result<Q::Answer, StoreError>> {
        let line = self.line(server).await?;
        // Whoever waits holds one, and the reader another.
        if Rc::strong_count(&line) > IN_FLIGHT + 1 {
            return None;
        }
        match tokio::time::timeout(PATIENCE, question.ask_on(&line)).await {
            Ok(Ok(found)) => Some(Ok(found)),
            Ok(Err(_)) => {
                self.hang_up(&line);
                None
            }
            Err(_) => {
                self.hang_up(&line);
                let seconds = PATIENCE.as_secs();
                let error = format!("PostgreSQL did not answer a look-up within {seconds} seconds");
                Some(Err(StoreError::Unavailable(error)))
            }
        }
    }

    /// The connection to PostgreSQL. Only one request waits until it is open.
    async fn line(&self, server: &Server) -> Option<Rc<AsyncPgConnection>> {
        match &*self.own.borrow() {
            Own::Postgres(line) => return Some(Rc::clone(line)),
            Own::Absent => {}
            Own::Sqlite(_) | Own::Opening => return None,
        }
        if !self.store.reading().keep_one() {
            self.rest(REOPEN);
            return None;
        }
        let opening = Opening::begin(self);
        let Ok(opened) = server.open().await else {
            self.rest(REOPEN);
            return None;
        };
        Some(opening.done(Rc::new(opened)))
    }

    /// Gives up a connection that failed. A new one is opened for the next question.
    fn hang_up(&self, failed: &Rc<AsyncPgConnection>) {
        let mut own = self.own.borrow_mut();
        if matches!(&*own, Own::Postgres(line) if Rc::ptr_eq(line, failed)) {
            *own = Own::Absent;
            self.store.reading().keep_no_more();
        }
    }
}

impl Drop for AsyncReader {
    fn drop(&mut self) {
        if !matches!(*self.own.get_mut(), Own::Absent) {
            self.store.reading().keep_no_more();
        }
    }
}

/// A connection that is being opened. The request that waits for it may be given up meanwhile.
struct Opening<'r>(Option<&'r AsyncReader>);

impl<'r> Opening<'r> {
    fn begin(reader: &'r AsyncReader) -> Self {
        reader.own.replace(Own::Opening);
        Self(Some(reader))
    }

    fn done(mut self, line: Rc<AsyncPgConnection>) -> Rc<AsyncPgConnection> {
        if let Some(reader) = self.0.take() {
            reader.own.replace(Own::Postgres(Rc::clone(&line)));
        }
        line
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.0 {
            reader.own.replace(Own::Absent);
            reader.store.reading().keep_no_more();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread::{self, ThreadId};

    use crate::Database;

    /// On which thread it is asked, by somebody who takes his time; it fails for the first so many times.
    #[derive(Clone)]
    struct Where {
        takes: Duration,
        failures: Arc<AtomicU32>,
    }

    impl Where {
        fn new(takes: Duration, failures: u32) -> Self {
            Self { takes, failures: Arc::new(AtomicU32::new(failures)) }
        }
    }

    impl Question for Where {
        type Answer = ThreadId;

        fn ask(&self, _: &mut Tx<'_>) -> Result<ThreadId, StoreError> {
            thread::sleep(self.takes);
            let less = |failures: u32| failures.checked_sub(1);
            match self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
                Ok(_) => Err(StoreError::Failed("a test's failure".to_owned())),
                Err(_) => Ok(thread::current().id()),
            }
        }

        async fn ask_on(&self, _: &AsyncPgConnection) -> Result<ThreadId, StoreError> {
            Err(StoreError::Failed("this test has no PostgreSQL".to_owned()))
        }
    }

    /// Runs `f` with a reader of an empty database.
    fn with_reader(f: impl AsyncFnOnce(&AsyncReader)) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Database::Sqlite(folder.path().join("db")), 1).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(f(&AsyncReader::new(Arc::new(store))));
    }

    /// Waits until it has rested, which it also does where this machine is busy.
    async fn until_in_place(reader: &AsyncReader) {
        let quick = Where::new(Duration::ZERO, 0);
        while reader.look_up(&quick).await.unwrap() != thread::current().id() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn sqlite_is_read_in_place_while_that_is_quick() {
        with_reader(async |reader| {
            let (quick, slow) = (Where::new(Duration::ZERO, 0), Where::new(20 * SLOW, 0));
            let here = thread::current().id();
            assert_eq!(reader.look_up(&slow).await.unwrap(), here);
            assert_ne!(reader.look_up(&quick).await.unwrap(), here, "it rests");
            until_in_place(reader).await;
        });
    }

    #[test]
    fn what_fails_in_place_is_asked_once_more_elsewhere() {
        with_reader(async |reader| {
            let here = thread::current().id();
            assert_ne!(reader.look_up(&Where::new(Duration::ZERO, 1)).await.unwrap(), here);
            assert!(reader.look_up(&Where::new(Duration::ZERO, 9)).await.is_err());
            until_in_place(reader).await;
        });
    }

    #[test]
    fn a_reader_that_goes_leaves_its_place() {
        with_reader(async |reader| {
            for _ in 0..100 {
                let other = AsyncReader::new(Arc::clone(&reader.store));
                let found = other.look_up(&Where::new(Duration::ZERO, 0)).await.unwrap();
                assert_eq!(found, thread::current().id());
            }
        });
    }
}
