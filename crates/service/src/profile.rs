//! What a user does to itself: its name, its address, its end.

use keystead_domain::Email;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::name::Name;
use keystead_domain::rate_limit::Limit;
use keystead_domain::user::User;
use keystead_storage::{audit, registrations, users};

use crate::audit::Refine as _;
use crate::reauthentication::{Outcome, Reauthentication, Refusal, prove_password, still_proven};
use crate::sessions::SignedIn;
use crate::{Caller, Code, Engine, Error, Result, address_changes};

/// What a user changes of itself.
pub struct ProfileChange {
    /// What it calls itself: `None` where that stays, `Some(None)` for no name.
    pub name: Option<Option<Name>>,
    /// Another address. It takes effect when it is confirmed from there.
    pub email: Option<Email>,
}

/// Changes what the user calls itself, and asks for another address. That is asked for with the
/// second factor too; the answer is the same whether or not somebody has the address.
pub fn change(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
    change: ProfileChange,
) -> Result<User> {
    let (user, product, now) = (signed_in.user(), engine.product_of(caller)?, engine.env.now());
    let wanted = change.email.filter(|email| *email != user.email);
    if let Some(email) = &wanted {
        engine.count_for(caller, Limit::Resend, user.directory, email)?;
    }
    let renaming = engine.event(caller, user.directory, AuditAction::ProfileChanged, now);
    let asking = engine.event(caller, user.directory, AuditAction::AddressChangeRequested, now);
    let tried = if wanted.is_some() { &asking } else { &renaming };
    let proven = prove_password(engine, caller, signed_in, &proof.password, tried)?;
    let asked = wanted
        .map(|email| address_changes::draft(engine, proven.scope, &product, user, email, now))
        .transpose()?;
    let [renaming, asking] = [renaming, asking].map(|event| event.by(Actor::User(user.id)).on(user.id));
    let changed = match &change.name {
        Some(name) => User { name: name.clone(), ..user.clone() },
        None => user.clone(),
    };
    let (factor, signed_in) = (engine.factor_check(now), signed_in.clone());
    let outcome = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        if let Some(draft) = &asked {
            let typed = proof.second_factor.as_ref();
            if let Some(refusal) = still_proven(&mut tenant, &signed_in, &proven, &factor, typed)? {
                audit::insert(&mut tenant, &asking.refused())?;
                return Ok(Outcome::Refused(refusal));
            }
            draft.store(&mut tenant)?;
            audit::insert(&mut tenant, &asking)?;
        } else {
            proven.attempt.give_back(&mut tenant)?;
        }
        let Some(name) = &change.name else { return Ok(Outcome::Done(true)) };
        let found = users::rename(&mut tenant, signed_in.user().id, name.as_ref(), now)?;
        if found {
            audit::insert(&mut tenant, &renaming)?;
        }
        Ok(Outcome::Done(found))
    })?;
    engine.work.ring();
    if outcome.into_result()? { Ok(changed) } else { Err(Error::of(Code::InvalidSession)) }
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
