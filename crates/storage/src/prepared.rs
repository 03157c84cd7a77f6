//! Statements that a connection prepares once.
//!
//! diesel keeps prepared statements by their SQL, but not those of UPDATE, of ON CONFLICT, and of rows
//! whose columns may be absent: what they set could differ from call to call, and each call would
//! leave one more. Ours set the same few columns each time. Preparing them anew takes SQLite longer
//! than running them, and PostgreSQL another round trip.

use diesel::QueryResult;
use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement that is kept once it was prepared.
pub(crate) struct KeptPrepared<S>(S);

/// Keeps a statement of which there are few forms: not one with a list in it, whose SQL on SQLite is
/// another for each length.
pub(crate) trait KeepPrepared: Sized {
    /// The same statement, to be kept.
    fn keep_prepared(self) -> KeptPrepared<Self> {
        KeptPrepared(self)
    }
}

impl<S> KeepPrepared for S {}

impl<S: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for KeptPrepared<S> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

/// It is found again by its SQL.
impl<S> QueryId for KeptPrepared<S> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for KeptPrepared<S> {
    type SqlType = S::SqlType;
}

impl<S, C> RunQueryDsl<C> for KeptPrepared<S> {}
