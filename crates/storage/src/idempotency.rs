//! Answers that are given again.

use diesel::prelude::*;
use keystead_domain::idempotency::{ANSWER_KEPT, Attempt, Attempted, StoredAnswer};
use keystead_domain::{Owner, Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::idempotency_answers;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(Insertable)]
#[diesel(table_name = idempotency_answers)]
struct AnswerRow {
    tenant_id: String,
    user_id: String,
    method: String,
    path: String,
    key: String,
    directory: String,
    body_digest: Vec<u8>,
    status: i32,
    answer: String,
    created_at: i64,
    expires_at: i64,
}

/// Keeps the answer to the first attempt, and finds it for the others. Where another transaction makes the same
/// attempt, this waits until that has ended.
pub fn attempt(
    tx: &mut TenantTx<'_>,
    attempt: &Attempt,
    answer: &StoredAnswer,
    now: Timestamp,
) -> Result<Attempted, StoreError> {
    let key = (
        tx.key(),
        attempt.user.to_string(),
        attempt.method.to_owned(),
        attempt.path.clone(),
        attempt.key.as_str().to_owned(),
    );
    let expired = key.clone();
    on!(tx, |conn| diesel::delete(idempotency_answers::table.find(expired))
        .filter(idempotency_answers::expires_at.le(now.as_micros()))
        .execute(conn))?;
    let (tenant_id, user_id, method, path, text) = key.clone();
    let row = AnswerRow {
        tenant_id,
        user_id,
        method,
        path,
        key: text,
        directory: Owner::Platform.to_string(),
        body_digest: attempt.body.as_bytes().to_vec(),
        status: i32::from(answer.status),
        answer: answer.body.clone(),
        created_at: now.as_micros(),
        expires_at: (now + ANSWER_KEPT).as_micros(),
    };
    let kept =
        execute!(tx, diesel::insert_into(idempotency_answers::table).values(&row).on_conflict_do_nothing())?;
    if kept == 1 {
        return Ok(Attempted::First);
    }
    let found: Option<(Vec<u8>, i32, String)> = on!(tx, |conn| idempotency_answers::table
        .find(key)
        .select((idempotency_answers::body_digest, idempotency_answers::status, idempotency_answers::answer))
        .get_result(conn)
        .optional())?;
    // It expired between the two statements.
    let (body, status, answer) =
        found.ok_or_else(|| StoreError::Unavailable("an answer was swept away".to_owned()))?;
    let read = Reading { table: "idempotency_answers", row: attempt.key.as_str() };
    if !TokenDigest::from_bytes(read.bytes("body_digest", &body)?).matches(&attempt.body) {
        return Ok(Attempted::Otherwise);
    }
    let status = u16::try_from(status).map_err(|_| read.impossible("status"))?;
    Ok(Attempted::Before(StoredAnswer { status, body: answer }))
}

/// Removes at most `limit` answers that are kept no longer; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    type Key = (String, String, String, String, String);
    let keys: Vec<Key> = on!(tx, |conn| idempotency_answers::table
        .filter(idempotency_answers::expires_at.le(now.as_micros()))
        .select((
            idempotency_answers::tenant_id,
            idempotency_answers::user_id,
            idempotency_answers::method,
            idempotency_answers::path,
            idempotency_answers::key,
        ))
        .limit(limit)
        .load(conn))?;
    for (tenant, user, method, path, key) in &keys {
        on!(tx, |conn| diesel::delete(idempotency_answers::table.find((tenant, user, method, path, key)))
            .execute(conn))?;
    }
    Ok(keys.len())
}
