//! Invitations to a tenant. They are found by their links with [`locate::invite`](crate::locate::invite).

use diesel::prelude::*;
use keystead_domain::id::{InviteId, UserId};
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_domain::{Email, Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::invites;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery)]
#[diesel(table_name = invites)]
pub(crate) struct InviteRow {
    tenant_id: String,
    id: String,
    email: String,
    role: String,
    inviter_id: Option<String>,
    status: String,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<InviteRow> for Invite {
    type Error = StoreError;

    fn try_from(row: InviteRow) -> Result<Self, StoreError> {
        let read = Reading { table: "invites", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            tenant: read.parse("tenant_id", &row.tenant_id)?,
            email: read.parse("email", &row.email)?,
            role: read.parse("role", &row.role)?,
            inviter: read.parse_some("inviter_id", row.inviter_id.as_deref())?,
            status: read.parse("status", &row.status)?,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// What makes a pending invitation one that is none any more.
macro_rules! ended_as {
    ($status:expr) => {
        (invites::status.eq($status.as_str()), invites::digest.eq(None::<Vec<u8>>))
    };
}

/// Adds an invitation that waits. Its address may be [invited already](crate::UniqueKey::PendingInvite).
pub fn insert(tx: &mut TenantTx<'_>, invite: &Invite, digest: &TokenDigest) -> Result<(), StoreError> {
    let values = (
        invites::tenant_id.eq(tx.key()),
        invites::id.eq(invite.id.to_string()),
        invites::email.eq(invite.email.as_str().to_owned()),
        invites::email_key.eq(invite.email.key().to_owned()),
        invites::role.eq(invite.role.as_str()),
        invites::inviter_id.eq(invite.inviter.map(|inviter| inviter.to_string())),
        invites::status.eq(InviteStatus::Pending.as_str()),
        invites::digest.eq(Some(digest.as_bytes().to_vec())),
        invites::created_at.eq(invite.created_at.as_micros()),
        invites::expires_at.eq(invite.expires_at.as_micros()),
    );
    on!(tx, |conn| diesel::insert_into(invites::table).values(values).execute(conn))?;
    Ok(())
}

/// Ends the tenant's invitation of an address that waits although its link has run out.
pub fn cancel_expired(tx: &mut TenantTx<'_>, email: &Email, now: Timestamp) -> Result<(), StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    on!(tx, |conn| diesel::update(invites::table)
        .filter(tenant)
        .filter(invites::email_key.eq(email.key()))
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .filter(invites::expires_at.le(now.as_micros()))
        .set(ended_as!(InviteStatus::Cancelled))
        .execute(conn))?;
    Ok(())
}

/// How many of the tenant's invitations wait.
pub fn count_pending(tx: &mut TenantTx<'_>, now: Timestamp) -> Result<i64, StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    Ok(on!(tx, |conn| invites::table
        .filter(tenant)
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .filter(invites::expires_at.gt(now.as_micros()))
        .count()
        .get_result(conn))?)
}

/// One of the tenant's invitations.
pub fn find(tx: &mut TenantTx<'_>, id: InviteId) -> Result<Option<Invite>, StoreError> {
    let key = (tx.key(), id.to_string());
    let row: Option<InviteRow> = on!(tx, |conn| InviteRow::query().find(key).get_result(conn).optional())?;
    row.map(Invite::try_from).transpose()
}

/// The tenant's invitation of an address that waits, whether or not its link has run out.
pub fn find_pending(tx: &mut TenantTx<'_>, email: &Email) -> Result<Option<Invite>, StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    let row: Option<InviteRow> = on!(tx, |conn| InviteRow::query()
        .filter(tenant)
        .filter(invites::email_key.eq(email.key()))
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .get_result(conn)
        .optional())?;
    row.map(Invite::try_from).transpose()
}

/// The tenant's invitations, the newest first: at most `limit`, without the first `offset`.
pub fn page(tx: &mut TenantTx<'_>, offset: i64, limit: i64) -> Result<Vec<Invite>, StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    let rows: Vec<InviteRow> = on!(tx, |conn| InviteRow::query()
        .filter(tenant)
        .order(invites::id.desc())
        .offset(offset)
        .limit(limit)
        .load(conn))?;
    rows.into_iter().map(Invite::try_from).collect()
}

/// How many invitations the tenant has.
pub fn count(tx: &mut TenantTx<'_>) -> Result<i64, StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    Ok(on!(tx, |conn| invites::table.filter(tenant).count().get_result(conn))?)
}

/// Gives an invitation that waits another link and a later end; whether it still waited.
pub fn renew(
    tx: &mut TenantTx<'_>,
    id: InviteId,
    digest: &TokenDigest,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let changed = on!(tx, |conn| diesel::update(invites::table.find(key))
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .set((
            invites::digest.eq(Some(digest.as_bytes().to_vec())),
            invites::expires_at.eq(expires_at.as_micros()),
        ))
        .execute(conn))?;
    Ok(changed == 1)
}

/// Ends an invitation that waits and is good; true for one caller. Where it was shown, the link still has
/// to be the invitation's.
pub fn finish(
    tx: &mut TenantTx<'_>,
    id: InviteId,
    shown: Option<&TokenDigest>,
    status: InviteStatus,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let ended = on!(tx, |conn| {
        let waiting = invites::table
            .find(key)
            .filter(invites::status.eq(InviteStatus::Pending.as_str()))
            .filter(invites::expires_at.gt(now.as_micros()));
        match shown {
            Some(digest) => {
                diesel::update(waiting.filter(invites::digest.eq(Some(digest.as_bytes().to_vec()))))
                    .set(ended_as!(status))
                    .execute(conn)
            }
            None => diesel::update(waiting).set(ended_as!(status)).execute(conn),
        }
    })?;
    Ok(ended == 1)
}

/// Takes an invitation back that waits, whether or not its link has run out; whether it waited.
pub fn cancel(tx: &mut TenantTx<'_>, id: InviteId) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let ended = on!(tx, |conn| diesel::update(invites::table.find(key))
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .set(ended_as!(InviteStatus::Cancelled))
        .execute(conn))?;
    Ok(ended == 1)
}

/// The tenant's invitations that wait and were made by this user.
pub fn list_pending_by(tx: &mut TenantTx<'_>, inviter: UserId) -> Result<Vec<Invite>, StoreError> {
    let tenant = invites::tenant_id.eq(tx.key());
    let rows: Vec<InviteRow> = on!(tx, |conn| InviteRow::query()
        .filter(tenant)
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .filter(invites::inviter_id.eq(inviter.to_string()))
        .order(invites::id)
        .load(conn))?;
    rows.into_iter().map(Invite::try_from).collect()
}

/// Removes at most `limit` invitations whose links ran out before this; returns how many.
pub fn remove_old(tx: &mut PlatformTx<'_>, before: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let old = invites::expires_at.le(before.as_micros());
    let keys: Vec<(String, String)> = on!(tx, |conn| invites::table
        .filter(old)
        .select((invites::tenant_id, invites::id))
        .limit(limit)
        .load(conn))?;
    for (tenant, id) in &keys {
        // It can have been given a later end since it was listed.
        let key = (tenant, id);
        on!(tx, |conn| diesel::delete(invites::table.find(key)).filter(old).execute(conn))?;
    }
    Ok(keys.len())
}

/// Ends every invitation that waits, of every tenant; returns how many there were.
pub fn cancel_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::update(invites::table)
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .set(ended_as!(InviteStatus::Cancelled))
        .execute(conn))?)
}
