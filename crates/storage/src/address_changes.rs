//! Changes of address that wait to be confirmed. They are found by
//! [`locate::address_change`](crate::locate::address_change).

use diesel::prelude::*;
use diesel::upsert::excluded;
use keystead_domain::address_change::AddressChange;
use keystead_domain::id::UserId;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::address_changes;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery)]
#[diesel(table_name = address_changes)]
pub(crate) struct AddressChangeRow {
    user_id: String,
    email: String,
    digest: Vec<u8>,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<AddressChangeRow> for AddressChange {
    type Error = StoreError;

    fn try_from(row: AddressChangeRow) -> Result<Self, StoreError> {
        let read = Reading { table: "address_changes", row: &row.user_id };
        Ok(Self {
            user: read.parse("user_id", &row.user_id)?,
            email: read.parse("email", &row.email)?,
            digest: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// Adds a change in place of the one that its user has, which is no good from then on.
pub fn replace(tx: &mut TenantTx<'_>, change: &AddressChange) -> Result<(), StoreError> {
    let values = (
        address_changes::directory.eq(tx.key()),
        address_changes::user_id.eq(change.user.to_string()),
        address_changes::email.eq(change.email.as_str()),
        address_changes::digest.eq(change.digest.as_bytes().to_vec()),
        address_changes::created_at.eq(change.created_at.as_micros()),
        address_changes::expires_at.eq(change.expires_at.as_micros()),
    );
    execute!(
        tx,
        diesel::insert_into(address_changes::table)
            .values(values)
            .on_conflict((address_changes::directory, address_changes::user_id))
            .do_update()
            .set((
                address_changes::email.eq(excluded(address_changes::email)),
                address_changes::digest.eq(excluded(address_changes::digest)),
                address_changes::created_at.eq(excluded(address_changes::created_at)),
                address_changes::expires_at.eq(excluded(address_changes::expires_at)),
            ))
    )?;
    Ok(())
}

/// Removes a user's change, if it is this one and still good; true for one caller.
pub fn consume(
    tx: &mut TenantTx<'_>,
    user: UserId,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let removed = on!(tx, |conn| diesel::delete(address_changes::table.find(key))
        .filter(address_changes::digest.eq(digest.as_bytes().to_vec()))
        .filter(address_changes::expires_at.gt(now.as_micros()))
        .execute(conn))?;
    Ok(removed == 1)
}

/// Removes a user's change, where there is one.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    let key = (tx.key(), user.to_string());
    on!(tx, |conn| diesel::delete(address_changes::table.find(key)).execute(conn))?;
    Ok(())
}

/// Removes at most `limit` changes that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let expired = address_changes::expires_at.le(now.as_micros());
    let keys: Vec<(String, String)> = on!(tx, |conn| address_changes::table
        .filter(expired)
        .select((address_changes::directory, address_changes::user_id))
        .limit(limit)
        .load(conn))?;
    for (directory, user) in &keys {
        // Another can have taken its place since it was listed.
        let key = (directory, user);
        on!(tx, |conn| diesel::delete(address_changes::table.find(key)).filter(expired).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every change of every user; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(address_changes::table).execute(conn))?)
}
