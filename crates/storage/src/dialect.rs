//! The few places where the two databases truly differ.

use diesel::RunQueryDsl as _;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::result::{DatabaseErrorInformation, QueryResult};
use diesel::sql_types::{Bool, Integer};

use crate::connection::Connection;
use crate::error::UniqueKey;
use crate::postgres;

/// Begins a transaction that will write. SQLite takes its write lock at once: a transaction that
/// reads first and then finds another writer ahead of it could not go on.
pub(crate) fn begin_write(connection: &mut Connection) -> QueryResult<()> {
    match connection {
        Connection::Sqlite(conn) => {
            AnsiTransactionManager::begin_transaction_sql(&mut **conn, "BEGIN IMMEDIATE")
        }
        Connection::Postgres(conn) => postgres::begin(conn, "BEGIN"),
    }
}

/// Begins a transaction that reads one state of the database, and cannot write.
pub(crate) fn begin_read(connection: &mut Connection) -> QueryResult<()> {
    match connection {
        // The connections that read are `query_only`.
        Connection::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(&mut **conn, "BEGIN"),
        Connection::Postgres(conn) => {
            postgres::begin(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        }
    }
}

/// Begins a part of the open transaction that can be undone by itself. There is one at a time. diesel's own
/// savepoints are parsed each time.
pub(crate) fn begin_part(connection: &mut Connection) -> QueryResult<()> {
    on!(connection, |conn| one_form!(sql::<Integer>("SAVEPOINT part")).load::<i32>(conn))?;
    Ok(())
}

/// Makes what was done in the part one with the transaction.
pub(crate) fn keep_part(connection: &mut Connection) -> QueryResult<()> {
    on!(connection, |conn| one_form!(sql::<Integer>("RELEASE SAVEPOINT part")).load::<i32>(conn))?;
    Ok(())
}

/// Undoes what was done in the part.
pub(crate) fn undo_part(connection: &mut Connection) -> QueryResult<()> {
    on!(connection, |conn| one_form!(sql::<Integer>("ROLLBACK TO SAVEPOINT part")).load::<i32>(conn))?;
    keep_part(connection)
}

pub(crate) fn commit(connection: &mut Connection) -> QueryResult<()> {
    match connection {
        Connection::Sqlite(conn) => AnsiTransactionManager::commit_transaction(&mut **conn),
        Connection::Postgres(conn) => postgres::commit(conn),
    }
}

pub(crate) fn rollback(connection: &mut Connection) -> QueryResult<()> {
    match connection {
        Connection::Sqlite(conn) => AnsiTransactionManager::rollback_transaction(&mut **conn),
        Connection::Postgres(conn) => postgres::rollback(conn),
    }
}

/// That a column holds a value of its own type: SQLite keeps one of any.
pub(crate) fn has_type(connection: &Connection, column: &str, sqlite: &str) -> SqlLiteral<Bool> {
    sql(&match connection {
        Connection::Sqlite(_) => format!("typeof({column}) = '{sqlite}'"),
        Connection::Postgres(_) => "TRUE".to_owned(),
    })
}

/// Which key clashed: PostgreSQL names the index, SQLite the columns.
pub(crate) fn unique_key(info: &dyn DatabaseErrorInformation) -> UniqueKey {
    let named = info.constraint_name().unwrap_or_else(|| info.message());
    let is = |index: &str, columns: &str| named == index || named.ends_with(columns);
    if is("tenants_slug", "failed: tenants.slug") {
        UniqueKey::TenantSlug
    } else if is("users_email", "failed: users.directory, users.email_key") {
        UniqueKey::UserEmail
    } else if is("users_handle", "failed: users.directory, users.handle") {
        UniqueKey::UserHandle
    } else if is("memberships_user", "failed: memberships.tenant_id, memberships.user_id") {
        UniqueKey::Membership
    } else if is("invites_pending", "failed: invites.tenant_id, invites.email_key") {
        UniqueKey::PendingInvite
    } else if is("api_key_secrets_digest", "failed: api_key_secrets.digest")
        || is("imported_keys_pkey", "failed: imported_keys.digest")
    {
        UniqueKey::KeyDigest
    } else if is("projects_slug", "failed: projects.tenant_id, projects.slug") {
        UniqueKey::ProjectSlug
    } else if is("signing_keys_current", "failed: signing_keys.algorithm") || named == "signing_keys_next" {
        UniqueKey::SigningKey
    } else if is("deployment_pkey", "failed: deployment.key") {
        UniqueKey::Deployment
    } else if is("audit_seals_pkey", "failed: audit_seals.number")
        || is("audit_seals_chain", "failed: audit_seals.process, audit_seals.ordinal")
    {
        UniqueKey::AuditSeal
    } else {
        UniqueKey::Minted
    }
}

/// Whether a failure that diesel has no kind for will pass: SQLite's `SQLITE_BUSY` and
/// PostgreSQL's deadlocks, shutdowns and full connection slots.
pub(crate) fn is_transient(message: &str) -> bool {
    [
        "database is locked",
        "deadlock detected",
        "terminating connection",
        "too many clients",
        "starting up",
        "shutting down",
    ]
    .iter()
    .any(|known| message.contains(known))
}
