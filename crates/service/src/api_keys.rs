//! API keys: made, listed, renamed, narrowed and revoked by their holders, and by those who run the tenants
//! that they reach.

use std::time::Duration;

use keystead_crypto::tokens;
use keystead_domain::api_key::{ApiKey, Environment, Pin};
use keystead_domain::audit::AuditAction;
use keystead_domain::id::{ApiKeyId, TenantId};
use keystead_domain::name::Name;
use keystead_domain::oauth::{Scope, ScopeSet};
use keystead_domain::policy::{Action, Denied, PersonCredential, PersonPrincipal, Standing};
use keystead_domain::{Owner, Secret};
use keystead_storage::{api_keys, audit, memberships};

use crate::audit::Refine as _;
use crate::{Caller, Engine, Error, Result};

/// A key to be made.
pub struct NewKey {
    /// What its holder calls it.
    pub name: Name,
    /// What it is for.
    pub environment: Environment,
    /// What it may do at most; without any, `user:read`.
    pub scopes: Option<ScopeSet>,
    /// After how long it ends.
    pub expires_in: Option<Duration>,
    /// The one tenant that it reaches.
    pub pin: Option<TenantId>,
}

/// The shortest and the longest life of a key that ends by itself: a minute, and ten years.
pub const LIFETIMES: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(10 * 365 * 24 * 3600));

/// Makes a key for the person that calls. The key is in the answer now and never again.
pub fn create(engine: &Engine, caller: &Caller, new: NewKey) -> Result<(ApiKey, Secret<String>)> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let scopes = match new.scopes {
        Some(scopes) => scopes,
        None => Scope::USER_READ.parse().map_err(|_| Error::internal("the scope is impossible"))?,
    };
    if !person.catalogue.knows(&scopes) {
        return Err(Error::invalid_field("scopes", "unknown", "names a scope that there is none of"));
    }
    if new.expires_in.is_some_and(|time| time < LIFETIMES.0 || time > LIFETIMES.1) {
        return Err(Error::invalid_field("expiresIn", "out_of_range", "must be 60 to 315360000 seconds"));
    }
    let pinned = new.pin.map(|tenant| may_pin(person, tenant)).transpose()?;
    let (now, env) = (engine.env.now(), &*engine.env);
    let (text, digest) = tokens::mint_api_key(&engine.settings.prefixes.api_key, new.environment, env);
    let made_in = match person.credential {
        PersonCredential::Session { id, .. } => Some(id),
        PersonCredential::Key(_) => None,
    };
    let key = ApiKey {
        id: ApiKeyId::mint(now, env),
        user: person.user.id,
        pin: pinned.map(|standing| Pin { tenant: standing.tenant.id, membership: standing.membership }),
        name: new.name,
        environment: new.environment,
        scopes,
        prefix: text.prefix,
        made_in,
        expires_at: new.expires_in.map(|time| now + time),
        last_used_at: None,
        created_at: now,
        updated_at: now,
    };
    let reaching =
        key.pin.map(|pin| caller.allow(Action::ReadTenant, Owner::Tenant(pin.tenant))).transpose()?;
    let owner = key.pin.map_or(Owner::Platform, |pin| Owner::Tenant(pin.tenant));
    let event = engine.event(caller, owner, AuditAction::KeyCreated, now).on(key.id);
    let row = key.clone();
    let made = engine.store.write(move |tx| {
        if let (Some(pin), Some(reaching)) = (row.pin, reaching) {
            // The membership may have ended since the caller was recognized.
            let membership = memberships::find_of(&mut tx.tenant(&reaching), row.user)?;
            if membership.is_none_or(|membership| membership.id != pin.membership) {
                return Ok(false);
            }
        }
        api_keys::insert(&mut tx.tenant(&scope), &row, &digest)?;
        audit::insert(&mut tx.tenant(reaching.as_ref().unwrap_or(&scope)), &event)?;
        Ok(true)
    })?;
    if made { Ok((key, text.into_secret())) } else { Err(Denied::NotAMember.into()) }
}

/// The membership that a key of `person` can be pinned to: its own, and where its address is not confirmed
/// only of a tenant that it made.
fn may_pin(person: &PersonPrincipal, tenant: TenantId) -> Result<&Standing> {
    let standing = person.standing(tenant).ok_or(Denied::NotAMember)?;
    if person.user.email_verified_at.is_none() && !standing.founder {
        return Err(Error::of(crate::Code::EmailNotVerified));
    }
    Ok(standing)
}

/// The keys of the person that calls, the newest first. A pinned key sees those that are pinned to the same
/// tenant.
pub fn list(engine: &Engine, caller: &Caller) -> Result<Vec<ApiKey>> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ReadOwnKeys, Owner::Platform)?;
    let (user, pin) = (person.user.id, person.key().and_then(|key| key.pin));
    let keys = engine.store.read(|tx| api_keys::list(&mut tx.tenant(&scope), user))?;
    let seen = |key: &ApiKey| pin.is_none_or(|pin| key.pin.is_some_and(|its| its.tenant == pin));
    Ok(keys.into_iter().filter(seen).collect())
}
