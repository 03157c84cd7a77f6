//! Following what other processes end.
//!
//! A process that remembers what it verified looks at the revocations every quarter of a second,
//! on a connection of its own, so that busy callers do not hold it up. On SQLite it first asks
//! whether anybody wrote at all. On PostgreSQL others call out, so that it looks sooner; that is a
//! courtesy, and nothing depends on the call being heard.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use tokio::sync::Notify;

use crate::connection::Connection;
use crate::generations::Generations;
use crate::postgres::{Listener, Server};
use crate::revocations::{Followed, News};
use crate::{StoreError, sqlite};

/// How often somebody looks who hears no call.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a connection may have been away before what was missed is not looked for one by one.
const AWAY_AT_MOST: Duration = Duration::from_secs(30);

/// Tells a sleeping feed to look at once, and other processes' feeds too.
#[derive(Default)]
pub(crate) struct Call {
    called: Mutex<bool>,
    changed: Condvar,
    others: Notify,
}

impl Call {
    /// Calls the feeds of other processes.
    pub(crate) fn others(&self) {
        self.others.notify_one();
    }

    /// Waits until others are to be called.
    pub(crate) async fn to_others(&self) {
        self.others.notified().await;
    }

    /// Calls this process's own feed.
    pub(crate) fn out(&self) {
        *self.called.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self, patience: Duration) {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut called, _) = self
            .changed
            .wait_timeout_while(called, patience, |called| !*called)
            .unwrap_or_else(PoisonError::into_inner);
        *called = false;
    }
}

/// Where the revocations are read.
pub(crate) enum Source {
    Sqlite(std::path::PathBuf),
    Postgres(Box<Server>),
}

/// Reads the revocations of a store until it is dropped.
pub struct Feed<'s> {
    source: &'s Source,
    generations: &'s Generations,
    call: &'s Arc<Call>,
    connection: Option<Connection>,
    followed: Followed,
    /// What SQLite said of the file when it was last read.
    version: Option<i64>,
    looked: Option<Instant>,
    /// Hears the calls of other processes, once the feed [waits](Self::wait).
    listener: Option<Listener>,
}

impl<'s> Feed<'s> {
    pub(crate) fn new(source: &'s Source, generations: &'s Generations, call: &'s Arc<Call>) -> Self {
        Self {
            source,
            generations,
            call,
            connection: None,
            followed: Followed::default(),
            version: None,
            looked: None,
            listener: None,
        }
    }

    /// Looks once what was ended, and makes this process forget it.
    pub fn look(&mut self) -> Result<(), StoreError> {
        let asked = Instant::now();
        if self.looked.is_none_or(|looked| asked.saturating_duration_since(looked) > AWAY_AT_MOST) {
            (self.followed, self.version) = (Followed::default(), None);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // Another connection counts the changes of the file from elsewhere.
                self.version = None;
                match self.source {
                    Source::Sqlite(path) => sqlite::open_reader(path)?,
                    Source::Postgres(server) => server.connect()?,
                }
            }
        };
        let version = data_version(&mut connection)?;
        if version.is_none() || version != self.version {
            match self.followed.look(&mut connection, asked)? {
                News::Revoked(revoked) => self.generations.end(&revoked),
                News::Everything => self.generations.end_everything(),
            }
            self.version = version;
        }
        self.connection = Some(connection);
        self.looked = Some(asked);
        self.generations.known_at(asked);
        Ok(())
    }

    /// Waits until it is time to look again.
    pub fn wait(&mut self) {
        if let Source::Postgres(server) = self.source {
            self.listener.get_or_insert_with(|| Listener::start((**server).clone(), Arc::clone(self.call)));
        }
        self.call.wait(LOOK_EVERY);
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

/// A number that changes whenever another connection wrote; nothing where there is none.
fn data_version(connection: &mut Connection) -> Result<Option<i64>, StoreError> {
    match connection {
        Connection::Sqlite(conn) => {
            let version: Version = diesel::sql_query("PRAGMA data_version").get_result(&mut **conn)?;
            Ok(Some(version.data_version))
        }
        Connection::Postgres(_) => Ok(None),
    }
}
