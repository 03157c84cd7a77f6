//! The audit trail of one owner. There is no way to change it.

use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use keystead_domain::Timestamp;
use keystead_domain::audit::record::{EventRecord, StoredEvent};
use keystead_domain::audit::seal::Mac;
use keystead_domain::audit::{AuditAction, Event, Outcome};
use keystead_domain::id::UserId;

use crate::schema::{audit_events, audit_processes};
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = audit_events, treat_none_as_default_value = false)]
pub(crate) struct EventRow {
    owner: String,
    id: String,
    at: i64,
    actor_kind: String,
    actor_id: Option<String>,
    action: String,
    target: Option<String>,
    outcome: String,
    ip: Option<String>,
    user_agent: Option<String>,
    process: Option<String>,
    number: Option<i64>,
    mac: Option<Vec<u8>>,
}

impl From<EventRow> for StoredEvent {
    /// Takes the row as it is: whether it is genuine is for a check of the trail to say.
    fn from(row: EventRow) -> Self {
        Self {
            process: row.process.unwrap_or_default(),
            number: row.number.unwrap_or_default(),
            mac: row.mac.map(|mac| Mac::from_bytes(mac.try_into().unwrap_or_default())),
            record: EventRecord {
                owner: row.owner,
                id: row.id,
                at: row.at,
                actor_kind: row.actor_kind,
                actor_id: row.actor_id,
                action: row.action,
                target: row.target,
                outcome: row.outcome,
                ip: row.ip,
                user_agent: row.user_agent,
            },
        }
    }
}

/// Adds an event to the owner's trail, as the next of this process.
pub fn insert(tx: &mut TenantTx<'_>, event: &Event) -> Result<(), StoreError> {
    let row = number(tx, event)?;
    on!(tx, |conn| diesel::insert_into(audit_events::table).values(&row).execute(conn))?;
    Ok(())
}

/// Adds events to the owner's trail, some hundred at most, as the next of this process.
pub fn insert_all(tx: &mut TenantTx<'_>, events: &[Event]) -> Result<(), StoreError> {
    let rows = events.iter().map(|event| number(tx, event)).collect::<Result<Vec<_>, _>>()?;
    on!(tx, |conn| diesel::insert_into(audit_events::table).values(&rows).execute(conn))?;
    Ok(())
}

/// The row of an event, which is the next of this process.
fn number(tx: &mut TenantTx<'_>, event: &Event) -> Result<EventRow, StoreError> {
    let record = EventRecord { owner: tx.key(), ..EventRecord::from(event) };
    let place = tx.claim().number(&record)?;
    if place.register {
        let process = (audit_processes::id.eq(&place.process), audit_processes::seen_at.eq(record.at));
        on!(tx, |conn| diesel::insert_into(audit_processes::table)
            .values(process)
            .on_conflict_do_nothing()
            .execute(conn))?;
    }
    Ok(EventRow {
        owner: record.owner,
        id: record.id,
        at: record.at,
        actor_kind: record.actor_kind,
        actor_id: record.actor_id,
        action: record.action,
        target: record.target,
        outcome: record.outcome,
        ip: record.ip,
        user_agent: record.user_agent,
        process: Some(place.process),
        number: Some(place.number),
        mac: Some(place.mac.as_bytes().to_vec()),
    })
}

/// How many events of the owner are of this action with this outcome.
pub fn count(tx: &mut TenantTx<'_>, action: AuditAction, outcome: Outcome) -> Result<i64, StoreError> {
    let owner = audit_events::owner.eq(tx.key());
    Ok(on!(tx, |conn| audit_events::table
        .filter(owner)
        .filter(audit_events::action.eq(action.as_str()))
        .filter(audit_events::outcome.eq(outcome.as_str()))
        .count()
        .get_result(conn))?)
}

