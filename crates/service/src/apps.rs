//! Making, finding and changing apps, and rotating their secrets.

use std::time::Duration;

use keystead_crypto::tokens;
use keystead_domain::app::{App, AppSecret, ClientId, Introspect, MAX_LIVE_SECRETS, has_room_for_secret};
use keystead_domain::audit::AuditAction;
use keystead_domain::id::{AppId, AppSecretId};
use keystead_domain::name::Name;
use keystead_domain::oauth::{Scope, ScopeSet};
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::{Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::{apps, audit, claim_links, locate};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// An app to be made.
pub struct NewApp {
    /// Whose.
    pub owner: Owner,
    /// Its name.
    pub name: Name,
    /// What it may be given; `api` where nothing is said.
    pub scopes: Vec<Scope>,
    /// Whose credentials it may ask about. Only an operator gives more than those of its own tenant.
    pub introspect: Introspect,
}

/// An app with the one secret that exists in clear now and never again.
pub struct CreatedApp {
    /// The app.
    pub app: App,
    /// Its secret.
    pub client_secret: Secret<String>,
}

/// Makes a first-party app with one secret.
pub fn create(engine: &Engine, caller: &Caller, new: NewApp) -> Result<CreatedApp> {
    let scope = caller.allow(Action::ManageApps, new.owner)?;
    if new.introspect == Introspect::Platform {
        caller.allow_platform(PlatformAction::ManageTenants)?;
    }
    let (now, env) = (engine.env.now(), &*engine.env);
    let app = draft(engine, new, now)?;
    let (client_secret, digest) = tokens::mint(&engine.settings.prefixes.client_secret, env);
    let secret = new_secret(AppSecretId::mint(now, env), digest, now);
    let event = engine.event(caller, app.owner, AuditAction::AppCreated, now).on(app.id);
    let row = app.clone();
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        apps::insert(&mut tenant, &row)?;
        apps::insert_secret(&mut tenant, &row, &secret)?;
        audit::insert(&mut tenant, &event)
    })?;
    Ok(CreatedApp { app, client_secret })
}

/// A first-party app to be inserted. Without a secret it cannot authenticate.
pub(crate) fn draft(engine: &Engine, new: NewApp, now: Timestamp) -> Result<App> {
    let known: Vec<_> = engine.settings.scopes.for_apps().map(Scope::as_str).collect();
    if let Some(unknown) = new.scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
        let known = known.join(", ");
        let message = format!("has {}, which is none of {known}", unknown.as_str());
        return Err(Error::invalid_field("scopes", "unknown", message));
    }
    let allowed_scopes: ScopeSet = if new.scopes.is_empty() {
        Scope::API.parse::<ScopeSet>().map_err(Error::internal)?
    } else {
        new.scopes.into_iter().collect()
    };
    let prefix = &engine.settings.prefixes.client_id;
    let client_id: ClientId =
        tokens::mint_client_id(prefix, &*engine.env).parse().map_err(Error::internal)?;
    Ok(App {
        id: AppId::mint(now, &*engine.env),
        client_id,
        owner: new.owner,
        name: new.name,
        allowed_scopes,
        first_party: true,
        active: true,
        introspect: new.introspect,
        created_at: now,
    })
}

/// A secret that has no end yet.
pub(crate) const fn new_secret(id: AppSecretId, digest: TokenDigest, now: Timestamp) -> AppSecret {
    AppSecret { id, digest, created_at: now, last_used_at: None, ends_at: None }
}

/// An app that got a new secret.
pub struct RotatedSecret {
    /// The app.
    pub app: App,
    /// The new secret, which exists in clear now and never again.
    pub client_secret: Secret<String>,
    /// All its secrets, the oldest first.
    pub secrets: Vec<AppSecret>,
}

/// Gives an app a new secret. The older ones work for as long as `keep_old_for` says, unless they end
/// before that anyway. With no time at all, a one-time link that would make another secret ends too.
///
/// An app that has as many live secrets as it may have is refused another while they are kept.
pub fn rotate_secret(
    engine: &Engine,
    caller: &Caller,
    client_id: &ClientId,
    keep_old_for: Duration,
) -> Result<RotatedSecret> {
    let (app, _) = show(engine, caller, client_id)?;
    let scope = caller.allow(Action::ManageApps, app.owner)?;
    let (now, env) = (engine.env.now(), &*engine.env);
    let (client_secret, digest) = tokens::mint(&engine.settings.prefixes.client_secret, env);
    let secret = new_secret(AppSecretId::mint(now, env), digest, now);
    let event = engine.event(caller, app.owner, AuditAction::SecretRotated, now).on(app.id);
    let row = app.clone();
    let secrets = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        apps::hold(&mut tenant, row.id)?;
        if keep_old_for.is_zero() {
            claim_links::remove(&mut tenant, row.id)?;
        } else if !has_room_for_secret(&apps::list_secrets(&mut tenant, row.id)?, now) {
            return Ok(None);
        }
        apps::end_secrets(&mut tenant, row.id, now + keep_old_for)?;
        apps::insert_secret(&mut tenant, &row, &secret)?;
        audit::insert(&mut tenant, &event)?;
        apps::list_secrets(&mut tenant, row.id).map(Some)
    })?;
    let secrets = secrets.ok_or_else(too_many_secrets)?;
    Ok(RotatedSecret { app, client_secret, secrets })
}

/// That an app has as many live secrets as it may have.
pub(crate) fn too_many_secrets() -> Error {
    Error::of(Code::Conflict).saying(format!(
        "The app has {MAX_LIVE_SECRETS} secrets that work, and may not have more. Wait until one ends, or end all of them at once."
    ))
}

/// Disables an app, or enables it again. A disabled one is refused like one that does not exist, and
/// so are the access tokens that it has.
pub fn set_active(engine: &Engine, caller: &Caller, client_id: &ClientId, active: bool) -> Result<App> {
    let (app, _) = show(engine, caller, client_id)?;
    let scope = caller.allow(Action::ManageApps, app.owner)?;
    let action = if active { AuditAction::AppEnabled } else { AuditAction::AppDisabled };
    let event = engine.event(caller, app.owner, action, engine.env.now()).on(app.id);
    let id = app.id;
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        if apps::set_active(&mut tenant, id, active)? {
            audit::insert(&mut tenant, &event)?;
        }
        Ok(())
    })?;
    Ok(App { active, ..app })
}

/// The app with this client id, and its secrets without what they are.
pub fn show(engine: &Engine, caller: &Caller, client_id: &ClientId) -> Result<(App, Vec<AppSecret>)> {
    let missing = || Error::of(Code::NotFound).saying(format!("There is no app {client_id}."));
    let client = engine.store.read(|tx| locate::client(tx, client_id))?.ok_or_else(missing)?;
    caller.allow(Action::ManageApps, client.app.owner)?;
    Ok((client.app, client.secrets))
}

/// All apps of all owners, the oldest first.
pub fn list(engine: &Engine, caller: &Caller) -> Result<Vec<App>> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    Ok(engine.store.read(|tx| apps::list(&mut tx.platform(&platform)))?)
}
