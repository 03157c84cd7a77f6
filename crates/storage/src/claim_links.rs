//! One-time links to the secrets of an owner's apps. They are found by
//! [`locate::claim_link`](crate::locate::claim_link).

use diesel::prelude::*;
use diesel::upsert::excluded;
use keystead_domain::claim::ClaimLink;
use keystead_domain::id::AppId;
use keystead_domain::{Timestamp, TokenDigest};

use crate::schema::claim_links;
use crate::{PlatformTx, StoreError, TenantTx};

/// Adds a link in place of the one that its app has, which is no good from then on.
pub fn replace(tx: &mut TenantTx<'_>, link: &ClaimLink) -> Result<(), StoreError> {
    let values = (
        claim_links::owner.eq(tx.key()),
        claim_links::app_id.eq(link.app.to_string()),
        claim_links::digest.eq(link.digest.as_bytes().to_vec()),
        claim_links::created_at.eq(link.created_at.as_micros()),
        claim_links::expires_at.eq(link.expires_at.as_micros()),
    );
    execute!(
        tx,
        diesel::insert_into(claim_links::table)
            .values(values)
            .on_conflict((claim_links::owner, claim_links::app_id))
            .do_update()
            .set((
                claim_links::digest.eq(excluded(claim_links::digest)),
                claim_links::created_at.eq(excluded(claim_links::created_at)),
                claim_links::expires_at.eq(excluded(claim_links::expires_at)),
            ))
    )?;
    Ok(())
}

/// Removes an app's link, if it is this one and still good; true for one caller.
pub fn consume(
    tx: &mut TenantTx<'_>,
    app: AppId,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), app.to_string());
    let removed = on!(tx, |conn| diesel::delete(claim_links::table.find(key))
        .filter(claim_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(claim_links::expires_at.gt(now.as_micros()))
        .execute(conn))?;
    Ok(removed == 1)
}

/// Removes an app's link, where it has one.
pub fn remove(tx: &mut TenantTx<'_>, app: AppId) -> Result<(), StoreError> {
    let key = (tx.key(), app.to_string());
    on!(tx, |conn| diesel::delete(claim_links::table.find(key)).execute(conn))?;
    Ok(())
}

/// Removes at most `limit` links that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let expired = claim_links::expires_at.le(now.as_micros());
    let keys: Vec<(String, String)> = on!(tx, |conn| claim_links::table
        .filter(expired)
        .select((claim_links::owner, claim_links::app_id))
        .limit(limit)
        .load(conn))?;
    for (owner, app) in &keys {
        // A fresh one can have taken its place since it was listed.
        let key = (owner, app);
        on!(tx, |conn| diesel::delete(claim_links::table.find(key)).filter(expired).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every link of every owner; returns how many there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(claim_links::table).execute(conn))?)
}
