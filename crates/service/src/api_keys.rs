//! API keys: made, listed, renamed, narrowed, rotated and revoked by their holders, and seen and revoked by
//! those who run the tenants that they reach.

use std::time::Duration;

use keystead_crypto::tokens;
use keystead_domain::api_key::{ApiKey, Environment, KeyStart, MAX_LIVE_SECRETS, Pin};
use keystead_domain::audit::{AuditAction, Event};
use keystead_domain::id::{ApiKeyId, MembershipId, SessionId, TenantId, UserId, kind};
use keystead_domain::listing::{Listing, Part, Place};
use keystead_domain::name::Name;
use keystead_domain::oauth::{Scope, ScopeSet};
use keystead_domain::policy::{
    Action, Denied, PersonCredential, PersonPrincipal, PlatformAction, TenantScope,
};
use keystead_domain::slug::Slug;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner, Secret, Timestamp};
use keystead_storage::{StoreError, TenantTx, api_keys, audit, memberships};

use crate::audit::Refine as _;
use crate::paging::{PageAsked, Paged};
use crate::{Caller, Code, Engine, Error, Result, tenants, users};

pub use keystead_storage::api_keys::ReachingKey;

/// A key to be made.
pub struct NewKey {
    /// What its holder calls it.
    pub name: Name,
    /// What it is for.
    pub environment: Environment,
    /// What it may do at most; what it is without any, is said where it is made.
    pub scopes: Option<ScopeSet>,
    /// After how long it ends.
    pub expires_in: Option<Duration>,
    /// The one tenant that it reaches.
    pub pin: Option<TenantId>,
}

/// The shortest and the longest life of a key that ends by itself: a minute, and ten years.
pub const LIFETIMES: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(10 * 365 * 24 * 3600));

/// How long the secret before the new one works at most: 30 days.
pub const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes a key for the person that calls, without scopes one for `user:read`. The key is in the answer now and
/// never again.
pub fn create(engine: &Engine, caller: &Caller, new: NewKey) -> Result<(ApiKey, Secret<String>)> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let scopes = match &new.scopes {
        Some(scopes) => scopes.clone(),
        None => Scope::USER_READ.parse().map_err(|_| Error::internal("the scope is impossible"))?,
    };
    let pin = new.pin.map(|tenant| own_pin(person, tenant)).transpose()?;
    let made_in = match person.credential {
        PersonCredential::Session { id, .. } => Some(id),
        PersonCredential::Key(_) => None,
    };
    make(engine, caller, &scope, Holder { user: person.user.id, pin, made_in }, new, scopes)
}

/// Makes a key for a member of the tenant `slug`, pinned to it, without scopes one for all that the member's
/// role allows now.
pub fn create_for(
    engine: &Engine,
    caller: &Caller,
    slug: &Slug,
    email: &Email,
    new: NewKey,
) -> Result<(ApiKey, Secret<String>)> {
    let scope = caller.allow(Action::ManageUsers, Owner::Platform)?;
    let tenant = tenants::show(engine, caller, slug)?;
    let user = users::show_by_email(engine, caller, Owner::Platform, email)?;
    let reaching = caller.allow(Action::ReadMembers, Owner::Tenant(tenant.id))?;
    let membership = engine.store.read(|tx| memberships::find_of(&mut tx.tenant(&reaching), user.id))?;
    let membership = membership
        .ok_or_else(|| Error::of(Code::NotFound).saying(format!("This person is no member of {slug}.")))?;
    may_be_pinned(&user, membership.founder)?;
    let scopes = new.scopes.clone().unwrap_or_else(|| engine.settings.scopes.for_role(membership.role));
    let pin = Some(Pin { tenant: tenant.id, membership: membership.id });
    make(engine, caller, &scope, Holder { user: user.id, pin, made_in: None }, new, scopes)
}

/// Whose a key will be.
struct Holder {
    user: UserId,
    pin: Option<Pin>,
    made_in: Option<SessionId>,
}

