//! What a deployment knows about itself.

use diesel::prelude::*;
use keystead_domain::audit::seal::{EndMark, Vouch};

use crate::schema::deployment;
use crate::{PlatformTx, StoreError, seals};

pub(crate) const MASTER_KEY_ID: &str = "master_key_id";
const ROOT_KEY: &str = "root_key";
const AUDIT_END: &str = "audit_end";

/// Which keys a database belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKeys {
    /// The id of the master key that opens its root key; nothing while the database is new.
    pub master_key_id: Option<String>,
    /// The root key, sealed under that master key; nothing where the database is new, or was last
    /// used by a version that had no root keys.
    pub root_key: Option<String>,
}

/// The keys that the database belongs to.
pub fn keys(tx: &mut PlatformTx<'_>) -> Result<StoredKeys, StoreError> {
    Ok(StoredKeys { master_key_id: find(tx, MASTER_KEY_ID)?, root_key: find(tx, ROOT_KEY)? })
}

/// Remembers the master key's id, once.
pub fn insert_master_key_id(tx: &mut PlatformTx<'_>, id: &str) -> Result<(), StoreError> {
    insert(tx, MASTER_KEY_ID, id)
}

/// Remembers the sealed root key, once.
pub fn insert_root_key(tx: &mut PlatformTx<'_>, sealed: &str) -> Result<(), StoreError> {
    insert(tx, ROOT_KEY, sealed)
}

/// Puts the root key as `new_id` sealed it in place of `old`; true for one caller, and only while
/// `old` is what the database has.
pub fn replace_master_key(
    tx: &mut PlatformTx<'_>,
    old: &StoredKeys,
    new_id: &str,
    root_key: &str,
) -> Result<bool, StoreError> {
    let mut replaced = 0;
    for (key, old, new) in [(MASTER_KEY_ID, &old.master_key_id, new_id), (ROOT_KEY, &old.root_key, root_key)]
    {
        let Some(old) = old else { return Ok(false) };
        replaced += execute!(
            tx,
            diesel::update(deployment::table.find(key))
                .filter(deployment::value.eq(old))
                .set(deployment::value.eq(new))
        )?;
        if replaced == 0 {
            return Ok(false);
        }
    }
    match replaced {
        2 => Ok(true),
        _ => Err(StoreError::Impossible { table: "deployment", column: "value", row: ROOT_KEY.to_owned() }),
    }
}

/// Where the audit trail's seals end, as the key marked it; nothing where that is gone or makes no sense.
pub fn audit_end(tx: &mut PlatformTx<'_>) -> Result<Option<EndMark>, StoreError> {
    Ok(find(tx, AUDIT_END)?.and_then(|mark| mark.parse().ok()))
}

/// Marks where the seals end that are there, in a database that has no mark yet.
pub fn begin_audit_end(tx: &mut PlatformTx<'_>, key: &dyn Vouch) -> Result<(), StoreError> {
    let mark = EndMark::new(seals::head(tx, key)?, key).to_string();
    on!(tx, |conn| diesel::insert_into(deployment::table)
        .values((deployment::key.eq(AUDIT_END), deployment::value.eq(&mark)))
        .on_conflict(deployment::key)
        .do_update()
        .set(deployment::value.eq(&mark))
        .execute(conn))?;
    Ok(())
}

/// Puts the root key sealed in another way in place of `old`; true for one caller.
pub fn replace_root_key(tx: &mut PlatformTx<'_>, old: &str, new: &str) -> Result<bool, StoreError> {
    let replaced = on!(tx, |conn| diesel::update(deployment::table.find(ROOT_KEY))
        .filter(deployment::value.eq(old))
        .set(deployment::value.eq(new))
        .execute(conn))?;
    Ok(replaced == 1)
}

pub(crate) fn move_audit_end(tx: &mut PlatformTx<'_>, mark: &EndMark) -> Result<(), StoreError> {
    let mark = mark.to_string();
    execute!(tx, diesel::update(deployment::table.find(AUDIT_END)).set(deployment::value.eq(&mark)))?;
    Ok(())
}

fn find(tx: &mut PlatformTx<'_>, key: &str) -> Result<Option<String>, StoreError> {
    Ok(on!(tx, |conn| deployment::table.find(key).select(deployment::value).get_result(conn).optional())?)
}

fn insert(tx: &mut PlatformTx<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    on!(tx, |conn| diesel::insert_into(deployment::table)
        .values((deployment::key.eq(key), deployment::value.eq(value)))
        .execute(conn))?;
    Ok(())
}
