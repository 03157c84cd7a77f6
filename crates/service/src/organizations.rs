//! Tenants as their people know them: organizations that they make, see and rename.

use keystead_domain::Owner;
use keystead_domain::audit::AuditAction;
use keystead_domain::id::{MembershipId, TenantId};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, Denied, PersonCredential, Standing};
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::Tenant;
use keystead_storage::{StoreError, UniqueKey, audit, memberships, sessions, tenants, users};

use crate::audit::Refine as _;
use crate::members::{Authority, authority};
use crate::tenants::{NewTenant, candidates, slug_taken};
use crate::{Caller, Code, Engine, Error, Result};

/// An organization to be made.
pub struct NewOrganization {
    /// Its name.
    pub name: Name,
    /// Its slug; without one it is made of the name.
    pub slug: Option<Slug>,
}

/// An organization that was just made, and its maker's membership.
#[derive(Clone, Debug)]
pub struct Founded {
    /// The organization.
    pub tenant: Tenant,
    /// The membership.
    pub membership: Membership,
}

/// Makes an organization that the caller owns. A given slug that is taken is a conflict; a derived one gets
/// a suffix.
pub fn create(engine: &Engine, caller: &Caller, new: NewOrganization) -> Result<Founded> {
    let user = caller.as_person()?.user.id;
    let people = caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let now = engine.env.now();
    let new = NewTenant { name: new.name, slug: new.slug, plan: None, entity_hotkey: None };
    for tenant in candidates(engine, new, now) {
        let (platform, founded) = caller.found(tenant.id)?;
        let membership = Membership {
            id: MembershipId::mint(now, &*engine.env),
            tenant: tenant.id,
            user,
            role: Role::Owner,
            founder: true,
            created_at: now,
        };
        let event =
            engine.event(caller, Owner::Tenant(tenant.id), AuditAction::TenantCreated, now).on(tenant.id);
        let rows = (tenant.clone(), membership.clone());
        let made = engine.store.write(move |tx| {
            // It may have deleted itself since it was recognized.
            if users::hold(&mut tx.tenant(&people), user)?.is_none() {
                return Ok(false);
            }
            tenants::insert(&mut tx.platform(&platform), &rows.0)?;
            let mut tenant = tx.tenant(&founded);
            memberships::insert(&mut tenant, &rows.1)?;
            audit::insert(&mut tenant, &event)?;
            Ok(true)
        });
        match made {
            Ok(true) => return Ok(Founded { tenant, membership }),
            Ok(false) => return Err(Error::of(Code::InvalidSession)),
            Err(StoreError::Taken(UniqueKey::TenantSlug)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(slug_taken())
}

/// What the caller is in one of its organizations, as both are now.
pub fn show(caller: &Caller, tenant: TenantId) -> Result<&Standing> {
    caller.allow(Action::ReadTenant, Owner::Tenant(tenant))?;
    Ok(caller.as_person()?.standing(tenant).ok_or(Denied::NotAMember)?)
}

/// Renames an organization. Its slug stays what it is: others may have written it down.
pub fn rename(engine: &Engine, caller: &Caller, tenant: TenantId, name: Name) -> Result<Tenant> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ChangeTenant, owner)?;
    let event = engine.event(caller, owner, AuditAction::TenantRenamed, engine.env.now()).on(tenant);
    let by = caller.clone();
    let renamed = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        if let Authority::Lacking(denied) = authority(&mut rows, &by, Role::Admin)? {
            return Ok(Err(denied));
        }
        if tenants::rename(&mut rows, &name)? {
            audit::insert(&mut rows, &event)?;
        }
        Ok(Ok(tenants::find_own(&mut rows)?))
    })?;
    Ok(renamed?.ok_or(Denied::NotAMember)?)
}

/// Remembers in the caller's session that it works in an organization that it has just made.
pub fn work_in(engine: &Engine, caller: &Caller, founded: &Founded) -> Result<()> {
    remember(engine, caller, Some(founded.tenant.id))
}

/// Remembers in the caller's session which of its organizations it works in, or none. It opens nothing.
pub fn set_active(engine: &Engine, caller: &Caller, tenant: Option<TenantId>) -> Result<()> {
    if let Some(tenant) = tenant {
        caller.allow(Action::ReadTenant, Owner::Tenant(tenant))?;
    }
    remember(engine, caller, tenant)
}

fn remember(engine: &Engine, caller: &Caller, tenant: Option<TenantId>) -> Result<()> {
    let scope = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let PersonCredential::Session { id, .. } = caller.as_person()?.credential else {
        return Err(Denied::SessionRequired.into());
    };
    engine.store.write(move |tx| sessions::set_active_tenant(&mut tx.tenant(&scope), id, tenant))?;
    Ok(())
}