fn make(
    engine: &Engine,
    caller: &Caller,
    scope: &TenantScope,
    holder: Holder,
    new: NewKey,
    scopes: ScopeSet,
) -> Result<(ApiKey, Secret<String>)> {
    if !engine.settings.scopes.knows(&scopes) {
        return Err(Error::invalid_field("scopes", "unknown", "names a scope that there is none of"));
    }
    if new.expires_in.is_some_and(|time| time < LIFETIMES.0 || time > LIFETIMES.1) {
        return Err(Error::invalid_field("expiresIn", "out_of_range", "must be 60 to 315360000 seconds"));
    }
    let (now, env) = (engine.env.now(), &*engine.env);
    let (text, digest) = tokens::mint_api_key(&engine.settings.prefixes.api_key, new.environment, env);
    let key = ApiKey {
        id: ApiKeyId::mint(now, env),
        user: holder.user,
        pin: holder.pin,
        name: new.name,
        environment: new.environment,
        scopes,
        start: KeyStart::Minted(text.prefix),
        made_in: holder.made_in,
        expires_at: new.expires_in.map(|time| now + time),
        last_used_at: None,
        created_at: now,
        updated_at: now,
    };
    let reaching =
        key.pin.map(|pin| caller.allow(Action::ReadTenant, Owner::Tenant(pin.tenant))).transpose()?;
    let owner = key.pin.map_or(Owner::Platform, |pin| Owner::Tenant(pin.tenant));
    let event = engine.event(caller, owner, AuditAction::KeyCreated, now).on(key.id);
    let (row, scope) = (key.clone(), *scope);
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

/// The membership that a key of `person` can be pinned to: its own.
fn own_pin(person: &PersonPrincipal, tenant: TenantId) -> Result<Pin> {
    let standing = person.standing(tenant).ok_or(Denied::NotAMember)?;
    may_be_pinned(&person.user, standing.founder)?;
    let membership: MembershipId = standing.membership;
    Ok(Pin { tenant, membership })
}

/// Whose address is not confirmed may have keys pinned only to a tenant that it made.
fn may_be_pinned(user: &User, founder: bool) -> Result<()> {
    if user.email_verified_at.is_some() || founder { Ok(()) } else { Err(Error::of(Code::EmailNotVerified)) }
}

/// The keys of the person that calls, the newest first. A pinned key sees those that are pinned to the same
/// tenant.
pub fn list(engine: &Engine, caller: &Caller) -> Result<Vec<ApiKey>> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ReadOwnKeys, Owner::Platform)?;
    let keys = engine.store.read(|tx| api_keys::list(&mut tx.tenant(&scope), person.user.id))?;
    Ok(keys.into_iter().filter(|key| is_seen_by(caller, key)).collect())
}

/// One of the keys that [`list`] has.
pub fn show(engine: &Engine, caller: &Caller, id: ApiKeyId) -> Result<ApiKey> {
    Ok(find(engine, caller, Action::ReadOwnKeys, id)?.0)
}

/// A key of the person that calls, and what opens it for `action`.
fn find(engine: &Engine, caller: &Caller, action: Action, id: ApiKeyId) -> Result<(ApiKey, TenantScope)> {
    let scope = caller.allow(action, Owner::Platform)?;
    let found = engine.store.read(|tx| api_keys::find(&mut tx.tenant(&scope), id))?;
    let key = found.filter(|key| is_seen_by(caller, key)).ok_or_else(|| Error::of(Code::KeyNotFound))?;
    Ok((key, scope))
}

/// Whether a key is the caller's own and, where it calls with a pinned key, pinned to the same tenant. The host
/// sees all.
fn is_seen_by(caller: &Caller, key: &ApiKey) -> bool {
    let Ok(person) = caller.as_person() else { return true };
    let pin = person.key().and_then(|key| key.pin);
    key.user == person.user.id && pin.is_none_or(|pin| key.pin.is_some_and(|its| its.tenant == pin))
}

