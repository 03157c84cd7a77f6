//! Sign-ins of a directory's users that wait for their second factor.

use diesel::prelude::*;
use keystead_domain::id::UserId;
use keystead_domain::sign_in_challenge::SignInChallenge;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::sign_in_challenges;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = sign_in_challenges)]
struct ChallengeRow {
    directory: String,
    digest: Vec<u8>,
    user_id: String,
    transient: bool,
    tries_left: i32,
    expires_at: i64,
}

impl TryFrom<ChallengeRow> for SignInChallenge {
    type Error = StoreError;

    fn try_from(row: ChallengeRow) -> Result<Self, StoreError> {
        let read = Reading { table: "sign_in_challenges", row: &row.user_id };
        Ok(Self {
            user: read.parse("user_id", &row.user_id)?,
            digest: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
            transient: row.transient,
            tries_left: u8::try_from(row.tries_left).map_err(|_| read.impossible("tries_left"))?,
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// Adds a challenge.
pub fn insert(tx: &mut TenantTx<'_>, challenge: &SignInChallenge) -> Result<(), StoreError> {
    let row = ChallengeRow {
        directory: tx.key(),
        digest: challenge.digest.as_bytes().to_vec(),
        user_id: challenge.user.to_string(),
        transient: challenge.transient,
        tries_left: i32::from(challenge.tries_left),
        expires_at: challenge.expires_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(sign_in_challenges::table).values(&row).execute(conn))?;
    Ok(())
}

/// The directory's challenge with this token while it is good.
pub fn find(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<SignInChallenge>, StoreError> {
    let key = (tx.key(), digest.as_bytes().to_vec());
    let row: Option<ChallengeRow> = on!(tx, |conn| ChallengeRow::query()
        .find(key)
        .filter(sign_in_challenges::expires_at.gt(now.as_micros()))
        .filter(sign_in_challenges::tries_left.gt(0))
        .get_result(conn)
        .optional())?;
    row.map(SignInChallenge::try_from).transpose()
}

/// Takes one try from a challenge, and returns it if it was good. A try is taken before anything is
/// compared, so that concurrent guesses get no more of them than consecutive ones.
pub fn take_try(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<SignInChallenge>, StoreError> {
    let key = (tx.key(), digest.as_bytes().to_vec());
    let row: Option<ChallengeRow> = on!(tx, |conn| diesel::update(sign_in_challenges::table.find(key))
        .filter(sign_in_challenges::expires_at.gt(now.as_micros()))
        .filter(sign_in_challenges::tries_left.gt(0))
        .set(sign_in_challenges::tries_left.eq(sign_in_challenges::tries_left - 1))
        .returning(ChallengeRow::as_returning())
        .get_result(conn)
        .optional())?;
    row.map(SignInChallenge::try_from).transpose()
}

/// Removes a challenge; true for one caller.
pub fn consume(tx: &mut TenantTx<'_>, digest: &TokenDigest) -> Result<bool, StoreError> {
    let key = (tx.key(), digest.as_bytes().to_vec());
    let removed = on!(tx, |conn| diesel::delete(sign_in_challenges::table.find(key)).execute(conn))?;
    Ok(removed == 1)
}

/// Removes all challenges to one of the directory's users.
pub fn remove_all(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    let directory = sign_in_challenges::directory.eq(tx.key());
    on!(tx, |conn| diesel::delete(sign_in_challenges::table)
        .filter(directory)
        .filter(sign_in_challenges::user_id.eq(user.to_string()))
        .execute(conn))?;
    Ok(())
}

/// Removes at most `limit` challenges that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, Vec<u8>)> = on!(tx, |conn| sign_in_challenges::table
        .filter(sign_in_challenges::expires_at.le(now.as_micros()))
        .select((sign_in_challenges::directory, sign_in_challenges::digest))
        .limit(limit)
        .load(conn))?;
    for (directory, digest) in &keys {
        let key = (directory, digest);
        on!(tx, |conn| diesel::delete(sign_in_challenges::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes every challenge of every directory.
pub fn remove_everyones(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(sign_in_challenges::table).execute(conn))?)
}
