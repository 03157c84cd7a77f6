//! Codes and links that were mailed to a directory's users to prove their addresses.

use diesel::prelude::*;
use diesel::upsert::excluded;
use keystead_domain::address_proof::AddressProof;
use keystead_domain::id::UserId;
use keystead_domain::registration::{CodeMac, PendingCode};
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::address_proofs;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = address_proofs)]
struct ProofRow {
    directory: String,
    user_id: String,
    email: String,
    mac: Vec<u8>,
    code_expires_at: i64,
    tries_left: i32,
    digest: Vec<u8>,
    expires_at: i64,
}

impl TryFrom<ProofRow> for AddressProof {
    type Error = StoreError;

    fn try_from(row: ProofRow) -> Result<Self, StoreError> {
        let read = Reading { table: "address_proofs", row: &row.user_id };
        Ok(Self {
            user: read.parse("user_id", &row.user_id)?,
            email: read.parse("email", &row.email)?,
            code: PendingCode {
                mac: CodeMac::from_bytes(read.bytes("mac", &row.mac)?),
                expires_at: Timestamp::from_micros(row.code_expires_at),
                tries_left: u8::try_from(row.tries_left).map_err(|_| read.impossible("tries_left"))?,
            },
            link: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// Puts a new code and link in place of those that the user had.
pub fn replace(tx: &mut TenantTx<'_>, proof: &AddressProof) -> Result<(), StoreError> {
    let row = ProofRow {
        directory: tx.key(),
        user_id: proof.user.to_string(),
        email: proof.email.to_string(),
        mac: proof.code.mac.as_bytes().to_vec(),
        code_expires_at: proof.code.expires_at.as_micros(),
        tries_left: i32::from(proof.code.tries_left),
        digest: proof.link.as_bytes().to_vec(),
        expires_at: proof.expires_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(address_proofs::table)
        .values(&row)
        .on_conflict((address_proofs::directory, address_proofs::user_id))
        .do_update()
        .set((
            address_proofs::email.eq(excluded(address_proofs::email)),
            address_proofs::mac.eq(excluded(address_proofs::mac)),
            address_proofs::code_expires_at.eq(excluded(address_proofs::code_expires_at)),
            address_proofs::tries_left.eq(excluded(address_proofs::tries_left)),
            address_proofs::digest.eq(excluded(address_proofs::digest)),
            address_proofs::expires_at.eq(excluded(address_proofs::expires_at)),
        ))
        .execute(conn))?;
    Ok(())
}

/// Takes one try from the user's code, and returns what was mailed, to be compared, if the code was good.
pub fn take_try(
    tx: &mut TenantTx<'_>,
    user: UserId,
    now: Timestamp,
) -> Result<Option<AddressProof>, StoreError> {
    let key = (tx.key(), user.to_string());
    let row: Option<ProofRow> = on!(tx, |conn| diesel::update(address_proofs::table.find(key))
        .filter(address_proofs::code_expires_at.gt(now.as_micros()))
        .filter(address_proofs::tries_left.gt(0))
        .set(address_proofs::tries_left.eq(address_proofs::tries_left - 1))
        .returning(ProofRow::as_returning())
        .get_result(conn)
        .optional())?;
    row.map(AddressProof::try_from).transpose()
}

/// What was mailed with this link while the link is good.
pub fn find_by_link(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<AddressProof>, StoreError> {
    let directory = address_proofs::directory.eq(tx.key());
    let row: Option<ProofRow> = on!(tx, |conn| ProofRow::query()
        .filter(directory)
        .filter(address_proofs::digest.eq(digest.as_bytes().to_vec()))
        .filter(address_proofs::expires_at.gt(now.as_micros()))
        .get_result(conn)
        .optional())?;
    row.map(AddressProof::try_from).transpose()
}

/// Removes what was mailed to a user, code and link, if it is still this; true for one caller.
pub fn consume(tx: &mut TenantTx<'_>, proof: &AddressProof) -> Result<bool, StoreError> {
    let key = (tx.key(), proof.user.to_string());
    let removed = on!(tx, |conn| diesel::delete(address_proofs::table.find(key))
        .filter(address_proofs::digest.eq(proof.link.as_bytes().to_vec()))
        .execute(conn))?;
    Ok(removed == 1)
}

/// Removes what was mailed to a user, where there is something.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId) -> Result<(), StoreError> {
    let key = (tx.key(), user.to_string());
    on!(tx, |conn| diesel::delete(address_proofs::table.find(key)).execute(conn))?;
    Ok(())
}

/// Removes at most `limit` that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| address_proofs::table
        .filter(address_proofs::expires_at.le(now.as_micros()))
        .select((address_proofs::directory, address_proofs::user_id))
        .limit(limit)
        .load(conn))?;
    for (directory, user) in &keys {
        let key = (directory, user);
        on!(tx, |conn| diesel::delete(address_proofs::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes everything that was mailed to anybody; returns how many pairs of code and link there were.
pub fn remove_all(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(on!(tx, |conn| diesel::delete(address_proofs::table).execute(conn))?)
}
