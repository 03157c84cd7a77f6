//! Doing once what is asked for more than once.

use keystead_domain::idempotency::IdempotencyKey;
use keystead_domain::idempotency::{Attempt, Attempted, StoredAnswer};
use keystead_domain::policy::TenantScope;
use keystead_domain::{Timestamp, TokenDigest};
use keystead_storage::{StoreError, Tx, idempotency};

use crate::{Caller, Code, Engine, Error, Result};

/// What a surface says of a request that it may be sent again, and how it answers it.
pub struct Once<T> {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// What the caller calls it.
    pub key: IdempotencyKey,
    /// The SHA-256 of the body.
    pub body: TokenDigest,
    /// The answer to be kept. It must carry no secret.
    pub answer: fn(std::result::Result<&T, &Error>) -> StoredAnswer,
}

/// What became of something that is done once.
pub enum Outcome<T> {
    /// It was done now.
    Done(T),
    /// It was done before, or refused, and answered so.
    Before(StoredAnswer),
}

/// An attempt with the answer that is kept if it is the first.
pub(crate) struct Guard(Attempt, StoredAnswer);

impl<T> Once<T> {
    /// The guard of a transaction that may have this result.
    pub(crate) fn guard(&self, caller: &Caller, result: std::result::Result<&T, &Error>) -> Result<Guard> {
        let attempt = Attempt {
            user: caller.as_person()?.user.id,
            method: self.method,
            path: self.path.clone(),
            key: self.key.clone(),
            body: self.body,
        };
        Ok(Guard(attempt, (self.answer)(result)))
    }

    /// Keeps the answer to what was refused, and gives it unless there was another before.
    pub(crate) fn refuse(
        &self,
        engine: &Engine,
        caller: &Caller,
        scope: TenantScope,
        error: Error,
        now: Timestamp,
    ) -> Result<Outcome<T>> {
        let guard = Some(self.guard(caller, Err(&error))?);
        let attempted = engine.store.write(move |tx| enter(tx, &scope, guard.as_ref(), now))?;
        before(attempted)?.map_or(Err(error), |answer| Ok(Outcome::Before(answer)))
    }
}

/// The first thing in a transaction that is done once: whether it goes on.
pub(crate) fn enter(
    tx: &mut Tx<'_>,
    scope: &TenantScope,
    guard: Option<&Guard>,
    now: Timestamp,
) -> std::result::Result<Attempted, StoreError> {
    guard.map_or(Ok(Attempted::First), |Guard(attempt, answer)| {
        idempotency::attempt(&mut tx.tenant(scope), attempt, answer, now)
    })
}

/// The answer that was given before, if any.
pub(crate) fn before(attempted: Attempted) -> Result<Option<StoredAnswer>> {
    match attempted {
        Attempted::First => Ok(None),
        Attempted::Before(answer) => Ok(Some(answer)),
        Attempted::Otherwise => Err(Error::of(Code::Conflict)
            .saying("This Idempotency-Key was used for another body. Use a new one for another request.")),
    }
}
