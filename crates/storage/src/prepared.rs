//! Statements that a connection prepares once, and some that it does not.
//!
//! diesel keeps prepared statements by their SQL, but not those of UPDATE, of ON CONFLICT, of SQL that was
//! written by hand, and of rows whose columns may be absent: they could differ from call to call, and each
//! call would leave one more. Ours are the same few. Preparing them anew takes SQLite longer than running
//! them, and PostgreSQL another round trip.

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use diesel::QueryResult;
use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryBuilder as _, QueryFragment, QueryId};
use diesel::result::Error;

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

/// A query that is planned at each run.
pub(crate) struct PlannedAnew<S>(S);

/// Plans a query with a long list in it each time. PostgreSQL's plan for any list would be one for a short
/// list, and for a table as large as it was when the plan was made: of an empty one, it would read all rows
/// of an owner and compare each with the whole list.
pub(crate) trait PlanAnew: Sized {
    /// The same query, not to be kept.
    fn plan_anew(self) -> PlannedAnew<Self> {
        PlannedAnew(self)
    }
}

impl<S> PlanAnew for S {}

impl<S: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for PlannedAnew<S> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        self.0.walk_ast(pass)
    }
}

impl<S> QueryId for PlannedAnew<S> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for PlannedAnew<S> {
    type SqlType = S::SqlType;
}

impl<S, C> RunQueryDsl<C> for PlannedAnew<S> {}

/// A statement that has one form wherever `P` stands for: see [`one_form`].
pub(crate) struct OneForm<S, P>(S, PhantomData<P>);

impl<S, P> OneForm<S, P> {
    pub(crate) const fn new(statement: S) -> Self {
        Self(statement, PhantomData)
    }
}

/// Keeps a statement whose SQL is the same each time that this place in the code runs it, whatever is bound
/// to it. Its SQL is written out once for each kind of database: that takes longer than many a statement itself.
/// In debug builds one that turns out to have another form fails.
///
/// It is for what is loaded. `execute` asks what is in here whether it can be kept, and not this.
macro_rules! one_form {
    ($statement:expr) => {{
        struct Place;
        $crate::prepared::OneForm::<_, Place>::new($statement)
    }};
}

impl<S, P, DB> QueryFragment<DB> for OneForm<S, P>
where
    S: QueryFragment<DB>,
    P: 'static,
    DB: Backend<QueryBuilder: Default> + 'static,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    /// diesel-async asks for it at each run, to find the prepared statement.
    fn to_sql(&self, out: &mut DB::QueryBuilder, backend: &DB) -> QueryResult<()> {
        out.push_sql(&form::<P, DB>(&self.0, backend)?);
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        if cfg!(debug_assertions) && *form::<P, DB>(&self.0, backend)? != *written_out(&self.0, backend)? {
            let error =
                format!("a statement of another form than before: {}", written_out(&self.0, backend)?);
            return Err(Error::QueryBuilderError(error.into()));
        }
        Ok(true)
    }
}

impl<S, P: 'static> QueryId for OneForm<S, P> {
    type QueryId = P;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<S: Query, P> Query for OneForm<S, P> {
    type SqlType = S::SqlType;
}

impl<S, P, C> RunQueryDsl<C> for OneForm<S, P> {}

/// The SQL of each place, for each kind of database.
static FORMS: LazyLock<RwLock<HashMap<Place, Arc<str>>>> = LazyLock::new(RwLock::default);

/// A place in the code, and the kind of database.
type Place = (TypeId, TypeId);

/// The SQL of the place `P`, which is that of the first statement there.
fn form<P, DB>(statement: &impl QueryFragment<DB>, backend: &DB) -> QueryResult<Arc<str>>
where
    P: 'static,
    DB: Backend<QueryBuilder: Default> + 'static,
{
    let place = (TypeId::of::<P>(), TypeId::of::<DB>());
    if let Some(known) = FORMS.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
        return Ok(Arc::clone(known));
    }
    let sql = written_out(statement, backend)?;
    let mut forms = FORMS.write().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(forms.entry(place).or_insert_with(|| sql.into())))
}

fn written_out<DB>(statement: &impl QueryFragment<DB>, backend: &DB) -> QueryResult<String>
where
    DB: Backend<QueryBuilder: Default>,
{
    let mut builder = DB::QueryBuilder::default();
    statement.to_sql(&mut builder, backend)?;
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    use diesel::prelude::*;
    use diesel::sql_types::Integer;

    #[test]
    fn a_statement_of_another_form_fails() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        let mut run = |sql: &str| one_form!(diesel::dsl::sql::<Integer>(sql)).load::<i32>(&mut conn).is_ok();
        assert!(run("SELECT 1"));
        assert!(run("SELECT 1"));
        assert!(!run("SELECT 1 + 1"));
    }
}
