//! Settling a database that was restored from a backup: what was used up, ended or changed since the
//! backup was made is there again as it was, and nobody can know what that is.

use keystead_domain::audit::AuditAction;
use keystead_domain::mail::Mail;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::second_factor::TotpStep;
use keystead_domain::signing_key::SigningKeyRecord;
use keystead_domain::{Owner, Timestamp};
use keystead_storage::apps::{self, ListedSecret};
use keystead_storage::jobs::{self, JobKind};
use keystead_storage::{
    PlatformTx, StoreError, address_changes, address_proofs, audit, claim_links, devices, former_addresses,
    invites, outbox, registrations, reset_codes, reset_links, second_factors, sessions, sign_in_challenges,
    signing_keys,
};

use crate::{Caller, Engine, Result};

/// What became of a restored database.
pub struct Settled {
    /// When the newest event in its audit trail took place: it knows of nothing later.
    pub newest_event_at: Option<Timestamp>,
    /// What was ended; nothing where that was declined.
    pub ended: Option<Ended>,
    /// Every signing key.
    pub signing_keys: Vec<SigningKeyRecord>,
    /// Every secret of every app that is good now. One that was made since the backup is not there, and one that was
    /// removed since is.
    pub app_secrets: Vec<ListedSecret>,
}

/// How much was ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Sessions.
    pub sessions: usize,
    /// Codes for sign-ups and for new passwords.
    pub codes: usize,
    /// One-time links, to secrets, about addresses and of invitations.
    pub links: usize,
    /// Mails that waited to carry such a code or link, and jobs that would have mailed one.
    pub mails: usize,
}

/// Ends every session, code and link in one transaction, unless `keep_sessions` declines that, and
/// counts the present codes of authenticator apps as used, since they may have been.
///
/// Mails without a code or a link wait on: they may arrive a second time, and would otherwise not
/// arrive at all if the backup was made before they were sent.
pub fn settle(engine: &Engine, caller: &Caller, keep_sessions: bool) -> Result<Settled> {
    let platform = caller.allow_platform(PlatformAction::SettleRestored)?;
    let trail = caller.allow(Action::MaintainDeployment, Owner::Platform)?;
    let now = engine.env.now();
    let [.., newest_step] = TotpStep::accepted(now);
    let event = engine.event(caller, Owner::Platform, AuditAction::BackupRestored, now);
    Ok(engine.store.write(move |tx| {
        let mut everything = tx.platform(&platform);
        let newest_event_at = audit::newest_at(&mut everything)?;
        second_factors::spend_steps_until(&mut everything, newest_step)?;
        let ended = if keep_sessions { None } else { Some(end_all(&mut everything, now)?) };
        let signing_keys = signing_keys::list(&mut everything)?.into_iter().map(|key| key.record).collect();
        let app_secrets = apps::list_all_secrets(&mut everything, now)?;
        audit::insert(&mut tx.tenant(&trail), &event)?;
        Ok(Settled { newest_event_at, ended, signing_keys, app_secrets })
    })?)
}

fn end_all(tx: &mut PlatformTx<'_>, now: Timestamp) -> std::result::Result<Ended, StoreError> {
    let mailing_codes = [
        JobKind::ResendSignUpCode,
        JobKind::MailResetCode,
        JobKind::MailAddressProof,
        JobKind::MailResetLink,
    ];
    sign_in_challenges::remove_everyones(tx)?;
    devices::remove_everyones(tx)?;
    Ok(Ended {
        sessions: sessions::remove_everyones(tx)?,
        codes: registrations::forget_codes(tx)?
            + reset_codes::remove_all(tx)?
            + address_proofs::remove_all(tx)?,
        links: claim_links::remove_all(tx)?
            + reset_links::remove_all(tx)?
            + address_changes::remove_all(tx)?
            + former_addresses::remove_all(tx)?
            + invites::cancel_all(tx)?,
        mails: outbox::abandon(tx, &Mail::WITH_SECRETS, now)? + jobs::remove_all(tx, &mailing_codes)?,
    })
}
