//! Signing keys, sealed.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::revocation::Revocation;

use crate::schema::signing_keys;
use crate::{PlatformTx, StoreError};

/// A stored signing key.
#[derive(HasQuery)]
#[diesel(table_name = signing_keys)]
pub struct StoredSigningKey {
    /// Its name.
    pub kid: String,
    /// The sealed private key.
    pub sealed_seed: Vec<u8>,
}

/// Adds the key that signs from now on. There may be [one already](crate::UniqueKey::CurrentSigningKey).
pub fn insert_current(
    tx: &mut PlatformTx<'_>,
    key: &StoredSigningKey,
    master_key_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let values = (
        signing_keys::kid.eq(&key.kid),
        signing_keys::algorithm.eq("EdDSA"),
        signing_keys::sealed_seed.eq(&key.sealed_seed),
        signing_keys::master_key_id.eq(master_key_id),
        signing_keys::state.eq("current"),
        signing_keys::created_at.eq(now.as_micros()),
    );
    on!(tx, |conn| diesel::insert_into(signing_keys::table).values(values).execute(conn))?;
    tx.revoke(Revocation::SigningKeys);
    Ok(())
}

/// Every key that signatures are checked with, the one that signs first.
pub fn list(tx: &mut PlatformTx<'_>) -> Result<Vec<StoredSigningKey>, StoreError> {
    Ok(on!(tx, |conn| StoredSigningKey::query()
        .order((signing_keys::state, signing_keys::created_at.desc()))
        .load(conn))?)
}
