//! Browsers that have signed users of a directory in before.

use diesel::prelude::*;
use keystead_domain::device::{DEVICES_KNOWN, Device};
use keystead_domain::id::UserId;
use keystead_domain::slowdown::Slowdown;
use keystead_domain::{Email, Timestamp, TokenDigest};

use crate::schema::{devices, users};
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(Insertable)]
#[diesel(table_name = devices)]
struct DeviceRow {
    directory: String,
    digest: Vec<u8>,
    user_id: String,
    failures: i32,
    expires_at: i64,
}

/// Who in the directory has an address.
fn holder(tx: &mut TenantTx<'_>, email: &Email) -> Result<Option<String>, StoreError> {
    let directory = tx.key();
    Ok(on!(tx, |conn| users::table
        .filter(users::directory.eq(directory))
        .filter(users::email_key.eq(email.key()))
        .select(users::id)
        .get_result(conn)
        .optional())?)
}

fn free(slowdown: Slowdown) -> i32 {
    i32::try_from(slowdown.free).unwrap_or(i32::MAX)
}

/// Whether a browser signed the user with this address in before, and has tries of its own left.
pub fn has_tries(
    tx: &mut TenantTx<'_>,
    slowdown: Slowdown,
    digest: &TokenDigest,
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(user) = holder(tx, email)? else { return Ok(false) };
    let known = devices::table
        .find((tx.key(), digest.as_bytes().to_vec()))
        .filter(devices::user_id.eq(user))
        .filter(devices::failures.lt(free(slowdown)))
        .filter(devices::expires_at.gt(now.as_micros()));
    Ok(on!(tx, |conn| diesel::select(diesel::dsl::exists(known)).get_result(conn))?)
}

/// Counts a try of such a browser as failed, before it is checked; false where it is none, or has no tries left.
pub fn take_try(
    tx: &mut TenantTx<'_>,
    slowdown: Slowdown,
    digest: &TokenDigest,
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(user) = holder(tx, email)? else { return Ok(false) };
    let key = (tx.key(), digest.as_bytes().to_vec());
    let taken = on!(tx, |conn| diesel::update(devices::table.find(key))
        .filter(devices::user_id.eq(user))
        .filter(devices::failures.lt(free(slowdown)))
        .filter(devices::expires_at.gt(now.as_micros()))
        .set(devices::failures.eq(devices::failures + 1))
        .execute(conn))?;
    Ok(taken == 1)
}

/// Takes back what [`take_try`] counted, for a try that did not fail.
pub fn give_back(tx: &mut TenantTx<'_>, digest: &TokenDigest) -> Result<(), StoreError> {
    let key = (tx.key(), digest.as_bytes().to_vec());
    on!(tx, |conn| diesel::update(devices::table.find(key))
        .filter(devices::failures.gt(0))
        .set(devices::failures.eq(devices::failures - 1))
        .execute(conn))?;
    Ok(())
}

/// A browser that is known signed its user in once more: its failures are forgotten. False where it is not known.
pub fn renew(tx: &mut TenantTx<'_>, device: &Device, now: Timestamp) -> Result<bool, StoreError> {
    let key = (tx.key(), device.digest.as_bytes().to_vec());
    let renewed = on!(tx, |conn| diesel::update(devices::table.find(key))
        .filter(devices::user_id.eq(device.user.to_string()))
        .filter(devices::expires_at.gt(now.as_micros()))
        .set((devices::failures.eq(0), devices::expires_at.eq(device.expires_at.as_micros())))
        .execute(conn))?;
    Ok(renewed == 1)
}

/// Adds a browser, and forgets those of its user that signed in longest ago.
pub fn insert(tx: &mut TenantTx<'_>, device: &Device) -> Result<(), StoreError> {
    let row = DeviceRow {
        directory: tx.key(),
        digest: device.digest.as_bytes().to_vec(),
        user_id: device.user.to_string(),
        failures: i32::try_from(device.failures).unwrap_or(i32::MAX),
        expires_at: device.expires_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(devices::table).values(&row).execute(conn))?;
    let too_many: Vec<Vec<u8>> = on!(tx, |conn| devices::table
        .filter(devices::directory.eq(&row.directory))
        .filter(devices::user_id.eq(&row.user_id))
        .order((devices::expires_at.desc(), devices::digest))
        .offset(DEVICES_KNOWN)
        .limit(i64::MAX)
        .select(devices::digest)
        .load(conn))?;
    for digest in too_many {
        let key = (row.directory.as_str(), digest);
        on!(tx, |conn| diesel::delete(devices::table.find(key)).execute(conn))?;
    }
    Ok(())
}

/// Forgets all browsers of one of the directory's users.
pub fn remove_all(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    let directory = devices::directory.eq(tx.key());
    on!(tx, |conn| diesel::delete(devices::table)
        .filter(directory)
        .filter(devices::user_id.eq(user.to_string()))
        .execute(conn))?;
    Ok(())
}

/// Removes at most `limit` that are not known any more; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, Vec<u8>)> = on!(tx, |conn| devices::table
        .filter(devices::expires_at.le(now.as_micros()))
        .select((devices::directory, devices::digest))
        .limit(limit)
        .load(conn))?;
    for (directory, digest) in &keys {
        // It may have been renewed since.
        let key = (directory, digest);
        on!(tx, |conn| diesel::delete(devices::table.find(key))
            .filter(devices::expires_at.le(now.as_micros()))
            .execute(conn))?;
    }
    Ok(keys.len())
}

/// Forgets every browser of everybody.
pub fn remove_everyones(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(devices::table).execute(conn))?)
}
