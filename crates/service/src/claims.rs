//! Claiming an app's secret by a one-time link.

use keystead_crypto::tokens;
use keystead_domain::app::{ClientId, has_room_for_secret};
use keystead_domain::audit::AuditAction;
use keystead_domain::claim::ClaimLink;
use keystead_domain::id::{AppId, AppSecretId};
use keystead_domain::policy::{Action, LinkHolder, Principal};
use keystead_domain::{Secret, Timestamp, TokenDigest};
use keystead_storage::{apps, audit, claim_links, locate};

use crate::apps::{new_secret, too_many_secrets};
use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// What a link's token begins with.
const PREFIX: &str = "link_";

/// Credentials that exist in clear now and never again.
pub struct ClaimedSecret {
    /// The app's id.
    pub client_id: ClientId,
    /// Its secret.
    pub client_secret: Secret<String>,
}

/// A link that was just made.
pub(crate) struct MintedLink {
    /// What to store.
    pub(crate) link: ClaimLink,
    /// What to mail. It is built from the server's public URL, never from a request.
    pub(crate) url: Secret<String>,
}

/// A new link to a secret of `app`.
pub(crate) fn mint_link(engine: &Engine, app: AppId, now: Timestamp) -> MintedLink {
    let (token, digest) = tokens::mint(PREFIX, &*engine.env);
    let server = engine.settings.issuer.trim_end_matches('/');
    let url = Secret::new(format!("{server}/claim/{}", token.expose()));
    MintedLink { link: ClaimLink::issued(app, digest, now), url }
}

/// Makes a secret for the app that a link leads to, and spends the link, in one transaction. An
/// unknown, an expired and a spent link are refused alike.
///
/// Secrets that never authenticated the app are removed: they are those of earlier links, whose
/// answer was lost or seen by somebody else.
pub fn redeem(engine: &Engine, visitor: &Caller, token: &str) -> Result<ClaimedSecret> {
    let dead = || Error::of(Code::InvalidLink);
    let (now, digest) = (engine.env.now(), TokenDigest::of(token));
    let (app, tenant) = engine
        .store
        .read(|tx| locate::claim_link(tx, &digest, now))?
        .filter(|(app, _)| app.active)
        .ok_or_else(dead)?;
    let (id, owner, client_id) = (app.id, app.owner, app.client_id.clone());
    let holder = Principal::LinkHolder(Box::new(LinkHolder { app: app.clone(), tenant }));
    let holder = Caller::new(holder, visitor.origin().clone());
    let scope = holder.allow(Action::ClaimSecret, owner)?;

    let (client_secret, secret_digest) = tokens::mint(&engine.settings.prefixes.client_secret, &*engine.env);
    let secret = new_secret(AppSecretId::mint(now, &*engine.env), secret_digest, now);
    let event = engine.event(&holder, owner, AuditAction::SecretClaimed, now).on(id);
    let claimed = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        apps::hold(&mut rows, id)?;
        let secrets = apps::list_secrets(&mut rows, id)?;
        let kept = secrets.iter().filter(|secret| secret.last_used_at.is_some());
        if !has_room_for_secret(kept, now) {
            // The link stays good for when one of them has ended.
            return Ok(Claim::Full);
        }
        if !claim_links::consume(&mut rows, id, &digest, now)? {
            return Ok(Claim::Dead);
        }
        apps::remove_unused_secrets(&mut rows, id)?;
        apps::insert_secret(&mut rows, &app, &secret)?;
        audit::insert(&mut rows, &event)?;
        Ok(Claim::Done)
    })?;
    match claimed {
        Claim::Done => Ok(ClaimedSecret { client_id, client_secret }),
        Claim::Dead => Err(dead()),
        Claim::Full => Err(too_many_secrets()),
    }
}

/// What became of a link.
enum Claim {
    Done,
    Dead,
    Full,
}