/// What is to be changed about a key.
pub struct KeyChange {
    /// What it is called from now on.
    pub name: Option<Name>,
    /// What it carries from now on: no more than before.
    pub scopes: Option<ScopeSet>,
}

/// Renames a key of the person that calls, and narrows it.
pub fn change(engine: &Engine, caller: &Caller, id: ApiKeyId, change: KeyChange) -> Result<ApiKey> {
    let (seen, scope) = find(engine, caller, Action::ChangeOwnKeys, id)?;
    let scopes = change.scopes.unwrap_or_else(|| seen.scopes.clone());
    if !scopes.is_subset(&seen.scopes) {
        let message = "has a scope that the key does not have; a key can only be narrowed";
        return Err(Error::invalid_field("scopes", "wider", message));
    }
    let now = engine.env.now();
    let key = ApiKey {
        name: change.name.unwrap_or_else(|| seen.name.clone()),
        scopes,
        updated_at: now,
        ..seen.clone()
    };
    let (trail, event) = told(engine, caller, &key, scope, AuditAction::KeyChanged, now);
    let row = key.clone();
    let changed = engine.store.write(move |tx| {
        let changed = api_keys::update(&mut tx.tenant(&scope), &seen, &row.name, &row.scopes, now)?;
        if changed {
            audit::insert(&mut tx.tenant(&trail), &event)?;
        }
        Ok(changed)
    })?;
    // Whoever narrowed it at the same moment would be undone.
    if changed {
        Ok(key)
    } else {
        Err(Error::of(Code::Conflict).saying("The key was changed at the same time."))
    }
}

/// Revokes a key, at once and for good: one of the person that calls, or any where the host does.
pub fn revoke(engine: &Engine, caller: &Caller, id: ApiKeyId) -> Result<ApiKey> {
    let (key, scope) = find(engine, caller, Action::RevokeOwnKeys, id)?;
    let (trail, event) = told(engine, caller, &key, scope, AuditAction::KeyRevoked, engine.env.now());
    let removed = engine.store.write(move |tx| {
        let removed = api_keys::remove(&mut tx.tenant(&scope), id)?;
        if removed {
            audit::insert(&mut tx.tenant(&trail), &event)?;
        }
        Ok(removed)
    })?;
    if removed { Ok(key) } else { Err(Error::of(Code::KeyNotFound)) }
}

/// The event of something that is done to a key, and the trail that it stands in: of the tenant that the key
/// is pinned to. A holder whom that tenant does not let in, suspended as it may be, can still end its own key:
/// then it stands in the platform's.
fn told(
    engine: &Engine,
    caller: &Caller,
    key: &ApiKey,
    own: TenantScope,
    action: AuditAction,
    now: Timestamp,
) -> (TenantScope, Event) {
    let reaching = key.pin.and_then(|pin| caller.allow(Action::ReadTenant, Owner::Tenant(pin.tenant)).ok());
    let trail = reaching.unwrap_or(own);
    (trail, engine.event(caller, trail.owner(), action, now).on(key.id))
}

/// A key that got a new secret.
pub struct RotatedKey {
    /// The key.
    pub key: ApiKey,
    /// It as it is shown with its new secret, now and never again.
    pub text: Secret<String>,
    /// When the secret before the new one ends.
    pub previous_ends_at: Timestamp,
}

