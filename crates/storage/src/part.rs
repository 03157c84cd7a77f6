//! Reading lists part by part.

use diesel::define_sql_function;
use diesel::sql_types::{Nullable, Text};

define_sql_function! {
    /// The text in lower case: of ASCII on SQLite, of all letters on PostgreSQL.
    fn lower(text: Text) -> Text;
}

define_sql_function! {
    /// The first, or the second where there is none.
    fn coalesce(first: Nullable<Text>, second: Text) -> Text;
}

/// Sorts a boxed query as a [`Listing`](keystead_domain::listing::Listing) wants it, and limits it to what comes
/// after the last row that was seen. `$id`, `$created_at` and `$name` are the columns to sort by.
macro_rules! part {
    ($query:expr, $listing:expr, $id:expr, $created_at:expr, $name:expr) => {{
        use keystead_domain::listing::{Mark, Place, SortBy};
        let (query, listing) = ($query, $listing);
        let query = match &listing.after {
            None => query,
            Some(Place { mark, id }) => {
                let id = id.to_string();
                match (mark, listing.order.descending) {
                    (Mark::Id, false) => query.filter($id.gt(id)),
                    (Mark::Id, true) => query.filter($id.lt(id)),
                    (Mark::CreatedAt(at), false) => {
                        let at = at.as_micros();
                        query.filter($created_at.gt(at).or($created_at.eq(at).and($id.gt(id))))
                    }
                    (Mark::CreatedAt(at), true) => {
                        let at = at.as_micros();
                        query.filter($created_at.lt(at).or($created_at.eq(at).and($id.lt(id))))
                    }
                    (Mark::Name(name), false) => {
                        query.filter($name.gt(name.clone()).or($name.eq(name.clone()).and($id.gt(id))))
                    }
                    (Mark::Name(name), true) => {
                        query.filter($name.lt(name.clone()).or($name.eq(name.clone()).and($id.lt(id))))
                    }
                }
            }
        };
        let query = match (listing.order.by, listing.order.descending) {
            (SortBy::Id, false) => query.order($id.asc()),
            (SortBy::Id, true) => query.order($id.desc()),
            (SortBy::CreatedAt, false) => query.order(($created_at.asc(), $id.asc())),
            (SortBy::CreatedAt, true) => query.order(($created_at.desc(), $id.desc())),
            (SortBy::Name, false) => query.order(($name.asc(), $id.asc())),
            (SortBy::Name, true) => query.order(($name.desc(), $id.desc())),
        };
        query.limit(listing.rows())
    }};
}
