//! Signing keys, sealed.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::revocation::Revocation;
use keystead_domain::signing_key::{SigningKeyRecord, SigningKeyState};

use crate::row::Reading;
use crate::schema::signing_keys;
use crate::{PlatformTx, StoreError};

/// A stored signing key.
#[derive(Clone)]
pub struct StoredSigningKey {
    /// What is known of it.
    pub record: SigningKeyRecord,
    /// The sealed private key.
    pub sealed_seed: Vec<u8>,
}

#[derive(HasQuery)]
#[diesel(table_name = signing_keys)]
struct SigningKeyRow {
    kid: String,
    sealed_seed: Vec<u8>,
    state: String,
    created_at: i64,
    activated_at: Option<i64>,
    verifies_until: Option<i64>,
}

impl TryFrom<SigningKeyRow> for StoredSigningKey {
    type Error = StoreError;

    fn try_from(row: SigningKeyRow) -> Result<Self, StoreError> {
        let read = Reading { table: "signing_keys", row: &row.kid };
        let created_at = Timestamp::from_micros(row.created_at);
        // A version that knew no rotation wrote the first key without it.
        let since = row.activated_at.map_or(created_at, Timestamp::from_micros);
        let state = match (row.state.as_str(), row.verifies_until) {
            ("next", _) => SigningKeyState::Next,
            ("current", _) => SigningKeyState::Current { since },
            ("retired", Some(until)) => {
                SigningKeyState::Retired { since, until: Timestamp::from_micros(until) }
            }
            ("retired", None) => return Err(read.impossible("verifies_until")),
            _ => return Err(read.impossible("state")),
        };
        let record = SigningKeyRecord { kid: row.kid, created_at, state };
        Ok(Self { record, sealed_seed: row.sealed_seed })
    }
}

/// Adds a key. There may be [another](crate::UniqueKey::SigningKey) in its state.
pub fn insert(tx: &mut PlatformTx<'_>, key: &StoredSigningKey, sealed_under: &str) -> Result<(), StoreError> {
    let record = &key.record;
    let (activated_at, verifies_until) = match record.state {
        SigningKeyState::Next => (None, None),
        SigningKeyState::Current { since } => (Some(since), None),
        SigningKeyState::Retired { since, until } => (Some(since), Some(until)),
    };
    let values = (
        signing_keys::kid.eq(&record.kid),
        signing_keys::algorithm.eq("EdDSA"),
        signing_keys::sealed_seed.eq(&key.sealed_seed),
        signing_keys::master_key_id.eq(sealed_under),
        signing_keys::state.eq(record.state.as_str()),
        signing_keys::created_at.eq(record.created_at.as_micros()),
        signing_keys::activated_at.eq(activated_at.map(Timestamp::as_micros)),
        signing_keys::verifies_until.eq(verifies_until.map(Timestamp::as_micros)),
    );
    on!(tx, |conn| diesel::insert_into(signing_keys::table).values(values).execute(conn))?;
    tx.revoke(Revocation::SigningKeys);
    Ok(())
}

/// Every key: the one that signs, the one that comes next, then those that are retired, the newest
/// first.
pub fn list(tx: &mut PlatformTx<'_>) -> Result<Vec<StoredSigningKey>, StoreError> {
    // The words happen to be in the order of the alphabet.
    let rows: Vec<SigningKeyRow> = on!(tx, |conn| SigningKeyRow::query()
        .order((signing_keys::state, signing_keys::created_at.desc()))
        .load(conn))?;
    rows.into_iter().map(StoredSigningKey::try_from).collect()
}

/// Retires the key that signs, if it is this one; true for one caller.
pub fn retire(tx: &mut PlatformTx<'_>, kid: &str, until: Timestamp) -> Result<bool, StoreError> {
    let retired = execute!(
        tx,
        diesel::update(signing_keys::table.find(kid))
            .filter(signing_keys::state.eq("current"))
            .set((signing_keys::state.eq("retired"), signing_keys::verifies_until.eq(until.as_micros())))
    )?;
    tx.revoke(Revocation::SigningKeys);
    Ok(retired == 1)
}

/// Lets the key that comes next sign, if it is this one. The key that signed has to be
/// [retired](retire) before.
pub fn activate(tx: &mut PlatformTx<'_>, kid: &str, now: Timestamp) -> Result<bool, StoreError> {
    let activated = execute!(
        tx,
        diesel::update(signing_keys::table.find(kid))
            .filter(signing_keys::state.eq("next"))
            .set((signing_keys::state.eq("current"), signing_keys::activated_at.eq(now.as_micros())))
    )?;
    tx.revoke(Revocation::SigningKeys);
    Ok(activated == 1)
}

/// Removes all keys but the one that signs: nothing that they signed is accepted any more.
pub fn remove_others(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    let removed = on!(tx, |conn| diesel::delete(signing_keys::table)
        .filter(signing_keys::state.ne("current"))
        .execute(conn))?;
    tx.revoke(Revocation::SigningKeys);
    Ok(removed)
}

/// Removes at most `limit` retired keys that have no good token left; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let kids: Vec<String> = on!(tx, |conn| signing_keys::table
        .filter(signing_keys::state.eq("retired"))
        .filter(signing_keys::verifies_until.le(now.as_micros()))
        .select(signing_keys::kid)
        .limit(limit)
        .load(conn))?;
    for kid in &kids {
        on!(tx, |conn| diesel::delete(signing_keys::table.find(kid)).execute(conn))?;
    }
    Ok(kids.len())
}
