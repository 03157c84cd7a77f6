//! Links mailed to a directory's users to set a new password with. A user has one at most.

use diesel::prelude::*;
use keystead_domain::id::UserId;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::reset_links;
use crate::{PlatformTx, StoreError, TenantTx};

/// Puts a new link in place of the old one.
pub fn replace(
    tx: &mut TenantTx<'_>,
    user: UserId,
    digest: &TokenDigest,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let values = (
        reset_links::digest.eq(digest.as_bytes().to_vec()),
        reset_links::expires_at.eq(expires_at.as_micros()),
    );
    let key = (reset_links::directory.eq(tx.key()), reset_links::user_id.eq(user.to_string()));
    on!(tx, |conn| diesel::insert_into(reset_links::table)
        .values((key, values.clone()))
        .on_conflict((reset_links::directory, reset_links::user_id))
        .do_update()
        .set(values)
        .execute(conn))?;
    Ok(())
}

/// Whose link this is while it is good.
pub fn find(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let directory = reset_links::directory.eq(tx.key());
    let user: Option<String> = on!(tx, |conn| reset_links::table
        .filter(directory)
        .filter(reset_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(reset_links::expires_at.gt(now.as_micros()))
        .select(reset_links::user_id)
        .get_result(conn)
        .optional())?;
    user.map(|user| Reading { table: "reset_links", row: &user }.parse("user_id", &user)).transpose()
}

/// Removes a user's link, if it is this one and still good; true for one caller.
pub fn consume(
    tx: &mut TenantTx<'_>,
    user: UserId,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let removed = on!(tx, |conn| diesel::delete(reset_links::table.find(key))
        .filter(reset_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(reset_links::expires_at.gt(now.as_micros()))
        .execute(conn))?;
    Ok(removed == 1)
}

/// Removes a user's link, where there is one.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    let key = (tx.key(), user.to_string());
    on!(tx, |conn| diesel::delete(reset_links::table.find(key)).execute(conn))?;
    Ok(())
}

/// Removes at most `limit` links that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| reset_links::table
        .filter(reset_links::expires_at.le(now.as_micros()))
        .select((reset_links::directory, reset_links::user_id))
        .limit(limit)
        .load(conn))?;
    for (directory, user) in &keys {
        let key = (directory, user);
        on!(tx, |conn| diesel::delete(reset_links::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every link of every directory; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(reset_links::table).execute(conn))?)
}
