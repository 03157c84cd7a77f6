//! The store: the two ways into the database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use keystead_domain::revocation::Revocation;
use tracing::Span;

use crate::connection::{Connection, Tx};
use crate::error::StoreError;
use crate::feed::{Call, Feed, Source};
use crate::generations::Generations;
use crate::pool::Pool;
use crate::trail::{Claim, Trail};
use crate::writer::Writer;
use crate::{dialect, migrations, postgres, sqlite};

/// Which database.
#[derive(Clone)]
pub enum Database {
    /// The file of an embedded SQLite database; it is made where there is none.
    Sqlite(PathBuf),
    /// The `postgres://` URL of a PostgreSQL database, 15 or later.
    Postgres(String),
}

/// An open database. Every call blocks: a thread that drives async tasks has an
/// [`AsyncReader`](crate::AsyncReader) instead.
pub struct Store {
    backend: Backend,
    source: Source,
    generations: Arc<Generations>,
    call: Arc<Call>,
    trail: OnceLock<Arc<Trail>>,
}

enum Backend {
    /// SQLite has one writer at a time, so there is one thread that writes.
    Sqlite {
        path: PathBuf,
        writer: Writer,
        readers: Pool<Connection>,
    },
    Postgres {
        pool: Pool<Connection>,
    },
}

/// How long a caller waits for a connection before the answer is 503.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

impl Store {
    /// Opens the database. `connections` bounds those to PostgreSQL; SQLite reads through two a
    /// core.
    pub fn open(database: &Database, connections: usize) -> Result<Self, StoreError> {
        let generations = Arc::<Generations>::default();
        let (backend, source) = match database {
            Database::Sqlite(path) => {
                let writer = Writer::start(path, PATIENCE, Arc::clone(&generations))?;
                let cores = thread::available_parallelism().map_or(1, usize::from);
                let readers_path = path.clone();
                let readers = Pool::new(2 * cores, PATIENCE, move || sqlite::open_reader(&readers_path));
                (Backend::Sqlite { path: path.clone(), writer, readers }, Source::Sqlite(path.clone()))
            }
            Database::Postgres(url) => {
                let server = postgres::Server::parse(url)?;
                let source = Source::Postgres(Box::new(server.clone()));
                let pool = Pool::new(connections, PATIENCE, move || server.connect());
                (Backend::Postgres { pool }, source)
            }
        };
        Ok(Self { backend, source, generations, call: Arc::default(), trail: OnceLock::new() })
    }

    /// Brings the schema up to date; returns how many steps that took. A database that a newer
    /// version made is refused.
    pub fn migrate(&self) -> Result<usize, StoreError> {
        match &self.backend {
            Backend::Sqlite { path, .. } => migrations::run(&mut sqlite::open_writer(path)?),
            Backend::Postgres { pool } => {
                let mut connection = pool.take()?;
                let result = migrations::run(&mut connection);
                pool.lost();
                result
            }
        }
    }

    /// Begins this process's audit trail, once; no event can be written before. The first trail
    /// stays.
    pub fn begin_trail(&self, trail: Trail) {
        let _ = self.trail.set(Arc::new(trail));
    }

    /// This process's audit trail.
    pub fn trail(&self) -> Result<&Trail, StoreError> {
        self.trail
            .get()
            .map(|trail| &**trail)
            .ok_or_else(|| StoreError::Failed("no trail was begun".to_owned()))
    }

    fn claim(&self) -> Claim {
        Claim::on(self.trail.get().cloned())
    }

