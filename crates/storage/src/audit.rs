//! The audit trail. There is no way to change it.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::audit::Event;

use crate::schema::audit_events;
use crate::{PlatformTx, StoreError, TenantTx};

/// Adds an event to the owner's trail.
pub fn insert(tx: &mut TenantTx<'_>, event: &Event) -> Result<(), StoreError> {
    let origin = &event.origin;
    let values = (
        audit_events::owner.eq(tx.key()),
        audit_events::id.eq(event.id.to_string()),
        audit_events::at.eq(event.at.as_micros()),
        audit_events::actor_kind.eq(event.actor.kind()),
        audit_events::actor_id.eq(event.actor.id()),
        audit_events::action.eq(event.action.as_str()),
        audit_events::target.eq(&event.target),
        audit_events::outcome.eq(event.outcome.as_str()),
        audit_events::ip.eq(origin.ip.map(|ip| ip.to_string())),
        audit_events::user_agent.eq(origin.user_agent.as_ref().map(|agent| agent.as_str().to_owned())),
    );
    on!(tx, |conn| diesel::insert_into(audit_events::table).values(values).execute(conn))?;
    Ok(())
}

/// How many events of the owner are of this action with this outcome.
pub fn count(
    tx: &mut TenantTx<'_>,
    action: keystead_domain::audit::AuditAction,
    outcome: keystead_domain::audit::Outcome,
) -> Result<i64, StoreError> {
    let owner = audit_events::owner.eq(tx.key());
    Ok(on!(tx, |conn| audit_events::table
        .filter(owner)
        .filter(audit_events::action.eq(action.as_str()))
        .filter(audit_events::outcome.eq(outcome.as_str()))
        .count()
        .get_result(conn))?)
}

/// When the newest event of any owner took place.
pub fn newest_at(tx: &mut PlatformTx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let newest: Option<i64> =
        on!(tx, |conn| audit_events::table.select(diesel::dsl::max(audit_events::at)).first(conn))?;
    Ok(newest.map(Timestamp::from_micros))
}
