//! What a user does to itself: its name, its end.

use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::name::Name;
use keystead_domain::user::User;
use keystead_storage::{audit, registrations, users};

use crate::audit::Refine as _;
use crate::reauthentication::{Outcome, Reauthentication, Refusal, prove_password, still_proven};
use crate::sessions::SignedIn;
use crate::{Caller, Code, Engine, Error, Result};

/// Changes what the user calls itself; nothing for no name.
pub fn rename(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
    name: Option<Name>,
) -> Result<User> {
    let user = signed_in.user();
    let event = engine.event(caller, user.directory, AuditAction::ProfileChanged, engine.env.now());
    let proven = prove_password(engine, caller, signed_in, &proof.password, &event)?;
    let event = event.by(Actor::User(user.id)).on(user.id);
    let changed = User { name: name.clone(), ..user.clone() };
    let id = user.id;
    let found = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        proven.attempt.give_back(&mut tenant)?;
        let found = users::rename(&mut tenant, id, name.as_ref())?;
        if found {
            audit::insert(&mut tenant, &event)?;
        }
        Ok(found)
    })?;
    if found { Ok(changed) } else { Err(Error::of(Code::InvalidSession)) }
}

/// Deletes the user with all that belongs to it.
pub fn delete(engine: &Engine, caller: &Caller, signed_in: &SignedIn, proof: Reauthentication) -> Result<()> {
    let user = signed_in.user();
    let now = engine.env.now();
    let event = engine.event(caller, user.directory, AuditAction::UserDeleted, now);
    let proven = prove_password(engine, caller, signed_in, &proof.password, &event)?;
    let event = event.by(Actor::User(user.id)).on(user.id);
    let (factor, signed_in) = (engine.factor_check(now), signed_in.clone());
    let outcome = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        let typed = proof.second_factor.as_ref();
        if let Some(refusal) = still_proven(&mut tenant, &signed_in, &proven, &factor, typed)? {
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Outcome::Refused(refusal));
        }
        let user = signed_in.user();
        if !users::remove(&mut tenant, user.id, &proven.password)? {
            return Ok(Outcome::Refused(Refusal::PasswordChanged));
        }
        registrations::remove_by_email(&mut tenant, &user.email)?;
        audit::insert(&mut tenant, &event)?;
        Ok(Outcome::Done(()))
    })?;
    outcome.into_result()
}
