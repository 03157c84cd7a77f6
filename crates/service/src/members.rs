//! Members of a tenant: seen, added, given other roles, removed, and leaving.
//!
//! Whoever changes members does so one after the other, and each time what the one who changes may do is
//! read anew: two owners who demote each other, or leave at the same time, cannot both win.

use keystead_domain::audit::{AuditAction, Event};
use keystead_domain::id::{MembershipId, TenantId, UserId, kind};
use keystead_domain::listing::{Listing, Part, Place};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, Denied, TenantScope};
use keystead_domain::role::Role;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner};
use keystead_storage::{StoreError, TenantTx, Tx, UniqueKey, audit, memberships, sessions, users};

use crate::audit::Refine as _;
use crate::paging::{PageAsked, Paged};
use crate::{Caller, Code, Engine, Error, Result, invites};

pub use keystead_storage::memberships::Member;

/// The role by which a caller acts in a tenant, as it is in the transaction that decides.
pub(crate) enum Authority {
    /// It may act, as this.
    Of(Role),
    /// It may not any more.
    Lacking(Denied),
}

/// Reads what the caller is in the tenant now. Nobody changes that before the transaction ends.
pub(crate) fn authority(
    tx: &mut TenantTx<'_>,
    caller: &Caller,
    needed: Role,
) -> std::result::Result<Authority, StoreError> {
    memberships::hold_owners(tx)?;
    // The host has no membership and may do what owners may.
    let Ok(person) = caller.as_person() else { return Ok(Authority::Of(Role::Owner)) };
    Ok(match memberships::find_of(tx, person.user.id)? {
        None => Authority::Lacking(Denied::NotAMember),
        Some(own) if own.role < needed => Authority::Lacking(Denied::RoleTooLow { needed }),
        Some(own) => Authority::Of(own.role),
    })
}

/// A tenant's members, those of longest standing first.
pub fn list(engine: &Engine, caller: &Caller, tenant: TenantId, page: PageAsked) -> Result<Paged<Member>> {
    let scope = caller.allow(Action::ReadMembers, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let items = memberships::page(&mut rows, page.offset(), page.limit())?;
        Ok(Paged { items, total: memberships::count(&mut rows)? })
    })?)
}

/// A part of a tenant's members. Who has no name is sorted by its address.
pub fn list_part(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    listing: &Listing<kind::Membership>,
) -> Result<Part<Found, kind::Membership>> {
    let scope = caller.allow(Action::ReadMembers, Owner::Tenant(tenant))?;
    let rows = engine.store.read(|tx| memberships::list_part(&mut tx.tenant(&scope), listing))?;
    Ok(listing.part(rows, |(membership, user)| {
        let name = user.name.as_ref().map_or_else(|| user.email.as_str(), Name::as_str);
        Place::of(listing.order, membership.id, membership.created_at, name)
    }))
}

/// One of a tenant's members.
pub fn show(engine: &Engine, caller: &Caller, tenant: TenantId, id: MembershipId) -> Result<Found> {
    let scope = caller.allow(Action::ReadMembers, Owner::Tenant(tenant))?;
    let found = engine.store.read(|tx| memberships::find(&mut tx.tenant(&scope), id))?;
    found.ok_or_else(missing)
}

/// Whether the caller gets to see which members have a second factor.
pub fn sees_second_factors(caller: &Caller, tenant: TenantId) -> bool {
    caller.allow(Action::ManageMembers, Owner::Tenant(tenant)).is_ok()
}

/// The caller's own membership of a tenant.
pub fn own(engine: &Engine, caller: &Caller, tenant: TenantId) -> Result<Membership> {
    let scope = caller.allow(Action::ReadTenant, Owner::Tenant(tenant))?;
    let user = caller.as_person()?.user.id;
    let own = engine.store.read(|tx| memberships::find_of(&mut tx.tenant(&scope), user))?;
    Ok(own.ok_or(Denied::NotAMember)?)
}

/// A member that was asked for.
pub type Found = (Membership, User);

/// The tenant's member with this address.
pub fn show_by_email(engine: &Engine, caller: &Caller, tenant: TenantId, email: &Email) -> Result<Found> {
    let scope = caller.allow(Action::ReadMembers, Owner::Tenant(tenant))?;
    let found = engine.store.read(|tx| memberships::find_by_email(&mut tx.tenant(&scope), email))?;
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Error::of(Code::NotFound).saying("There is no such member in this organization.")
}

