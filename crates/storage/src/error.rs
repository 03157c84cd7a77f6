//! What can go wrong with a query, as far as callers can act on it.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::dialect;

/// Why a transaction did not take place. Nothing of it did.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has this key.
    #[error("the key {0:?} is taken")]
    Taken(UniqueKey),
    /// The database is away, too busy, or chose this transaction to break a deadlock. Trying
    /// again may do.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A row holds what no version of Keystead writes.
    #[error("impossible data in {table}.{column} of {row}")]
    Impossible {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        row: String,
    },
    /// The database was migrated by a newer version of Keystead.
    #[error(
        "the database was made by a newer version of Keystead (it has migration {0}): run that version or a later one"
    )]
    Newer(String),
    /// Anything else, which no caller can act on.
    #[error("the database failed: {0}")]
    Failed(String),
}

/// The unique keys that a caller can run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueKey {
    /// A tenant's slug.
    TenantSlug,
    /// An address within a directory.
    UserEmail,
    /// A handle within a directory.
    UserHandle,
    /// A person's membership of a tenant.
    Membership,
    /// An address that is invited to a tenant already.
    PendingInvite,
    /// The digest of an API key's secret.
    KeyDigest,
    /// A project's slug within its tenant.
    ProjectSlug,
    /// The signing key of an algorithm that is current, or comes next.
    SigningKey,
    /// A key of the deployment's settings.
    Deployment,
    /// The place of a seal among all, or among those of its process.
    AuditSeal,
    /// A key made of our own randomness.
    Minted,
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                Self::Taken(dialect::unique_key(&*info))
            }
            DieselError::DatabaseError(
                DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ReadOnlyTransaction,
                info,
            ) => Self::Unavailable(info.message().to_owned()),
            DieselError::DatabaseError(_, info) if dialect::is_transient(info.message()) => {
                Self::Unavailable(info.message().to_owned())
            }
            DieselError::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
