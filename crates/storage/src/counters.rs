//! Counters behind [`Budget`]s.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;
use keystead_domain::Timestamp;
use keystead_domain::limits::Budget;

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
    let count: i32 = on!(tx, |conn| one_form!(
        diesel::insert_into(counters::table)
            .values(values)
            .on_conflict((counters::directory, counters::subject, counters::name, counters::window_start))
            .do_update()
            .set(counters::count.eq(counters::count + excluded(counters::count)))
            .returning(counters::count)
    )
    .get_result(conn))?;
    Ok(count <= budget.max)
}

#[derive(QueryableByName)]
#[diesel(table_name = counters)]
struct Counted {
    name: String,
    count: i32,
}

/// Counts one more of each of three for `subject`, in one statement, as [`take`] would one after the other up to
/// the first that is used up; whether all were within their budgets.
pub fn take_three(
    tx: &mut TenantTx<'_>,
    budgets: &[Budget; 3],
    subject: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // diesel writes many rows for either database in a way of its own, and can keep neither.
    const COUNT: &str = "INSERT INTO counters (directory, subject, name, window_start, expires_at, count) \
        VALUES ($1, $2, $3, $4, $5, 1), ($1, $2, $6, $7, $8, 1), ($1, $2, $9, $10, $11, 1) \
        ON CONFLICT (directory, subject, name, window_start) DO UPDATE SET count = counters.count + 1 \
        RETURNING name, count";
    let [first, second, third] = budgets;
    let (directory, start) = (tx.key(), |budget: &Budget| budget.window_start(now).as_micros());
    let end = |budget: &Budget| (budget.window_start(now) + budget.window).as_micros();
    let counted: Vec<Counted> = on!(tx, |conn| one_form!(
        diesel::sql_query(COUNT)
            .bind::<Text, _>(&directory)
            .bind::<Text, _>(subject)
            .bind::<Text, _>(first.name)
            .bind::<BigInt, _>(start(first))
            .bind::<BigInt, _>(end(first))
            .bind::<Text, _>(second.name)
            .bind::<BigInt, _>(start(second))
            .bind::<BigInt, _>(end(second))
            .bind::<Text, _>(third.name)
            .bind::<BigInt, _>(start(third))
            .bind::<BigInt, _>(end(third))
    )
    .load(conn))?;
    let within = |budget: &Budget| {
        counted.iter().any(|counted| counted.name == budget.name && counted.count <= budget.max)
    };
    let used_up = budgets.iter().position(|budget| !within(budget));
    for uncounted in budgets.iter().skip(used_up.map_or(budgets.len(), |at| at + 1)) {
        give_back(tx, *uncounted, subject, now)?;
    }
    Ok(used_up.is_none())
}

/// Takes back what [`take`] counted at `now`.
pub fn give_back(
    tx: &mut TenantTx<'_>,
    budget: Budget,
    subject: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = (tx.key(), subject, budget.name, budget.window_start(now).as_micros());
    execute!(tx, diesel::update(counters::table.find(key)).set(counters::count.eq(counters::count - 1)))?;
    Ok(())
}

/// Removes at most `limit` counters of windows that are over; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String, String, i64)> = on!(tx, |conn| counters::table
        .filter(counters::expires_at.le(now.as_micros()))
        .select((counters::directory, counters::subject, counters::name, counters::window_start))
        .limit(limit)
        .load(conn))?;
    for (directory, subject, name, start) in &keys {
        let key = (directory, subject, name, *start);
        on!(tx, |conn| diesel::delete(counters::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}
