//! Counters behind [`Budget`]s.

use diesel::prelude::*;
use diesel::upsert::excluded;
use keystead_domain::Timestamp;
use keystead_domain::limits::Budget;

use crate::prepared::KeepPrepared as _;
use crate::schema::counters;
use crate::{PlatformTx, StoreError, TenantTx};

/// Counts one more for `subject`; whether that was within the budget. Concurrent callers get no
/// more than consecutive ones.
pub fn take(
    tx: &mut TenantTx<'_>,
    budget: Budget,
    subject: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let start = budget.window_start(now);
    let values = (
        counters::directory.eq(tx.key()),
        counters::name.eq(budget.name),
        counters::subject.eq(subject),
        counters::window_start.eq(start.as_micros()),
        counters::expires_at.eq((start + budget.window).as_micros()),
        counters::count.eq(1),
    );
    let count: i32 = on!(tx, |conn| diesel::insert_into(counters::table)
        .values(values)
        .on_conflict((counters::directory, counters::name, counters::subject, counters::window_start))
        .do_update()
        .set(counters::count.eq(counters::count + excluded(counters::count)))
        .returning(counters::count)
        .keep_prepared()
        .get_result(conn))?;
    Ok(count <= budget.max)
}

/// Takes back what [`take`] counted at `now`.
pub fn give_back(
    tx: &mut TenantTx<'_>,
    budget: Budget,
    subject: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = (tx.key(), budget.name, subject, budget.window_start(now).as_micros());
    on!(tx, |conn| diesel::update(counters::table.find(key))
        .set(counters::count.eq(counters::count - 1))
        .keep_prepared()
        .execute(conn))?;
    Ok(())
}

/// Removes at most `limit` counters of windows that are over; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String, String, i64)> = on!(tx, |conn| counters::table
        .filter(counters::expires_at.le(now.as_micros()))
        .select((counters::directory, counters::name, counters::subject, counters::window_start))
        .limit(limit)
        .load(conn))?;
    for (directory, name, subject, start) in &keys {
        let key = (directory, name, subject, *start);
        on!(tx, |conn| diesel::delete(counters::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}