/// Gives a key of the person that calls a new secret. The one before it works for as long as `keep_old_for`
/// says. At most [`MAX_LIVE_SECRETS`] work at the same time; with no time at all, the others end at once.
pub fn rotate(engine: &Engine, caller: &Caller, id: ApiKeyId, keep_old_for: Duration) -> Result<RotatedKey> {
    let (seen, scope) = find(engine, caller, Action::ManageCredentials, id)?;
    if keep_old_for > MAX_OVERLAP {
        return Err(Error::invalid_field("keepOldFor", "out_of_range", "must be 0 to 2592000 seconds"));
    }
    let (now, env) = (engine.env.now(), &*engine.env);
    if !seen.is_live(now) {
        return Err(Error::of(Code::Conflict).saying("The key has ended. Make another one."));
    }
    let (text, digest) = tokens::mint_api_key(&engine.settings.prefixes.api_key, seen.environment, env);
    let (start, end) = (KeyStart::Minted(text.prefix), now + keep_old_for);
    let (trail, event) = told(engine, caller, &seen, scope, AuditAction::KeyRotated, now);
    let newest = start.clone();
    let rotated = engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        if !api_keys::hold(&mut people, id, now)? {
            return Ok(Rotation::Missing);
        }
        let secrets = api_keys::list_secrets(&mut people, id)?;
        let live = secrets.iter().filter(|secret| secret.ends_at.is_none_or(|end| now < end)).count();
        if live >= MAX_LIVE_SECRETS && !keep_old_for.is_zero() {
            return Ok(Rotation::TooMany);
        }
        api_keys::end_secrets(&mut people, id, end)?;
        api_keys::insert_secret(&mut people, id, &newest, &digest, now)?;
        audit::insert(&mut tx.tenant(&trail), &event)?;
        Ok(Rotation::Done)
    })?;
    match rotated {
        Rotation::Done => {
            let key = ApiKey { start, updated_at: now, ..seen };
            Ok(RotatedKey { key, text: text.into_secret(), previous_ends_at: end })
        }
        Rotation::Missing => Err(Error::of(Code::KeyNotFound)),
        Rotation::TooMany => Err(Error::of(Code::Conflict).saying(
            "The key has two secrets that work. Wait until the first ends, or end both at once with keepOldFor 0.",
        )),
    }
}

/// What became of a rotation.
enum Rotation {
    Done,
    Missing,
    TooMany,
}

/// The keys that reach a tenant, the newest first.
pub fn list_reaching(engine: &Engine, caller: &Caller, tenant: TenantId) -> Result<Vec<ReachingKey>> {
    let scope = caller.allow(Action::ReadTenantKeys, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| api_keys::list_reaching(&mut tx.tenant(&scope)))?)
}

/// A page of the same.
pub fn page_reaching(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    page: PageAsked,
) -> Result<Paged<ReachingKey>> {
    let scope = caller.allow(Action::ReadTenantKeys, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let items = api_keys::page_reaching(&mut rows, page.offset(), page.limit())?;
        Ok(Paged { items, total: api_keys::count_reaching(&mut rows)? })
    })?)
}

/// What became of a key that was shut out of a tenant.
pub enum ShutOut {
    /// It was pinned to the tenant, and is no more.
    Revoked(ReachingKey),
    /// It is pinned to none, and barred from this one.
    Barred(ReachingKey),
}

/// Ends what a key reaches in a tenant: one that is pinned to it is revoked, another is barred there.
pub fn shut_out(engine: &Engine, caller: &Caller, tenant: TenantId, id: ApiKeyId) -> Result<ShutOut> {
    let scope = caller.allow(Action::RevokeTenantKeys, Owner::Tenant(tenant))?;
    let now = engine.env.now();
    let event = |action| engine.event(caller, Owner::Tenant(tenant), action, now).on(id);
    let (revoked, barred) = (event(AuditAction::KeyRevoked), event(AuditAction::KeyBarred));
    let done = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let Some(found) = api_keys::find_reaching(&mut rows, id)? else { return Ok(None) };
        if found.key.pin.is_none() {
            return bar(&mut rows, found, true, &barred, now).map(ShutOut::Barred).map(Some);
        }
        if !api_keys::remove_pinned(&mut rows, id)? {
            return Ok(None);
        }
        audit::insert(&mut rows, &revoked)?;
        Ok(Some(ShutOut::Revoked(found)))
    })?;
    done.ok_or_else(unreaching)
}

