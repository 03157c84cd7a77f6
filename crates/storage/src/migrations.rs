//! The schema's steps, embedded. All that are pending run in one transaction, under a lock, so
//! that several processes may start at once and none sees half a schema.

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::Connection;
use crate::{StoreError, dialect};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
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
            .and_then(|()| pending(&mut **conn, POSTGRES)),
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
