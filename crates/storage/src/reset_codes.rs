//! Codes mailed to a directory's users for a new password. A user has one at most.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::id::UserId;
use keystead_domain::registration::{CodeMac, PendingCode};

use crate::prepared::KeepPrepared as _;
use crate::row::Reading;
use crate::schema::reset_codes;
use crate::{PlatformTx, StoreError, TenantTx};

/// Puts a new code in place of the old one.
pub fn replace(tx: &mut TenantTx<'_>, user: UserId, code: &PendingCode) -> Result<(), StoreError> {
    let values = (
        reset_codes::mac.eq(code.mac.as_bytes().to_vec()),
        reset_codes::expires_at.eq(code.expires_at.as_micros()),
        reset_codes::tries_left.eq(i32::from(code.tries_left)),
    );
    let key = (reset_codes::directory.eq(tx.key()), reset_codes::user_id.eq(user.to_string()));
    execute!(
        tx,
        diesel::insert_into(reset_codes::table)
            .values((key, values.clone()))
            .on_conflict((reset_codes::directory, reset_codes::user_id))
            .do_update()
            .set(values)
    )?;
    Ok(())
}

/// Takes one try from the user's code, and returns it to be compared if it was good.
pub fn take_try(tx: &mut TenantTx<'_>, user: UserId, now: Timestamp) -> Result<Option<CodeMac>, StoreError> {
    let id = user.to_string();
    let key = (tx.key(), id.clone());
    let mac: Option<Vec<u8>> = on!(tx, |conn| diesel::update(reset_codes::table.find(key))
        .filter(reset_codes::expires_at.gt(now.as_micros()))
        .filter(reset_codes::tries_left.gt(0))
        .set(reset_codes::tries_left.eq(reset_codes::tries_left - 1))
        .returning(reset_codes::mac)
        .keep_prepared()
        .get_result(conn)
        .optional())?;
    let read = Reading { table: "reset_codes", row: &id };
    mac.map(|mac| Ok(CodeMac::from_bytes(read.bytes("mac", &mac)?))).transpose()
}

/// Removes the user's code; true for one caller.
pub fn consume(tx: &mut TenantTx<'_>, user: UserId) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let removed = on!(tx, |conn| diesel::delete(reset_codes::table.find(key)).execute(conn))?;
    Ok(removed == 1)
}

/// Removes at most `limit` codes that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| reset_codes::table
        .filter(reset_codes::expires_at.le(now.as_micros()))
        .select((reset_codes::directory, reset_codes::user_id))
        .limit(limit)
        .load(conn))?;
    for (directory, user) in &keys {
        let key = (directory, user);
        on!(tx, |conn| diesel::delete(reset_codes::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every code of every directory; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(reset_codes::table).execute(conn))?)
}
