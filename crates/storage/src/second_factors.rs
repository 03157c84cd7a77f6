//! Second factors of a directory's users: authenticator apps and recovery codes.

use diesel::prelude::*;
use keystead_domain::id::{SessionId, UserId};
use keystead_domain::registration::CodeMac;
use keystead_domain::revocation::Revocation;
use keystead_domain::second_factor::TotpStep;

use crate::schema::{recovery_codes, totp};
use crate::{PlatformTx, StoreError, TenantTx};

/// The sealed secrets of a user's authenticator app.
#[derive(HasQuery, Default)]
#[diesel(table_name = totp)]
pub struct StoredTotp {
    /// In force.
    pub secret: Option<Vec<u8>>,
    /// Waiting for its first code.
    pub pending_secret: Option<Vec<u8>>,
    /// In which session it was put into force, where it was in one.
    pub enrolled_in: Option<String>,
}

/// What a user has enrolled, if anything.
pub fn find_totp(tx: &mut TenantTx<'_>, user: UserId) -> Result<StoredTotp, StoreError> {
    let key = (tx.key(), user.to_string());
    let row = on!(tx, |conn| StoredTotp::query().find(key).get_result(conn).optional())?;
    Ok(row.unwrap_or_default())
}

/// Begins an enrolment, in place of an earlier one that was not confirmed.
pub fn set_pending_totp(tx: &mut TenantTx<'_>, user: UserId, sealed: &[u8]) -> Result<(), StoreError> {
    let values =
        (totp::directory.eq(tx.key()), totp::user_id.eq(user.to_string()), totp::pending_secret.eq(sealed));
    execute!(
        tx,
        diesel::insert_into(totp::table)
            .values(values)
            .on_conflict((totp::directory, totp::user_id))
            .do_update()
            .set(totp::pending_secret.eq(sealed))
    )?;
    Ok(())
}

/// Puts the pending secret into force, its first code spent; true for one caller.
pub fn activate_totp(
    tx: &mut TenantTx<'_>,
    user: UserId,
    session: SessionId,
    pending: &[u8],
    spent: TotpStep,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(totp::table.find(key)).filter(totp::pending_secret.eq(pending)).set((
            totp::secret.eq(totp::pending_secret),
            totp::last_step.eq(Some(spent.number())),
            totp::pending_secret.eq(None::<Vec<u8>>),
            totp::enrolled_in.eq(Some(session.to_string())),
        ))
    )?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Moves the last used step forward; true for one caller, and never for a step at or before it.
pub fn spend_totp_step(tx: &mut TenantTx<'_>, user: UserId, step: TotpStep) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(totp::table.find(key))
            .filter(totp::last_step.lt(step.number()))
            .set(totp::last_step.eq(Some(step.number())))
    )?;
    Ok(changed == 1)
}

/// Removes a user's second factor, unless it was put into force in this session.
pub fn remove_unless_enrolled_in(
    tx: &mut TenantTx<'_>,
    user: UserId,
    session: SessionId,
) -> Result<(), StoreError> {
    if find_totp(tx, user)?.enrolled_in != Some(session.to_string()) {
        remove(tx, user)?;
    }
    Ok(())
}

/// Removes a user's second factor with all that belongs to it; whether there was one in force.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId) -> Result<bool, StoreError> {
    let had = find_totp(tx, user)?.secret.is_some();
    tx.revoke(Revocation::User(user));
    let key = (tx.key(), user.to_string());
    on!(tx, |conn| diesel::delete(totp::table.find(key)).execute(conn))?;
    replace_recovery_codes(tx, user, &[])?;
    Ok(had)
}

/// Puts these recovery codes in place of all earlier ones.
pub fn replace_recovery_codes(
    tx: &mut TenantTx<'_>,
    user: UserId,
    macs: &[CodeMac],
) -> Result<(), StoreError> {
    for pending in [false, true] {
        remove_recovery_codes(tx, user, pending)?;
    }
    insert_recovery_codes(tx, user, macs, false)
}

/// Puts these recovery codes in place of those that wait: they are none before
/// [`activate_pending_codes`].
pub fn set_pending_codes(tx: &mut TenantTx<'_>, user: UserId, macs: &[CodeMac]) -> Result<(), StoreError> {
    remove_recovery_codes(tx, user, true)?;
    insert_recovery_codes(tx, user, macs, true)
}

/// Puts the recovery codes that wait in place of all earlier ones.
pub fn activate_pending_codes(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    remove_recovery_codes(tx, user, false)?;
    let directory = recovery_codes::directory.eq(tx.key());
    on!(tx, |conn| diesel::update(recovery_codes::table)
        .filter(directory)
        .filter(recovery_codes::user_id.eq(user.to_string()))
        .set(recovery_codes::pending.eq(false))
        .execute(conn))?;
    Ok(())
}

fn remove_recovery_codes(tx: &mut TenantTx<'_>, user: UserId, pending: bool) -> Result<(), StoreError> {
    let directory = recovery_codes::directory.eq(tx.key());
    on!(tx, |conn| diesel::delete(recovery_codes::table)
        .filter(directory)
        .filter(recovery_codes::user_id.eq(user.to_string()))
        .filter(recovery_codes::pending.eq(pending))
        .execute(conn))?;
    Ok(())
}

fn insert_recovery_codes(
    tx: &mut TenantTx<'_>,
    user: UserId,
    macs: &[CodeMac],
    pending: bool,
) -> Result<(), StoreError> {
    let (directory, user) = (tx.key(), user.to_string());
    for mac in macs {
        let values = (
            recovery_codes::directory.eq(&directory),
            recovery_codes::user_id.eq(&user),
            recovery_codes::mac.eq(mac.as_bytes().as_slice()),
            recovery_codes::pending.eq(pending),
        );
        on!(tx, |conn| diesel::insert_into(recovery_codes::table).values(values).execute(conn))?;
    }
    Ok(())
}

/// Uses up a recovery code; true for one caller.
pub fn consume_recovery_code(tx: &mut TenantTx<'_>, user: UserId, mac: &CodeMac) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string(), mac.as_bytes().to_vec());
    let removed = on!(tx, |conn| diesel::delete(recovery_codes::table.find(key))
        .filter(recovery_codes::pending.eq(false))
        .execute(conn))?;
    Ok(removed == 1)
}

/// Counts every code up to `step` as used, for every user.
pub fn spend_steps_until(tx: &mut PlatformTx<'_>, step: TotpStep) -> Result<(), StoreError> {
    execute!(
        tx,
        diesel::update(totp::table)
            .filter(totp::last_step.lt(step.number()))
            .set(totp::last_step.eq(Some(step.number())))
    )?;
    Ok(())
}
