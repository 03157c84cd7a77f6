//! What a deployment knows about itself.

use diesel::prelude::*;

use crate::schema::deployment;
use crate::{PlatformTx, StoreError};

const MASTER_KEY_ID: &str = "master_key_id";

/// The id of the master key that this database's sealed rows are sealed under; nothing while the
/// database is new.
pub fn master_key_id(tx: &mut PlatformTx<'_>) -> Result<Option<String>, StoreError> {
    Ok(on!(tx, |conn| deployment::table
        .find(MASTER_KEY_ID)
        .select(deployment::value)
        .first(conn)
        .optional())?)
}

/// Remembers the master key's id, once.
pub fn insert_master_key_id(tx: &mut PlatformTx<'_>, id: &str) -> Result<(), StoreError> {
    on!(tx, |conn| diesel::insert_into(deployment::table)
        .values((deployment::key.eq(MASTER_KEY_ID), deployment::value.eq(id)))
        .execute(conn))?;
    Ok(())
}
