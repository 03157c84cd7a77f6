//! What is remembered of an address's failures, behind [`Slowdown`].

use std::time::Duration;

use diesel::prelude::*;
use keystead_domain::slowdown::{Failures, Slowdown};
use keystead_domain::{Email, Timestamp};

use crate::prepared::KeepPrepared as _;
use crate::row::Reading;
use crate::schema::slowdowns;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery)]
#[diesel(table_name = slowdowns)]
struct SlowdownRow {
    subject: String,
    failures: i32,
    last_at: i64,
    next_at: i64,
    told: bool,
}

impl TryFrom<SlowdownRow> for Failures {
    type Error = StoreError;

    fn try_from(row: SlowdownRow) -> Result<Self, StoreError> {
        let read = Reading { table: "slowdowns", row: &row.subject };
        Ok(Self {
            count: u32::try_from(row.failures).map_err(|_| read.impossible("failures"))?,
            last_at: Timestamp::from_micros(row.last_at),
            next_at: Timestamp::from_micros(row.next_at),
            told: row.told,
        })
    }
}

/// What is written of failures.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = slowdowns)]
struct Counted {
    failures: i32,
    last_at: i64,
    next_at: i64,
    told: bool,
    expires_at: i64,
}

impl From<&Failures> for Counted {
    fn from(failures: &Failures) -> Self {
        Self {
            failures: number(failures),
            last_at: failures.last_at.as_micros(),
            next_at: failures.next_at.as_micros(),
            told: failures.told,
            expires_at: failures.forgotten_at().as_micros(),
        }
    }
}

/// How many failures, as the column holds it.
fn number(failures: &Failures) -> i32 {
    i32::try_from(failures.count).unwrap_or(i32::MAX)
}

/// The failures of an address, where there are any.
pub fn find(tx: &mut TenantTx<'_>, email: &Email) -> Result<Option<Failures>, StoreError> {
    let key = (tx.key(), email.key());
    let row: Option<SlowdownRow> =
        on!(tx, |conn| SlowdownRow::query().find(key).get_result(conn).optional())?;
    row.map(Failures::try_from).transpose()
}

/// Writes down what [`Slowdown::take`] made of the failures that were [found](find), with one statement and
/// only if they still are what they were: false where another caller was faster, and then nothing changed. So
/// concurrent callers get no more tries than consecutive ones.
pub fn take_found(
    tx: &mut TenantTx<'_>,
    email: &Email,
    found: Option<&Failures>,
    taken: &Failures,
) -> Result<bool, StoreError> {
    let (directory, counted) = (tx.key(), Counted::from(taken));
    let changed: Option<i32> = match found {
        Some(found) => on!(tx, |conn| diesel::update(slowdowns::table.find((&directory, email.key())))
            .filter(slowdowns::failures.eq(number(found)))
            .filter(slowdowns::last_at.eq(found.last_at.as_micros()))
            .filter(slowdowns::next_at.eq(found.next_at.as_micros()))
            .filter(slowdowns::told.eq(found.told))
            .set(counted)
            .returning(slowdowns::failures)
            .keep_prepared()
            .get_result(conn)
            .optional())?,
        None => on!(tx, |conn| diesel::insert_into(slowdowns::table)
            .values((slowdowns::directory.eq(&directory), slowdowns::subject.eq(email.key()), counted))
            .on_conflict_do_nothing()
            .returning(slowdowns::failures)
            .keep_prepared()
            .get_result(conn)
            .optional())?,
    };
    Ok(changed.is_some())
}

/// Counts one more try of an address as failed, before it is checked, unless it has to wait:
/// then nothing changes, and the answer is how long. Concurrent callers get no more tries than
/// consecutive ones, since the row is theirs until the transaction ends.
pub fn take(
    tx: &mut TenantTx<'_>,
    slowdown: Slowdown,
    email: &Email,
    now: Timestamp,
) -> Result<Result<Failures, Duration>, StoreError> {
    let new = Counted::from(&Failures::none(now));
    let values = (slowdowns::directory.eq(tx.key()), slowdowns::subject.eq(email.key()), new);
    // Changes nothing in a row that is there, but takes its lock and reads what others committed.
    let row: SlowdownRow = on!(tx, |conn| diesel::insert_into(slowdowns::table)
        .values(values)
        .on_conflict((slowdowns::directory, slowdowns::subject))
        .do_update()
        .set(slowdowns::failures.eq(slowdowns::failures))
        .returning(SlowdownRow::as_returning())
        .keep_prepared()
        .get_result(conn))?;
    let taken = match slowdown.take(Failures::try_from(row)?, now) {
        Ok(taken) => taken,
        Err(wait) => return Ok(Err(wait)),
    };
    let key = (tx.key(), email.key());
    execute!(tx, diesel::update(slowdowns::table.find(key)).set(Counted::from(&taken)))?;
    Ok(Ok(taken))
}

/// Takes back what [`take`] counted, for a try that did not fail. The wait that it began ends,
/// unless another try has begun one since.
pub fn give_back(tx: &mut TenantTx<'_>, email: &Email, taken: &Failures) -> Result<(), StoreError> {
    let directory = tx.key();
    let key = || (directory.as_str(), email.key());
    let counted = number(taken);
    let last = execute!(
        tx,
        diesel::update(slowdowns::table.find(key()))
            .filter(slowdowns::failures.eq(counted))
            .set((slowdowns::failures.eq(counted - 1), slowdowns::next_at.eq(taken.last_at.as_micros())))
    )?;
    if last == 0 {
        execute!(
            tx,
            diesel::update(slowdowns::table.find(key()))
                .filter(slowdowns::failures.gt(0))
                .set(slowdowns::failures.eq(slowdowns::failures - 1))
        )?;
    }
    Ok(())
}

/// Leaves what [`take`] counted as it is, at the cost of [`give_back`], so that nobody can measure which of
/// the two was done.
pub fn keep(tx: &mut TenantTx<'_>, email: &Email, taken: &Failures) -> Result<(), StoreError> {
    let key = (tx.key(), email.key());
    let counted = number(taken);
    execute!(
        tx,
        diesel::update(slowdowns::table.find(key))
            .filter(slowdowns::failures.eq(counted))
            .set((slowdowns::failures.eq(counted), slowdowns::next_at.eq(slowdowns::next_at)))
    )?;
    Ok(())
}

/// Remembers that the owner of an address is told of its failures; true for one caller until
/// they are forgotten or cleared.
pub fn tell(tx: &mut TenantTx<'_>, email: &Email) -> Result<bool, StoreError> {
    let key = (tx.key(), email.key());
    let changed = execute!(
        tx,
        diesel::update(slowdowns::table.find(key))
            .filter(slowdowns::told.eq(false))
            .set(slowdowns::told.eq(true))
    )?;
    Ok(changed == 1)
}

/// Forgets the failures of an address.
pub fn clear(tx: &mut TenantTx<'_>, email: &Email) -> Result<(), StoreError> {
    let key = (tx.key(), email.key());
    on!(tx, |conn| diesel::delete(slowdowns::table.find(key)).execute(conn))?;
    Ok(())
}

/// Removes at most `limit` memories that are over; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| slowdowns::table
        .filter(slowdowns::expires_at.le(now.as_micros()))
        .select((slowdowns::directory, slowdowns::subject))
        .limit(limit)
        .load(conn))?;
    for (directory, subject) in &keys {
        // Another try may have been counted since.
        let key = (directory, subject);
        on!(tx, |conn| diesel::delete(slowdowns::table.find(key))
            .filter(slowdowns::expires_at.le(now.as_micros()))
            .execute(conn))?;
    }
    Ok(keys.len())
}
