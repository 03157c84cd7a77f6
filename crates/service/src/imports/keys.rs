//! API keys of another system, by the digests that it kept of them.

use std::collections::HashMap;

use keystead_domain::api_key::{ApiKey, Environment, ImportedStart, KeyStart, Pin};
use keystead_domain::audit::{AuditAction, Event};
use keystead_domain::id::{ApiKeyId, TenantId, UserId};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::oauth::ScopeSet;
use keystead_domain::policy::{Action, PlatformAction, TenantScope};
use keystead_domain::slug::Slug;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner, Timestamp, TokenDigest};
use keystead_storage::{StoreError, Tx, UniqueKey, api_keys, audit, memberships, tenants, users};

use super::TRIES;
use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// An API key of another system.
#[derive(Clone)]
pub struct ImportedKey {
    /// The SHA-256 of the whole key, as it is presented.
    pub digest: TokenDigest,
    /// The address of its holder, a person of the platform.
    pub email: Email,
    /// The one tenant that it reaches; nothing for one that reaches all of its holder's.
    pub tenant: Option<Slug>,
    /// What its holder calls it.
    pub name: Name,
    /// What it is for.
    pub environment: Environment,
    /// The most that it may do.
    pub scopes: ScopeSet,
    /// How it begins, where that is known.
    pub start: Option<ImportedStart>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When the other system made it.
    pub created_at: Option<Timestamp>,
}

/// What became of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFate {
    /// It is there now.
    Made,
    /// Its holder has it already, and it was left as it is.
    Exists,
    /// It was brought along before and has ended since, for good.
    Ended,
    /// It is somebody else's key.
    Foreign,
    /// Nobody of the platform has the address.
    NoHolder,
    /// There is no such tenant.
    NoTenant,
    /// The holder is no member of the tenant.
    NoMember,
    /// The holder's address is not confirmed, and somebody else made the tenant.
    Unverified,
    /// There is no such scope.
    UnknownScope,
    /// It has no scope.
    NoScope,
    /// It ended before now.
    Over,
    /// It would have been made in the future.
    NotYet,
}

/// Makes keys, at most a [`BATCH`](super::BATCH), all together or, where this fails, none. The same digest is
/// brought along once: a key that ended since does not come back.
pub fn keys(engine: &Engine, caller: &Caller, imported: &[ImportedKey]) -> Result<Vec<KeyFate>> {
    let people = caller.allow(Action::ManageUsers, Owner::Platform)?;
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    let slugs: Vec<_> = imported.iter().filter_map(|key| key.tenant.clone()).collect();
    let tenants = engine.store.read(|tx| tenants::find_all_by_slug(&mut tx.platform(&platform), &slugs))?;
    let tenants: HashMap<_, _> =
        tenants.into_iter().map(|tenant| (tenant.slug.to_string(), tenant)).collect();
    let now = engine.env.now();
    for _ in 0..TRIES {
        let candidates: Result<Vec<_>> =
            imported.iter().map(|key| Candidate::new(engine, caller, people, &tenants, key, now)).collect();
        let candidates = candidates?;
        match engine.store.write(move |tx| store(tx, people, candidates, now)) {
            // By another import: what that made is found next time.
            Err(StoreError::Taken(UniqueKey::KeyDigest)) => {}
            done => return Ok(done?),
        }
    }
    Err(Error::of(Code::Unavailable))
}

struct Candidate {
    digest: TokenDigest,
    email: Email,
    /// Nothing is wrong with it as far as can be known without its holder.
    sound: std::result::Result<Sound, KeyFate>,
}

struct Sound {
    id: ApiKeyId,
    tenant: Option<TenantId>,
    imported: ImportedKey,
    created_at: Timestamp,
    event: Event,
    /// The trail that the event stands in.
    trail: TenantScope,
}

impl Candidate {
    fn new(
        engine: &Engine,
        caller: &Caller,
        people: TenantScope,
        tenants: &HashMap<String, Tenant>,
        imported: &ImportedKey,
        now: Timestamp,
    ) -> Result<Self> {
        let (digest, email) = (imported.digest, imported.email.clone());
        let refused = |fate| Ok(Self { digest, email: email.clone(), sound: Err(fate) });
        let created_at = imported.created_at.unwrap_or(now);
        if imported.scopes.is_empty() {
            return refused(KeyFate::NoScope);
        } else if !engine.settings.scopes.knows(&imported.scopes) {
            return refused(KeyFate::UnknownScope);
        } else if created_at > now {
            return refused(KeyFate::NotYet);
        } else if imported.expires_at.is_some_and(|end| end <= now) {
            return refused(KeyFate::Over);
        }
        let tenant = match &imported.tenant {
            None => None,
            Some(slug) => match tenants.get(slug.as_str()) {
                Some(tenant) => Some(tenant.id),
                None => return refused(KeyFate::NoTenant),
            },
        };
        let owner = tenant.map_or(Owner::Platform, Owner::Tenant);
        let trail = if tenant.is_some() { caller.allow(Action::ReadTenant, owner)? } else { people };
        let id = ApiKeyId::mint(now, &*engine.env);
        let event = engine.event(caller, owner, AuditAction::KeyImported, now).on(id);
        let sound = Sound { id, tenant, imported: imported.clone(), created_at, event, trail };
        Ok(Self { digest, email, sound: Ok(sound) })
    }
}

