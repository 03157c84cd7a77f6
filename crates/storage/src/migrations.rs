//! The schema's steps, embedded. All that are pending run in one transaction, under a lock, so
//! that several processes may start at once and none sees half a schema.

use diesel::connection::SimpleConnection;
use diesel::migration::{MigrationConnection, MigrationSource};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryableByName, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::Connection;
use crate::{StoreError, dialect};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Names the advisory lock that PostgreSQL holds until the migrating transaction ends: the ASCII
/// codes of `keystead`.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7738725071487066468)";

/// Brings the schema up to date; returns how many steps that took.
pub(crate) fn run(connection: &mut Connection) -> Result<usize, StoreError> {
    dialect::begin_write(connection)?;
    let ran = match connection {
        Connection::Sqlite(conn) => pending(&mut **conn, SQLITE),
        Connection::Postgres(conn) => conn
            .batch_execute(POSTGRES_LOCK)
            .map_err(StoreError::from)
            .and_then(|()| pending(&mut ***conn, POSTGRES)),
    };
    match ran {
        Ok(count) => {
            dialect::commit(connection)?;
            Ok(count)
        }
        Err(error) => {
            dialect::rollback(connection)?;
            Err(error)
        }
    }
}

fn pending<C>(conn: &mut C, embedded: EmbeddedMigrations) -> Result<usize, StoreError>
where
    C: MigrationConnection + MigrationHarness<C::Backend> + 'static,
    EmbeddedMigrations: diesel::migration::MigrationSource<C::Backend>,
{
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Failed(format!("the schema cannot be migrated: {error}"))
    };
    let known = diesel::migration::MigrationSource::<C::Backend>::migrations(&embedded).map_err(failed)?;
    let known: Vec<String> = known.iter().map(|step| step.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if let Some(newer) = applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        return Err(StoreError::Newer(newer));
    }
    Ok(conn.run_pending_migrations(embedded).map_err(failed)?.len())
}

/// How the schema of a database stands to that of this version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Schema {
    /// There is none yet.
    Empty,
    /// It is the same.
    Current,
    /// So many steps are missing.
    Behind(usize),
    /// A newer version has taken this step.
    Newer(String),
}

/// How the schema stands, without changing it.
pub(crate) fn state(connection: &mut Connection) -> Result<Schema, StoreError> {
    let exists: Count = match connection {
        Connection::Sqlite(conn) => diesel::sql_query(
            "SELECT count(*) AS count FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
        )
        .get_result(&mut **conn)?,
        Connection::Postgres(conn) => {
            diesel::sql_query("SELECT count(to_regclass('__diesel_schema_migrations')) AS count")
                .get_result(&mut ***conn)?
        }
    };
    if exists.count == 0 {
        return Ok(Schema::Empty);
    }
    let applied: Vec<Version> = on!(connection, |conn| diesel::sql_query(
        "SELECT version FROM __diesel_schema_migrations ORDER BY version"
    )
    .load(conn))?;
    let embedded = MigrationSource::<Sqlite>::migrations(&SQLITE)
        .map_err(|error| StoreError::Failed(format!("the steps of the schema cannot be read: {error}")))?;
    let known: Vec<String> = embedded.iter().map(|step| step.name().version().to_string()).collect();
    if let Some(newer) = applied.iter().find(|step| !known.contains(&step.version)) {
        return Ok(Schema::Newer(newer.version.clone()));
    }
    match known.len() - applied.len().min(known.len()) {
        0 => Ok(Schema::Current),
        missing => Ok(Schema::Behind(missing)),
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}
