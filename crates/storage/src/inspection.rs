//! Looking at a database without touching it: nothing is made, migrated or written.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text};
use keystead_domain::Timestamp;

use crate::connection::{Connection, Tx};
use crate::migrations::{self, Schema};
use crate::postgres::Server;
use crate::trail::Claim;
use crate::{Database, StoreError, dialect, sqlite};

/// A database that is looked at. There is no function through which anybody could write.
pub struct Inspection {
    connection: Connection,
    server: Option<Server>,
}

/// What is known of a SQLite database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteFacts {
    /// Whether a commit is on the disk when it returns, as we ask of SQLite.
    pub is_synchronous: bool,
    /// What `PRAGMA quick_check` found first: `ok`, or what is damaged.
    pub quick_check: String,
}

/// What is known of a PostgreSQL server and of our connections to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresFacts {
    /// `150004` for 15.4.
    pub version: i32,
    /// The settings `synchronous_commit`, `fsync` and `full_page_writes`, as they are for us.
    pub synchronous_commit: String,
    /// See above.
    pub fsync: String,
    /// See above.
    pub full_page_writes: String,
    /// Whether it is a replica, which cannot be written to.
    pub is_replica: bool,
    /// Whether the role is a superuser.
    pub is_superuser: bool,
    /// How many connections we may have, all processes together.
    pub connections: i64,
    /// What time it is there.
    pub now: Timestamp,
    /// Whether a pooler in front of it gives each transaction another connection.
    pub pooled_by_transaction: bool,
}

impl Inspection {
    /// Opens the database; nothing where SQLite's file is not there.
    pub fn open(database: &Database) -> Result<Option<Self>, StoreError> {
        match database {
            Database::Sqlite(path) if !Path::new(path).exists() => Ok(None),
            Database::Sqlite(path) => {
                Ok(Some(Self { connection: sqlite::open_to_inspect(path)?, server: None }))
            }
            Database::Postgres(url) => {
                let server = Server::parse(url)?;
                Ok(Some(Self { connection: server.connect()?, server: Some(server) }))
            }
        }
    }

    /// How the schema stands to that of this version.
    pub fn schema(&mut self) -> Result<Schema, StoreError> {
        self.read(|tx| migrations::state(tx.connection()))
    }

    /// Runs `f` on one state of the database.
    pub fn read<T>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        dialect::begin_read(&mut self.connection)?;
        let result = f(&mut Tx::new(&mut self.connection, &mut Claim::on(None)));
        dialect::rollback(&mut self.connection)?;
        result
    }

    /// What there is to know of a SQLite database. Reads all of it.
    pub fn sqlite(&mut self) -> Result<Option<SqliteFacts>, StoreError> {
        let Connection::Sqlite(conn) = &mut self.connection else { return Ok(None) };
        let mut text = |sql: &str| diesel::sql_query(sql).get_result::<Word>(&mut **conn).map(|row| row.word);
        Ok(Some(SqliteFacts {
            is_synchronous: sqlite::is_synchronous()?,
            quick_check: text("SELECT quick_check AS word FROM pragma_quick_check LIMIT 1")?,
        }))
    }

    /// What there is to know of a PostgreSQL server.
    pub fn postgres(&mut self) -> Result<Option<PostgresFacts>, StoreError> {
        let Some(server) = self.server.clone() else { return Ok(None) };
        let row: PostgresRow = self.read(|tx| match tx.connection() {
            Connection::Postgres(conn) => Ok(diesel::sql_query(POSTGRES).get_result(&mut ***conn)?),
            Connection::Sqlite(_) => Err(StoreError::Failed("not PostgreSQL".to_owned())),
        })?;
        // A negative limit is none.
        let limits = [row.server_limit, row.role_limit, row.database_limit];
        let connections = limits.into_iter().filter(|limit| *limit >= 0).min().unwrap_or(0);
        Ok(Some(PostgresFacts {
            version: row.version,
            synchronous_commit: row.synchronous_commit,
            fsync: row.fsync,
            full_page_writes: row.full_page_writes,
            is_replica: row.is_replica,
            is_superuser: row.is_superuser,
            connections: connections.into(),
            now: Timestamp::from_micros(row.now_micros),
            pooled_by_transaction: self.is_pooled_by_transaction(&server)?,
        }))
    }

    /// Two clients that are connected at once have two backends, unless somebody between lends the same
    /// one to both, for a transaction each.
    fn is_pooled_by_transaction(&mut self, server: &Server) -> Result<bool, StoreError> {
        let mine = self.read(backend)?;
        let mut other = Self { connection: server.connect()?, server: None };
        let theirs = other.read(backend)?;
        Ok(mine == theirs || self.read(backend)? != mine)
    }
}

/// The process that serves the connection.
fn backend(tx: &mut Tx<'_>) -> Result<i32, StoreError> {
    match tx.connection() {
        Connection::Postgres(conn) => {
            let row: Backend =
                diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(&mut ***conn)?;
            Ok(row.pid)
        }
        Connection::Sqlite(_) => Ok(0),
    }
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

const POSTGRES: &str = "SELECT
    current_setting('server_version_num')::int AS version,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    pg_is_in_recovery() AS is_replica,
    role.rolsuper AS is_superuser,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS server_limit,
    role.rolconnlimit AS role_limit,
    database.datconnlimit AS database_limit,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_micros
    FROM pg_roles role, pg_database database
    WHERE role.rolname = current_user AND database.datname = current_database()";

#[derive(QueryableByName)]
struct PostgresRow {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    synchronous_commit: String,
    #[diesel(sql_type = Text)]
    fsync: String,
    #[diesel(sql_type = Text)]
    full_page_writes: String,
    #[diesel(sql_type = Bool)]
    is_replica: bool,
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Integer)]
    server_limit: i32,
    #[diesel(sql_type = Integer)]
    role_limit: i32,
    #[diesel(sql_type = Integer)]
    database_limit: i32,
    #[diesel(sql_type = BigInt)]
    now_micros: i64,
}