/// Makes a person of the platform a member, without asking it.
pub fn add(engine: &Engine, host: &Caller, tenant: TenantId, email: &Email, role: Role) -> Result<Found> {
    let owner = Owner::Tenant(tenant);
    // Only the host finds people by their address.
    let people = host.allow(Action::ManageUsers, Owner::Platform)?;
    let scope = host.allow(Action::ManageMembers, owner)?;
    let found = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&people), email))?;
    let (user, _) = found.ok_or_else(|| {
        Error::of(Code::NotFound)
            .saying("There is no such user of the platform: make one first, or invite it.")
    })?;
    let now = engine.env.now();
    let membership = Membership {
        id: MembershipId::mint(now, &*engine.env),
        tenant,
        user: user.id,
        role,
        founder: false,
        created_at: now,
    };
    let event = engine.event(host, owner, AuditAction::MemberAdded, now).on(membership.id);
    let row = membership.clone();
    let added = engine.store.write(move |tx| {
        if users::hold(&mut tx.tenant(&people), row.user)?.is_none() {
            return Ok(false);
        }
        let mut rows = tx.tenant(&scope);
        memberships::hold_owners(&mut rows)?;
        memberships::insert(&mut rows, &row)?;
        audit::insert(&mut rows, &event)?;
        Ok(true)
    });
    match added {
        Ok(true) => Ok((membership, user)),
        Ok(false) => Err(missing()),
        Err(StoreError::Taken(UniqueKey::Membership)) => Err(already_member()),
        Err(other) => Err(other.into()),
    }
}

pub(crate) fn already_member() -> Error {
    Error::of(Code::Conflict).saying("This person is a member of the organization already.")
}

/// Gives a member another role.
pub fn change_role(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    member: MembershipId,
    role: Role,
) -> Result<Found> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ManageMembers, owner)?;
    let event = engine.event(caller, owner, AuditAction::MemberRoleChanged, engine.env.now()).on(member);
    let by = caller.clone();
    let changed = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let (seen, user) = match may_change(&mut rows, &by, member, Some(role))? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if seen.role != role {
            memberships::set_role(&mut rows, &seen, role)?;
            invites::retract(&mut rows, seen.user, Some(role))?;
            audit::insert(&mut rows, &event)?;
        }
        Ok(Ok((Membership { role, ..seen }, user)))
    })?;
    Ok(changed?)
}

/// Removes a member. The keys that are pinned to the tenant go with it.
pub fn remove(engine: &Engine, caller: &Caller, tenant: TenantId, member: MembershipId) -> Result<Found> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ManageMembers, owner)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let event = engine.event(caller, owner, AuditAction::MemberRemoved, engine.env.now()).on(member);
    let by = caller.clone();
    let removed = engine.store.write(move |tx| {
        let found = match may_change(&mut tx.tenant(&scope), &by, member, None)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        end(tx, &scope, &people, &found.0, &event)?;
        Ok(Ok(found))
    })?;
    Ok(removed?)
}

/// Ends the caller's own membership. The keys that are pinned to the tenant go with it.
pub fn leave(engine: &Engine, caller: &Caller, tenant: TenantId) -> Result<Membership> {
    let owner = Owner::Tenant(tenant);
    let user: UserId = caller.as_person()?.user.id;
    let scope = caller.allow(Action::LeaveTenant, owner)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let event = engine.event(caller, owner, AuditAction::MemberLeft, engine.env.now());
    let left = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        memberships::hold_owners(&mut rows)?;
        let Some(own) = memberships::find_of(&mut rows, user)? else {
            return Ok(Err(Refusal::Denied(Denied::NotAMember)));
        };
        if own.may_become(None, memberships::count_other_owners(&mut rows, own.id)?).is_err() {
            return Ok(Err(Refusal::LastOwner));
        }
        end(tx, &scope, &people, &own, &event.on(own.id))?;
        Ok(Ok(own))
    })?;
    Ok(left?)
}

/// Why a member stays what it is.
enum Refusal {
    Missing,
    Denied(Denied),
    LastOwner,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => missing(),
            Refusal::Denied(denied) => denied.into(),
            Refusal::LastOwner => {
                Self::of(Code::Conflict).saying(keystead_domain::membership::LastOwner.to_string())
            }
        }
    }
}

/// The member, if the caller may let it become one of role `to`, or end its membership where there is none.
fn may_change(
    tx: &mut TenantTx<'_>,
    caller: &Caller,
    member: MembershipId,
    to: Option<Role>,
) -> std::result::Result<std::result::Result<Found, Refusal>, StoreError> {
    let by = match authority(tx, caller, Role::Admin)? {
        Authority::Of(role) => role,
        Authority::Lacking(denied) => return Ok(Err(Refusal::Denied(denied))),
    };
    let Some((seen, user)) = memberships::find(tx, member)? else { return Ok(Err(Refusal::Missing)) };
    if !by.may_change(Some(seen.role), to) {
        let needed = to.map_or(seen.role, |to| to.max(seen.role));
        return Ok(Err(Refusal::Denied(Denied::RoleTooLow { needed })));
    }
    if seen.may_become(to, memberships::count_other_owners(tx, member)?).is_err() {
        return Ok(Err(Refusal::LastOwner));
    }
    Ok(Ok((seen, user)))
}

fn end(
    tx: &mut Tx<'_>,
    scope: &TenantScope,
    people: &TenantScope,
    membership: &Membership,
    event: &Event,
) -> std::result::Result<(), StoreError> {
    let mut rows = tx.tenant(scope);
    memberships::remove(&mut rows, membership)?;
    invites::retract(&mut rows, membership.user, None)?;
    audit::insert(&mut rows, event)?;
    sessions::leave_tenant(&mut tx.tenant(people), membership.user, membership.tenant)
}
