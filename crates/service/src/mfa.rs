//! A user's own second factor: enrolling an authenticator app, removing it, recovery codes.

use std::sync::Arc;

use keystead_crypto::totp::TotpSecret;
use keystead_domain::Secret;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::policy::Action;
use keystead_domain::rate_limit::Limit;
use keystead_domain::registration::{CodeMac, TypedCode};
use keystead_domain::second_factor::{RecoveryCode, otpauth_url};
use keystead_storage::{audit, second_factors};

use crate::audit::Refine as _;
use crate::reauthentication::{Outcome, Reauthentication, Refusal, prove_password, still_proven};
use crate::second_factor::{open, place};
use crate::sessions::SignedIn;
use crate::{Caller, Code, Engine, Error, Result};

/// An enrolment that waits for its first code. Shown once.
pub struct Enrolment {
    /// The secret, to be typed into an app.
    pub secret: Secret<String>,
    /// The same as a URL, to be shown as a QR code.
    pub otpauth_url: Secret<String>,
}

/// Begins an enrolment. What is in force stays so until the new secret is confirmed by a code.
pub fn enroll(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
) -> Result<Enrolment> {
    begin(engine, caller, signed_in, proof, Vec::new())
}

/// Begins an enrolment, and shows the recovery codes that it will have: none of them is good before it is
/// confirmed by [`confirm_with_codes`].
pub fn enroll_with_codes(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
) -> Result<(Enrolment, Vec<RecoveryCode>)> {
    let (shown, stored): (Vec<_>, Vec<_>) =
        engine.codes.mint_recovery(signed_in.user().id, &*engine.env).into_iter().unzip();
    Ok((begin(engine, caller, signed_in, proof, stored)?, shown))
}

fn begin(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
    pending_codes: Vec<CodeMac>,
) -> Result<Enrolment> {
    let (user, product) = (signed_in.user(), engine.product_of(caller)?);
    let now = engine.env.now();
    let event = engine.event(caller, user.directory, AuditAction::TotpEnabled, now);
    let proven = prove_password(engine, caller, signed_in, &proof.password, &event)?;
    let secret = TotpSecret::generate(&*engine.env);
    let sealed = engine.sealer.seal(&place(user.id), secret.as_bytes(), &*engine.env);
    let (factor, signed_in) = (engine.factor_check(now), signed_in.clone());
    let outcome = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        let typed = proof.second_factor.as_ref();
        if let Some(refusal) = still_proven(&mut tenant, &signed_in, &proven, &factor, typed)? {
            return Ok(Outcome::Refused(refusal));
        }
        second_factors::set_pending_totp(&mut tenant, signed_in.user().id, sealed.as_bytes())?;
        second_factors::set_pending_codes(&mut tenant, signed_in.user().id, &pending_codes)?;
        Ok(Outcome::Done(()))
    })?;
    outcome.into_result()?;
    let base32 = secret.to_base32();
    let url = otpauth_url(&product, &user.email, base32.expose());
    Ok(Enrolment { secret: base32, otpauth_url: Secret::new(url) })
}

/// Confirms an enrolment by its first code, which is used up by it. Returns the recovery codes, which
/// are shown once.
pub fn confirm(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    code: Option<TypedCode>,
) -> Result<Vec<RecoveryCode>> {
    let (shown, stored): (Vec<_>, Vec<_>) =
        engine.codes.mint_recovery(signed_in.user().id, &*engine.env).into_iter().unzip();
    activate(engine, caller, signed_in, code, Some(stored))?;
    Ok(shown)
}

/// Confirms an enrolment by its first code, with the recovery codes that were shown when it began.
pub fn confirm_with_codes(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    code: Option<TypedCode>,
) -> Result<()> {
    let user = signed_in.user();
    engine.count_for(caller, Limit::AccountTwoFactor, user.directory, &user.email)?;
    activate(engine, caller, signed_in, code, None)
}

/// `codes` are the recovery codes, or nothing where they wait already.
fn activate(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    code: Option<TypedCode>,
    codes: Option<Vec<CodeMac>>,
) -> Result<()> {
    let user = signed_in.user();
    let scope = caller.allow(Action::HandleEndUsers, user.directory)?;
    let now = engine.env.now();
    let event = engine
        .event(caller, user.directory, AuditAction::TotpEnabled, now)
        .by(Actor::User(user.id))
        .on(user.id);
    let (sealer, user, session) = (Arc::clone(&engine.sealer), user.id, signed_in.session_id());
    let confirmed = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let Some(pending) = second_factors::find_totp(&mut tenant, user)?.pending_secret else {
            return Ok(false);
        };
        let secret = open(&sealer, user, pending.clone())?;
        let step = code.and_then(|code| secret.matching_step(&code, now));
        let Some(step) = step else {
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(false);
        };
        if !second_factors::activate_totp(&mut tenant, user, session, &pending, step)? {
            return Ok(false);
        }
        match codes {
            Some(codes) => second_factors::replace_recovery_codes(&mut tenant, user, &codes)?,
            None => second_factors::activate_pending_codes(&mut tenant, user)?,
        }
        audit::insert(&mut tenant, &event)?;
        Ok(true)
    })?;
    if confirmed { Ok(()) } else { Err(Error::of(Code::InvalidCode)) }
}

/// Removes the second factor and its recovery codes. Where there is none, nothing happens.
pub fn disable(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
) -> Result<()> {
    let user = signed_in.user();
    let now = engine.env.now();
    let event = engine.event(caller, user.directory, AuditAction::TotpDisabled, now);
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
        if second_factors::remove(&mut tenant, signed_in.user().id)? {
            audit::insert(&mut tenant, &event)?;
        }
        Ok(Outcome::Done(()))
    })?;
    outcome.into_result()
}

/// Puts new recovery codes in place of all earlier ones. Shown once.
pub fn new_recovery_codes(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    proof: Reauthentication,
) -> Result<Vec<RecoveryCode>> {
    let user = signed_in.user();
    let now = engine.env.now();
    let event = engine.event(caller, user.directory, AuditAction::RecoveryCodesMade, now);
    let proven = prove_password(engine, caller, signed_in, &proof.password, &event)?;
    let event = event.by(Actor::User(user.id)).on(user.id);
    let (shown, stored): (Vec<_>, Vec<_>) =
        engine.codes.mint_recovery(user.id, &*engine.env).into_iter().unzip();
    let (factor, signed_in) = (engine.factor_check(now), signed_in.clone());
    let outcome = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&proven.scope);
        let typed = proof.second_factor.as_ref();
        let user = signed_in.user().id;
        if let Some(refusal) = still_proven(&mut tenant, &signed_in, &proven, &factor, typed)? {
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Outcome::Refused(refusal));
        }
        // Without a second factor there is nothing to recover.
        if second_factors::find_totp(&mut tenant, user)?.secret.is_none() {
            return Ok(Outcome::Refused(Refusal::FactorWrong));
        }
        second_factors::replace_recovery_codes(&mut tenant, user, &stored)?;
        audit::insert(&mut tenant, &event)?;
        Ok(Outcome::Done(()))
    })?;
    outcome.into_result()?;
    Ok(shown)
}