    /// Runs `f` on one state of the database. It cannot write.
    pub fn read<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _span = self.span("read").entered();
        Ok(pooled(self.reading(), dialect::begin_read, self.claim(), f)?.0)
    }

    /// Runs `f`, which asks a single query: a query by itself sees one state of the database, and a
    /// transaction around it would cost more than it does. It is asked again where the connection turns
    /// out to have died while it was idle.
    pub fn look_up<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _span = self.span("read").entered();
        let pool = self.reading();
        match alone(pool, pool.take()?, &f) {
            Err(StoreError::Unavailable(_)) => {
                pool.forget_idle();
                alone(pool, pool.take()?, &f)
            }
            done => done,
        }
    }

    /// Runs `f` in a transaction. When this returns `Ok`, all that `f` wrote is durable; when it
    /// returns `Err`, or `f` does, nothing was written.
    ///
    /// `f` owns what it needs, because it runs on another thread on SQLite, and should be short:
    /// others wait for it. Hash, sign and call out before or after; never write from within it.
    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _span = self.span("write").entered();
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.write(self.claim(), f),
            Backend::Postgres { pool } => {
                let (value, revoked) = pooled(pool, dialect::begin_write, self.claim(), f)?;
                if !revoked.is_empty() {
                    self.generations.end(&revoked);
                    self.call.others();
                }
                Ok(value)
            }
        }
    }

    /// Runs `f`, which writes with a single statement and neither ends a right nor records an event: a
    /// statement by itself is a transaction, and BEGIN and COMMIT around it are two more ways to PostgreSQL
    /// and back. When this returns `Ok`, what it wrote is durable.
    pub fn write_alone<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _span = self.span("write").entered();
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.write(self.claim(), f),
            Backend::Postgres { pool } => alone(pool, pool.take()?, f),
        }
    }

    /// Where the rows are.
    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    /// The connections that read.
    pub(crate) const fn reading(&self) -> &Pool<Connection> {
        match &self.backend {
            Backend::Sqlite { readers, .. } => readers,
            Backend::Postgres { pool } => pool,
        }
    }

    /// How current something is that was read a while ago.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Follows what other processes end. Without anybody who does, nothing that was read a while ago
    /// counts as current.
    pub fn feed(&self) -> Feed<'_> {
        Feed::new(&self.source, &self.generations, &self.call)
    }

    /// What traces show of a transaction: how long it took, the wait for its turn included. Nothing of
    /// what it does.
    pub(crate) fn span(&self, name: &'static str) -> Span {
        let system = match self.backend {
            Backend::Sqlite { .. } => "sqlite",
            Backend::Postgres { .. } => "postgresql",
        };
        tracing::trace_span!(target: "keystead::trace", "transaction", otel.name = name, db.system.name = system)
    }
}

/// A transaction that did not take place.
struct Failed {
    error: StoreError,
    /// Whether the connection can be used for another.
    usable: bool,
}

fn pooled<T>(
    pool: &Pool<Connection>,
    begin: fn(&mut Connection) -> diesel::QueryResult<()>,
    claim: Claim,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> Result<(T, Vec<Revocation>), StoreError> {
    let mut connection = pool.take()?;
    if begin(&mut connection).is_err() {
        // It died while it was idle: the server restarted, say. Nothing has been asked of it, so
        // a new one can be tried; its idle neighbours died of the same.
        drop(connection);
        pool.lost();
        pool.forget_idle();
        connection = pool.take()?;
        if let Err(error) = begin(&mut connection) {
            pool.lost();
            return Err(StoreError::Unavailable(error.to_string()));
        }
    }
    match finish(&mut connection, claim, f) {
        Ok(value) => {
            pool.give_back(connection);
            Ok(value)
        }
        Err(failed) => {
            if failed.usable {
                pool.give_back(connection);
            } else {
                drop(connection);
                pool.lost();
            }
            Err(failed.error)
        }
    }
}

/// Runs `f` without a transaction around its statements. A connection that failed is not used again.
fn alone<T>(
    pool: &Pool<Connection>,
    mut connection: Connection,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let found = bare(&mut connection, f);
    match &found {
        Ok(_) => pool.give_back(connection),
        Err(_) => {
            drop(connection);
            pool.lost();
        }
    }
    found
}

/// Runs `f` on a connection as it is.
pub(crate) fn bare<T>(
    connection: &mut Connection,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // No event takes a number that is not written in a transaction.
    let mut claim = Claim::on(None);
    let asked = || {
        let mut tx = Tx::new(connection, &mut claim);
        let found = f(&mut tx)?;
        tx.ends_nothing()?;
        Ok(found)
    };
    catch_unwind(AssertUnwindSafe(asked))
        .unwrap_or_else(|_| Err(StoreError::Failed("a query panicked".to_owned())))
}

/// Runs `f` in the transaction that has begun, then commits it, or rolls it back if `f` fails or
/// panics. The claim is told what became of its numbers.
fn finish<T>(
    connection: &mut Connection,
    mut claim: Claim,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> Result<(T, Vec<Revocation>), Failed> {
    // What the closure leaves behind if it panics is the open transaction, which is rolled back.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut tx = Tx::new(connection, &mut claim);
        let value = f(&mut tx)?;
        Ok((value, tx.close()?))
    }));
    let error = match result {
        Ok(Ok(value)) => match dialect::commit(connection) {
            Ok(()) => {
                claim.committed();
                return Ok(value);
            }
            // The database may have committed before it could say so.
            Err(error) => StoreError::Unavailable(format!("the transaction was not committed: {error}")),
        },
        Ok(Err(error)) => {
            claim.rolled_back();
            error
        }
        Err(_) => {
            claim.rolled_back();
            StoreError::Failed("a transaction panicked".to_owned())
        }
    };
    let usable = dialect::rollback(connection).is_ok();
    Err(Failed { error, usable })
}
