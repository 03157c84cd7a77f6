//! Mail that waits to be sent. A mail is written in the transaction that it tells about, so it
//! is sent if and only if that was committed, and at least once.

use std::time::Duration;

use diesel::prelude::*;
use keystead_domain::id::MailId;
use keystead_domain::{Email, Timestamp};

use crate::prepared::KeepPrepared as _;
use crate::row::Reading;
use crate::schema::outbox;
use crate::{PlatformTx, StoreError, TenantTx};

/// A mail to be sent.
#[derive(Clone)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// What lists call it.
    pub template: &'static str,
    /// To whom.
    pub recipient: Email,
    /// The sealed message.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A mail that was claimed for one attempt to send it.
pub struct DueMail {
    /// Its id.
    pub id: MailId,
    /// To whom.
    pub recipient: Email,
    /// The sealed message.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// How many attempts were made, this one included.
    pub attempts: u32,
    /// How often it was refused so far.
    pub refusals: u32,
}

#[derive(HasQuery)]
#[diesel(table_name = outbox)]
struct OutboxRow {
    id: String,
    recipient: String,
    sealed: Option<Vec<u8>>,
    created_at: i64,
    attempts: i32,
    refusals: i32,
}

impl TryFrom<OutboxRow> for DueMail {
    type Error = StoreError;

    fn try_from(row: OutboxRow) -> Result<Self, StoreError> {
        let read = Reading { table: "outbox", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            recipient: read.parse("recipient", &row.recipient)?,
            sealed: row.sealed.ok_or_else(|| read.impossible("sealed"))?,
            created_at: Timestamp::from_micros(row.created_at),
            attempts: u32::try_from(row.attempts).map_err(|_| read.impossible("attempts"))?,
            refusals: u32::try_from(row.refusals).map_err(|_| read.impossible("refusals"))?,
        })
    }
}

/// Adds a mail to one of the directory's users.
pub fn insert(tx: &mut TenantTx<'_>, mail: &NewMail) -> Result<(), StoreError> {
    let values = (
        outbox::id.eq(mail.id.to_string()),
        outbox::directory.eq(tx.key()),
        outbox::template.eq(mail.template),
        outbox::recipient.eq(mail.recipient.as_str()),
        outbox::sealed.eq(&mail.sealed),
        outbox::created_at.eq(mail.created_at.as_micros()),
        outbox::attempts.eq(0),
        outbox::next_attempt_at.eq(mail.created_at.as_micros()),
    );
    on!(tx, |conn| diesel::insert_into(outbox::table).values(values).execute(conn))?;
    Ok(())
}

/// Claims at most `limit` mails that are due: nobody else gets them until `lease` is over.
pub fn claim_due(
    tx: &mut PlatformTx<'_>,
    now: Timestamp,
    lease: Duration,
    limit: i64,
) -> Result<Vec<DueMail>, StoreError> {
    let due = outbox::next_attempt_at.le(now.as_micros());
    let ids: Vec<String> = on!(tx, |conn| outbox::table
        .filter(due)
        .order(outbox::next_attempt_at)
        .select(outbox::id)
        .limit(limit)
        .load(conn))?;
    let mut claimed = Vec::with_capacity(ids.len());
    for id in ids {
        // Another node may have claimed it in the meantime; then it is no longer due.
        let row: Option<OutboxRow> = on!(tx, |conn| diesel::update(outbox::table.find(&id))
            .filter(due)
            .set((
                outbox::attempts.eq(outbox::attempts + 1),
                outbox::next_attempt_at.eq((now + lease).as_micros()),
            ))
            .returning(OutboxRow::as_returning())
            .keep_prepared()
            .get_result(conn)
            .optional())?;
        claimed.extend(row.map(DueMail::try_from).transpose()?);
    }
    Ok(claimed)
}

/// Erases the message of a mail that was sent.
pub fn mark_sent(tx: &mut PlatformTx<'_>, id: MailId, now: Timestamp) -> Result<(), StoreError> {
    execute!(
        tx,
        diesel::update(outbox::table.find(id.to_string())).set((
            outbox::sealed.eq(None::<Vec<u8>>),
            outbox::next_attempt_at.eq(None::<i64>),
            outbox::sent_at.eq(now.as_micros()),
        ))
    )?;
    Ok(())
}

/// Erases the message of a mail that is given up; true unless it was sent or given up already.
pub fn mark_failed(tx: &mut PlatformTx<'_>, id: MailId, now: Timestamp) -> Result<bool, StoreError> {
    let waits = outbox::next_attempt_at.is_not_null();
    let given_up = execute!(
        tx,
        diesel::update(outbox::table.find(id.to_string())).filter(waits).set((
            outbox::sealed.eq(None::<Vec<u8>>),
            outbox::next_attempt_at.eq(None::<i64>),
            outbox::failed_at.eq(now.as_micros()),
        ))
    )?;
    Ok(given_up == 1)
}

/// Tries a mail again at `at`, which was refused `refusals` times so far; true unless it was sent or
/// given up already.
pub fn retry_at(
    tx: &mut PlatformTx<'_>,
    id: MailId,
    at: Timestamp,
    refusals: u32,
) -> Result<bool, StoreError> {
    let waits = outbox::next_attempt_at.is_not_null();
    let refusals = i32::try_from(refusals).unwrap_or(i32::MAX);
    let postponed = execute!(
        tx,
        diesel::update(outbox::table.find(id.to_string()))
            .filter(waits)
            .set((outbox::next_attempt_at.eq(at.as_micros()), outbox::refusals.eq(refusals)))
    )?;
    Ok(postponed == 1)
}

/// Whether any is due.
pub fn any_due(tx: &mut PlatformTx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let due = outbox::table.filter(outbox::next_attempt_at.le(now.as_micros()));
    Ok(on!(tx, |conn| diesel::select(diesel::dsl::exists(due)).get_result(conn))?)
}

/// How many mails wait to be sent.
pub fn count_waiting(tx: &mut PlatformTx<'_>) -> Result<i64, StoreError> {
    Ok(on!(tx, |conn| outbox::table.filter(outbox::next_attempt_at.is_not_null()).count().get_result(conn))?)
}

/// Removes at most `limit` mails that were sent or given up before `before`; returns how many.
pub fn remove_finished(tx: &mut PlatformTx<'_>, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let before = before.as_micros();
    let ids: Vec<String> = on!(tx, |conn| outbox::table
        .filter(outbox::sent_at.lt(before).or(outbox::failed_at.lt(before)))
        .select(outbox::id)
        .limit(limit)
        .load(conn))?;
    Ok(on!(tx, |conn| diesel::delete(outbox::table.filter(outbox::id.eq_any(&ids))).execute(conn))?)
}

/// Erases the messages of all waiting mails of these templates, as mails that are given up; returns
/// how many there were.
pub fn abandon(tx: &mut PlatformTx<'_>, templates: &[&str], now: Timestamp) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::update(outbox::table)
        .filter(outbox::next_attempt_at.is_not_null())
        .filter(outbox::template.eq_any(templates))
        .set((
            outbox::sealed.eq(None::<Vec<u8>>),
            outbox::next_attempt_at.eq(None::<i64>),
            outbox::failed_at.eq(now.as_micros()),
        ))
        .execute(conn))?)
}
