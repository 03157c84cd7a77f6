//! API keys that turned up where they do not belong: whoever finds one can have it revoked.

use keystead_crypto::reports;
use keystead_domain::api_key::KeyText;
use keystead_domain::audit::AuditAction;
use keystead_domain::mail::Mail;
use keystead_domain::network::Network;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::{Owner, TokenDigest};
use keystead_storage::{api_keys, audit, leak_reports, locate, outbox};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// The most strings that are reported at once.
pub const MAX_REPORTED: usize = 1000;

/// Who vouches for a report by a signature of its body.
pub struct Vouched<'r> {
    /// What names the key.
    pub identifier: &'r str,
    /// The signature.
    pub signature: &'r str,
    /// What was signed.
    pub body: &'r [u8],
}

/// That a report was signed by one of the keys in the settings.
pub fn check_signature(engine: &Engine, vouched: &Vouched<'_>) -> Result<()> {
    let Vouched { identifier, signature, body } = vouched;
    if reports::is_signed(&engine.settings.leak_reporters, identifier, signature, body) {
        Ok(())
    } else {
        Err(Error::of(Code::InvalidSignature))
    }
}

/// Takes a report. What can be no key of this deployment is passed over. Whether the others are
/// anybody's is looked up later, so that the answer and its time tell nothing of it.
pub fn report(engine: &Engine, caller: &Caller, reported: &[String]) -> Result<()> {
    let platform = caller.allow_platform(PlatformAction::ReportLeaks)?;
    let network = Subject::Network(Network::of(caller.end_user_ip()));
    engine.count(caller.meter(), &[(Limit::LeakReport, network)])?;
    if reported.len() > MAX_REPORTED {
        return Err(Error::invalid_field("keys", "too_many", format!("must be at most {MAX_REPORTED}")));
    }
    let brand = &engine.settings.prefixes.api_key;
    let possible = reported.iter().map(|text| text.trim()).filter(|text| !KeyText::is_noise(text, brand));
    let reports: Vec<_> = possible.map(TokenDigest::of).collect();
    let now = engine.env.now();
    engine.store.write(move |tx| leak_reports::insert(&mut tx.platform(&platform), &reports, now))?;
    engine.work.ring();
    Ok(())
}

/// How many reports are looked at in one go.
const BATCH: i64 = 100;

/// Revokes those of the reported keys that are somebody's, and tells their holders; returns how many reports
/// there were.
pub(crate) fn do_waiting(engine: &Engine) -> Result<usize> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    let waiting = engine.store.read(|tx| leak_reports::list_waiting(&mut tx.platform(&platform), BATCH))?;
    for report in &waiting {
        revoke(engine, *report)?;
    }
    Ok(waiting.len())
}

fn revoke(engine: &Engine, report: TokenDigest) -> Result<()> {
    let system = Caller::system();
    let platform = system.allow_platform(PlatformAction::RunBackgroundWork)?;
    let scope = system.allow(Action::HandleEndUsers, Owner::Platform)?;
    let now = engine.env.now();
    let found = engine.store.look_up(|tx| locate::api_key(tx, &report))?;
    let found = found.filter(|located| {
        let live = located.key.is_live(now) && located.secret.ends_at.is_none_or(|end| now < end);
        located.secret.digest.matches(&report) && live
    });
    let Some(located) = found else {
        engine.store.write(move |tx| leak_reports::consume(&mut tx.platform(&platform), &report))?;
        return Ok(());
    };
    let (key, user) = (located.key, located.holder.user);
    let owner = key.pin.map_or(Owner::Platform, |pin| Owner::Tenant(pin.tenant));
    let start = key.start.shown(&engine.settings.prefixes.api_key, key.environment);
    let mail = Mail::KeyLeaked { product: engine.settings.product.clone(), key: start };
    let mail = engine.compose(&user.email, &mail, now);
    let event = engine.event(&system, owner, AuditAction::KeyLeaked, now).on(key.id);
    let trail = system.allow(Action::HandleEndUsers, owner)?;
    engine.store.write(move |tx| {
        if !leak_reports::consume(&mut tx.platform(&platform), &report)? {
            return Ok(());
        }
        let mut people = tx.tenant(&scope);
        if api_keys::remove(&mut people, key.id)? {
            // However many mails the holder has had: this one is about its security, and there is one a key.
            outbox::insert(&mut people, &mail)?;
            audit::insert(&mut tx.tenant(&trail), &event)?;
        }
        Ok(())
    })?;
    engine.work.ring();
    Ok(())
}
