//! A connection to either database, and the transactions that open it to queries.

use diesel::SqliteConnection;
use keystead_domain::Owner;
use keystead_domain::policy::{PlatformScope, TenantScope};
use keystead_domain::revocation::Revocation;

use crate::postgres::Postgres;
use crate::trail::Claim;
use crate::{StoreError, revocations};

/// A connection to one of the two databases.
pub(crate) enum Connection {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<Postgres>),
}

impl Connection {
    /// Itself, so that [`on!`] takes it as well as a transaction.
    pub(crate) const fn connection(&mut self) -> &mut Self {
        self
    }
}

/// Runs one query, written once, on whichever database the transaction is open on: the query is
/// compiled for both.
macro_rules! on {
    ($tx:expr, |$conn:ident| $query:expr) => {
        match $tx.connection() {
            $crate::connection::Connection::Sqlite(boxed) => {
                let $conn = &mut **boxed;
                $query
            }
            $crate::connection::Connection::Postgres(boxed) => {
                let $conn = &mut ***boxed;
                $query
            }
        }
    };
}

/// Runs one statement that answers how many rows it changed, and [keeps it prepared](crate::prepared).
macro_rules! execute {
    ($tx:expr, $statement:expr) => {{
        let statement = $crate::prepared::KeepPrepared::keep_prepared($statement);
        match $tx.connection() {
            $crate::connection::Connection::Sqlite(conn) => {
                diesel::RunQueryDsl::execute(statement, &mut **conn)
            }
            $crate::connection::Connection::Postgres(conn) => $crate::postgres::execute(conn, statement),
        }
    }};
}

/// An open transaction. By itself it reaches no row of any owner but through
/// [`locate`](crate::locate).
pub struct Tx<'c> {
    connection: &'c mut Connection,
    claim: &'c mut Claim,
    revoked: Vec<Revocation>,
}

/// An open transaction on the rows of one owner.
pub struct TenantTx<'c> {
    connection: &'c mut Connection,
    claim: &'c mut Claim,
    revoked: &'c mut Vec<Revocation>,
    owner: Owner,
    owner_text: String,
}

/// An open transaction on what belongs to no owner, or to all of them.
pub struct PlatformTx<'c> {
    connection: &'c mut Connection,
    revoked: &'c mut Vec<Revocation>,
}

impl<'c> Tx<'c> {
    /// The claim takes the numbers of the audit events that are written.
    pub(crate) const fn new(connection: &'c mut Connection, claim: &'c mut Claim) -> Self {
        Self { connection, claim, revoked: Vec::new() }
    }

    /// Writes down what was ended, as the last thing before the commit, and tells what that was.
    pub(crate) fn close(self) -> Result<Vec<Revocation>, StoreError> {
        revocations::insert(self.connection, &self.revoked)?;
        Ok(self.revoked)
    }

    /// Refuses what ended something outside a transaction, in which nobody would be told.
    pub(crate) fn ends_nothing(&self) -> Result<(), StoreError> {
        if self.revoked.is_empty() {
            return Ok(());
        }
        Err(StoreError::Failed("something was ended outside a transaction".to_owned()))
    }

    /// The same transaction, on the rows of the scope's owner.
    pub fn tenant(&mut self, scope: &TenantScope) -> TenantTx<'_> {
        let owner = scope.owner();
        TenantTx {
            connection: self.connection,
            claim: self.claim,
            revoked: &mut self.revoked,
            owner,
            owner_text: owner.to_string(),
        }
    }

    /// The same transaction, on the deployment as a whole.
    pub fn platform(&mut self, _: &PlatformScope) -> PlatformTx<'_> {
        PlatformTx { connection: self.connection, revoked: &mut self.revoked }
    }

    pub(crate) const fn connection(&mut self) -> &mut Connection {
        self.connection
    }
}

impl TenantTx<'_> {
    /// Whose rows these are.
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// Says that something was ended or changed, so that nobody goes on with what it had verified.
    pub(crate) fn revoke(&mut self, what: Revocation) {
        if !self.revoked.contains(&what) {
            self.revoked.push(what);
        }
    }

    /// The owner as its column holds it.
    pub(crate) fn key(&self) -> String {
        self.owner_text.clone()
    }

    /// The numbers of the transaction's audit events.
    pub(crate) const fn claim(&mut self) -> &mut Claim {
        self.claim
    }

    pub(crate) const fn connection(&mut self) -> &mut Connection {
        self.connection
    }
}

impl PlatformTx<'_> {
    /// Says that something was ended or changed, so that nobody goes on with what it had verified.
    pub(crate) fn revoke(&mut self, what: Revocation) {
        if !self.revoked.contains(&what) {
            self.revoked.push(what);
        }
    }

    pub(crate) const fn connection(&mut self) -> &mut Connection {
        self.connection
    }
}