/// The sign-ins of one of the owner's users, those that failed too, the newest first.
pub fn list_sign_ins(
    tx: &mut TenantTx<'_>,
    user: UserId,
    offset: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (owner, user) = (audit_events::owner.eq(tx.key()), user.to_string());
    let rows: Vec<EventRow> = on!(tx, |conn| EventRow::query()
        .filter(owner)
        .filter(is_sign_in())
        .filter(audit_events::actor_id.eq(&user).or(audit_events::target.eq(&user)))
        .order(audit_events::id.desc())
        .offset(offset)
        .limit(limit)
        .load(conn))?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// How many sign-ins of one of the owner's users there are.
pub fn count_sign_ins(tx: &mut TenantTx<'_>, user: UserId) -> Result<i64, StoreError> {
    let (owner, user) = (audit_events::owner.eq(tx.key()), user.to_string());
    Ok(on!(tx, |conn| audit_events::table
        .filter(owner)
        .filter(is_sign_in())
        .filter(audit_events::actor_id.eq(&user).or(audit_events::target.eq(&user)))
        .count()
        .get_result(conn))?)
}

/// Written out, since neither database uses an index on some of the rows for a condition that is bound.
fn is_sign_in() -> SqlLiteral<Bool> {
    diesel::dsl::sql("audit_events.action = 'session.created'")
}

/// When the newest event of any owner took place.
pub fn newest_at(tx: &mut PlatformTx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let newest: Option<i64> =
        on!(tx, |conn| audit_events::table.select(diesel::dsl::max(audit_events::at)).first(conn))?;
    Ok(newest.map(Timestamp::from_micros))
}

/// From when until when; an end that is not given is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Whether it has this instant in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    const fn bounds(&self) -> (i64, i64) {
        let since = match self.since {
            Some(since) => since.as_micros(),
            None => i64::MIN,
        };
        let until = match self.until {
            Some(until) => until.as_micros(),
            None => i64::MAX,
        };
        (since, until)
    }
}

/// The owner's events of a period with ids after this text, by id, at most `limit`.
pub fn list(
    tx: &mut TenantTx<'_>,
    period: &Period,
    after: &str,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (since, until) = period.bounds();
    let owner = audit_events::owner.eq(tx.key());
    let rows: Vec<EventRow> = on!(tx, |conn| EventRow::query()
        .filter(owner)
        .filter(audit_events::id.gt(after))
        .filter(audit_events::at.ge(since))
        .filter(audit_events::at.lt(until))
        .order(audit_events::id)
        .limit(limit)
        .load(conn))?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// Which events of an owner are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this action.
    pub action: Option<AuditAction>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only those of this time.
    pub period: Period,
}

/// The query for an owner's events that a filter lets through, on whichever table expression follows.
macro_rules! filtered {
    ($query:expr, $owner:expr, $filter:expr, $bounds:expr) => {{
        let (since, until) = $bounds;
        let mut query = $query
            .filter(audit_events::owner.eq($owner.clone()))
            .filter(audit_events::at.ge(since))
            .filter(audit_events::at.lt(until))
            .into_boxed();
        if let Some(action) = $filter.action {
            query = query.filter(audit_events::action.eq(action.as_str()));
        }
        if let Some(actor) = &$filter.actor {
            query = query.filter(audit_events::actor_id.eq(actor.clone()));
        }
        query
    }};
}

/// The owner's events that the filter lets through, the newest first: at most `limit`, without the first
/// `offset`.
pub fn page(
    tx: &mut TenantTx<'_>,
    filter: &Filter,
    offset: i64,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (owner, bounds) = (tx.key(), filter.period.bounds());
    let rows: Vec<EventRow> =
        on!(tx, |conn| filtered!(audit_events::table.select(EventRow::as_select()), owner, filter, bounds)
            .order(audit_events::id.desc())
            .offset(offset)
            .limit(limit)
            .load(conn))?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// How many of the owner's events the filter lets through.
pub fn count_filtered(tx: &mut TenantTx<'_>, filter: &Filter) -> Result<i64, StoreError> {
    let (owner, bounds) = (tx.key(), filter.period.bounds());
    Ok(on!(tx, |conn| filtered!(
        audit_events::table.select(diesel::dsl::count_star()),
        owner,
        filter,
        bounds
    )
    .get_result(conn))?)
}

/// The owner's events that the filter lets through, by id, the first after this text, at most `limit`.
pub fn list_filtered(
    tx: &mut TenantTx<'_>,
    filter: &Filter,
    after: &str,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (owner, bounds) = (tx.key(), filter.period.bounds());
    let rows: Vec<EventRow> =
        on!(tx, |conn| filtered!(audit_events::table.select(EventRow::as_select()), owner, filter, bounds)
            .filter(audit_events::id.gt(after.to_owned()))
            .order(audit_events::id)
            .limit(limit)
            .load(conn))?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}