/// Bars a key that is pinned to no tenant from this one, or lets it in again. One that is pinned to it is a
/// conflict: it can only be revoked.
pub fn set_barred(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    id: ApiKeyId,
    barred: bool,
) -> Result<ReachingKey> {
    let scope = caller.allow(Action::RevokeTenantKeys, Owner::Tenant(tenant))?;
    let now = engine.env.now();
    let action = if barred { AuditAction::KeyBarred } else { AuditAction::KeyLetIn };
    let event = engine.event(caller, Owner::Tenant(tenant), action, now).on(id);
    let found = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let Some(found) = api_keys::find_reaching(&mut rows, id)? else { return Ok(None) };
        if found.key.pin.is_some() {
            return Ok(Some(found));
        }
        bar(&mut rows, found, barred, &event, now).map(Some)
    })?;
    let found = found.ok_or_else(unreaching)?;
    if found.key.pin.is_some() {
        return Err(Error::of(Code::Conflict)
            .saying("This API key is pinned to the organization: it can only be revoked."));
    }
    Ok(found)
}

fn bar(
    rows: &mut TenantTx<'_>,
    found: ReachingKey,
    barred: bool,
    event: &Event,
    now: Timestamp,
) -> std::result::Result<ReachingKey, StoreError> {
    if found.barred != barred {
        api_keys::set_barred(rows, found.key.id, barred, now)?;
        audit::insert(rows, event)?;
    }
    Ok(ReachingKey { barred, ..found })
}

/// That no such key reaches the tenant.
fn unreaching() -> Error {
    Error::of(Code::NotFound).saying("There is no such API key in this organization.")
}

/// A part of the keys that reach a tenant: one's own, and for those who run it all.
pub fn list_part(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    listing: &Listing<kind::ApiKey>,
) -> Result<Part<ReachingKey, kind::ApiKey>> {
    let owner = Owner::Tenant(tenant);
    let (scope, holder, only_pinned) = match caller.allow(Action::ReadTenantKeys, owner) {
        Ok(scope) => (scope, None, false),
        Err(Denied::RoleTooLow { .. }) => {
            caller.allow(Action::ReadOwnKeys, Owner::Platform)?;
            let person = caller.as_person()?;
            let pinned = person.key().is_some_and(|key| key.pin.is_some());
            (caller.allow(Action::ReadTenant, owner)?, Some(person.user.id), pinned)
        }
        Err(denied) => return Err(denied.into()),
    };
    let rows = engine
        .store
        .read(|tx| api_keys::list_reaching_part(&mut tx.tenant(&scope), holder, only_pinned, listing))?;
    Ok(listing.part(rows, |found| {
        Place::of(listing.order, found.key.id, found.key.created_at, found.key.name.as_str())
    }))
}

/// Ends one of the keys that [`list_part`] has: one's own everywhere, another's as [`shut_out`] does.
pub fn end(engine: &Engine, caller: &Caller, tenant: TenantId, id: ApiKeyId) -> Result<()> {
    let own = match find(engine, caller, Action::RevokeOwnKeys, id) {
        Ok((key, _)) => key.pin.is_none_or(|pin| pin.tenant == tenant),
        Err(error) if error.code() == Code::KeyNotFound => false,
        Err(error) => return Err(error),
    };
    if own {
        return revoke(engine, caller, id).map(drop);
    }
    match shut_out(engine, caller, tenant, id) {
        // What others have is not told.
        Err(error) if matches!(error.code(), Code::RoleTooLow | Code::NotFound) => {
            Err(Error::of(Code::KeyNotFound))
        }
        done => done.map(drop),
    }
}

/// All keys there are, or those of one person of the platform, the newest first, each with its holder.
pub fn list_all(engine: &Engine, caller: &Caller, email: Option<&Email>) -> Result<Vec<(ApiKey, User)>> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    let Some(email) = email else {
        return Ok(engine.store.read(|tx| api_keys::list_all(&mut tx.platform(&platform)))?);
    };
    let scope = caller.allow(Action::ManageUsers, Owner::Platform)?;
    let user = users::show_by_email(engine, caller, Owner::Platform, email)?;
    let keys = engine.store.read(|tx| api_keys::list(&mut tx.tenant(&scope), user.id))?;
    Ok(keys.into_iter().map(|key| (key, user.clone())).collect())
}
