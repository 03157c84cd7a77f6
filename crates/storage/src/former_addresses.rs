//! Addresses that users had and can go back to. They are found by
//! [`locate::former_address`](crate::locate::former_address).
//!
//! What is asked here about one user is asked while its row is [held](crate::users::hold), so that a
//! user's former addresses stay in the order in which they were left.

use std::collections::HashSet;

use diesel::dsl::{exists, max};
use diesel::prelude::*;
use keystead_domain::address_change::FormerAddress;
use keystead_domain::id::UserId;
use keystead_domain::{Email, Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::former_addresses;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery)]
#[diesel(table_name = former_addresses)]
pub(crate) struct FormerAddressRow {
    user_id: String,
    email: String,
    had_second_factor: bool,
    digest: Vec<u8>,
    changed_at: i64,
    expires_at: i64,
}

impl TryFrom<FormerAddressRow> for FormerAddress {
    type Error = StoreError;

    fn try_from(row: FormerAddressRow) -> Result<Self, StoreError> {
        let read = Reading { table: "former_addresses", row: &row.user_id };
        Ok(Self {
            user: read.parse("user_id", &row.user_id)?,
            email: read.parse("email", &row.email)?,
            had_second_factor: row.had_second_factor,
            digest: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
            changed_at: Timestamp::from_micros(row.changed_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// Adds an address as the one that its user had last.
pub fn insert(tx: &mut TenantTx<'_>, former: &FormerAddress) -> Result<(), StoreError> {
    let (directory, user) = (tx.key(), former.user.to_string());
    let last: Option<i32> = on!(tx, |conn| former_addresses::table
        .filter(former_addresses::directory.eq(&directory))
        .filter(former_addresses::user_id.eq(&user))
        .select(max(former_addresses::position))
        .get_result(conn))?;
    let values = (
        former_addresses::directory.eq(&directory),
        former_addresses::user_id.eq(&user),
        former_addresses::position.eq(last.map_or(0, |last| last.saturating_add(1))),
        former_addresses::email.eq(former.email.as_str()),
        former_addresses::email_key.eq(former.email.key()),
        former_addresses::had_second_factor.eq(former.had_second_factor),
        former_addresses::digest.eq(former.digest.as_bytes().as_slice()),
        former_addresses::changed_at.eq(former.changed_at.as_micros()),
        former_addresses::expires_at.eq(former.expires_at.as_micros()),
    );
    on!(tx, |conn| diesel::insert_into(former_addresses::table).values(values).execute(conn))?;
    Ok(())
}

/// Which of these addresses, some hundred at most, users had that can still go back to them: their keys.
pub fn kept(tx: &mut TenantTx<'_>, emails: &[Email], now: Timestamp) -> Result<HashSet<String>, StoreError> {
    let directory = former_addresses::directory.eq(tx.key());
    let keys: Vec<_> = emails.iter().map(Email::key).collect();
    let found: Vec<String> = on!(tx, |conn| former_addresses::table
        .filter(directory)
        .filter(former_addresses::email_key.eq_any(&keys))
        .filter(former_addresses::expires_at.gt(now.as_micros()))
        .select(former_addresses::email_key)
        .load(conn))?;
    Ok(found.into_iter().collect())
}

/// Whether a user other than `own` had this address and can still go back to it.
pub fn is_kept(
    tx: &mut TenantTx<'_>,
    email: &Email,
    own: Option<UserId>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let own = own.map(|id| id.to_string()).unwrap_or_default();
    let kept = former_addresses::table
        .filter(former_addresses::directory.eq(tx.key()))
        .filter(former_addresses::email_key.eq(email.key().to_owned()))
        .filter(former_addresses::user_id.ne(own))
        .filter(former_addresses::expires_at.gt(now.as_micros()));
    Ok(on!(tx, |conn| one_form!(diesel::select(exists(kept))).get_result(conn))?)
}

/// Uses up the link of one of a user's former addresses, and with it those that the user had after
/// it; true for one caller.
pub fn consume(
    tx: &mut TenantTx<'_>,
    user: UserId,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (directory, user) = (tx.key(), user.to_string());
    let position: Option<i32> = on!(tx, |conn| diesel::delete(former_addresses::table)
        .filter(former_addresses::directory.eq(&directory))
        .filter(former_addresses::user_id.eq(&user))
        .filter(former_addresses::digest.eq(digest.as_bytes().as_slice()))
        .filter(former_addresses::expires_at.gt(now.as_micros()))
        .returning(former_addresses::position)
        .get_result(conn)
        .optional())?;
    if let Some(position) = position {
        remove_since(tx, &user, position)?;
    }
    Ok(position.is_some())
}

/// Removes an address that a user is about to have again from those that it can go back to, and
/// with it those that the user had after it; whether it was one that it could go back to.
pub fn rejoin(
    tx: &mut TenantTx<'_>,
    user: UserId,
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (directory, user) = (tx.key(), user.to_string());
    let position: Option<i32> = on!(tx, |conn| former_addresses::table
        .filter(former_addresses::directory.eq(&directory))
        .filter(former_addresses::user_id.eq(&user))
        .filter(former_addresses::email_key.eq(email.key()))
        .filter(former_addresses::expires_at.gt(now.as_micros()))
        .order(former_addresses::position)
        .select(former_addresses::position)
        .first(conn)
        .optional())?;
    if let Some(position) = position {
        remove_since(tx, &user, position)?;
    }
    Ok(position.is_some())
}

fn remove_since(tx: &mut TenantTx<'_>, user: &str, position: i32) -> Result<(), StoreError> {
    let directory = former_addresses::directory.eq(tx.key());
    on!(tx, |conn| diesel::delete(former_addresses::table)
        .filter(directory)
        .filter(former_addresses::user_id.eq(user))
        .filter(former_addresses::position.ge(position))
        .execute(conn))?;
    Ok(())
}

/// Removes at most `limit` addresses whose time to be gone back to is over; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let expired = former_addresses::expires_at.le(now.as_micros());
    let keys: Vec<(String, String, i32)> = on!(tx, |conn| former_addresses::table
        .filter(expired)
        .select((former_addresses::directory, former_addresses::user_id, former_addresses::position))
        .limit(limit)
        .load(conn))?;
    for (directory, user, position) in &keys {
        // Another can have taken its position since it was listed.
        let key = (directory, user, *position);
        on!(tx, |conn| diesel::delete(former_addresses::table.find(key)).filter(expired).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every former address of every user; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(former_addresses::table).execute(conn))?)
}