/// What is in the database of those whom a batch names.
struct Present {
    users: HashMap<String, User>,
    memberships: HashMap<(UserId, TenantId), Membership>,
}

impl Present {
    /// Whom a key belongs to, and what it hangs on.
    fn holder(
        &self,
        email: &Email,
        tenant: Option<TenantId>,
    ) -> std::result::Result<(UserId, Option<Pin>), KeyFate> {
        let user = self.users.get(email.key()).ok_or(KeyFate::NoHolder)?;
        let Some(tenant) = tenant else { return Ok((user.id, None)) };
        let membership = self.memberships.get(&(user.id, tenant)).ok_or(KeyFate::NoMember)?;
        if user.email_verified_at.is_none() && !membership.founder {
            return Err(KeyFate::Unverified);
        }
        Ok((user.id, Some(Pin { tenant, membership: membership.id })))
    }
}

fn store(
    tx: &mut Tx<'_>,
    people: TenantScope,
    candidates: Vec<Candidate>,
    now: Timestamp,
) -> std::result::Result<Vec<KeyFate>, StoreError> {
    let digests: Vec<_> = candidates.iter().map(|candidate| candidate.digest).collect();
    let emails: Vec<_> = candidates.iter().map(|candidate| candidate.email.clone()).collect();
    let mut rows = tx.tenant(&people);
    let found = users::find_all_by_email(&mut rows, &emails)?;
    let ids: Vec<_> = found.iter().map(|user| user.id).collect();
    let theirs = memberships::list_of_all(&mut rows, &ids)?;
    let present = Present {
        users: found.into_iter().map(|user| (user.email.key().to_owned(), user)).collect(),
        memberships: theirs.into_iter().map(|one| ((one.user, one.tenant), one)).collect(),
    };
    let mut holders = api_keys::holders_of(&mut rows, &digests)?;
    let before = api_keys::were_imported(&mut rows, &digests)?;
    let (mut fates, mut made, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for Candidate { digest, email, sound } in candidates {
        let decided = sound.and_then(|sound| {
            let (user, pin) = present.holder(&email, sound.tenant)?;
            match holders.get(digest.as_bytes()) {
                Some(holder) if *holder == user => Err(KeyFate::Exists),
                Some(_) => Err(KeyFate::Foreign),
                None if before.contains(digest.as_bytes()) => Err(KeyFate::Ended),
                None => Ok((user, pin, sound)),
            }
        });
        fates.push(match decided {
            Err(fate) => fate,
            Ok((user, pin, Sound { id, imported, created_at, event, trail, .. })) => {
                // Also for what comes later in the same batch.
                holders.insert(*digest.as_bytes(), user);
                let start = imported.start.unwrap_or_else(|| ImportedStart::of_digest(&digest));
                let key = ApiKey {
                    id,
                    user,
                    pin,
                    name: imported.name,
                    environment: imported.environment,
                    scopes: imported.scopes,
                    start: KeyStart::Imported(start),
                    made_in: None,
                    expires_at: imported.expires_at,
                    last_used_at: None,
                    created_at,
                    updated_at: now,
                };
                made.push((key, digest));
                events.push((trail, event));
                KeyFate::Made
            }
        });
    }
    if made.is_empty() {
        return Ok(fates);
    }
    api_keys::insert_imported(&mut rows, &made, now)?;
    // Those of one trail together, in the order of the file.
    let mut trails: Vec<(TenantScope, Vec<Event>)> = Vec::new();
    for (trail, event) in events {
        match trails.iter_mut().find(|(known, _)| known.owner() == trail.owner()) {
            Some((_, events)) => events.push(event),
            None => trails.push((trail, vec![event])),
        }
    }
    for (trail, events) in &trails {
        audit::insert_all(&mut tx.tenant(trail), events)?;
    }
    Ok(fates)
}
