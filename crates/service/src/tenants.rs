//! Making, finding and changing tenants.

use keystead_domain::audit::AuditAction;
use keystead_domain::id::TenantId;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::slug::Slug;
use keystead_domain::tenant::{Demands, NetworkIdentity, PlanName, Tenant, TenantStatus};
use keystead_domain::{Owner, Timestamp};
use keystead_storage::{PlatformTx, StoreError, UniqueKey, audit, tenants};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result, slugs};

/// A tenant to be made.
#[derive(Clone)]
pub struct NewTenant {
    /// Its name.
    pub name: Name,
    /// Its slug; without one it is made of the name.
    pub slug: Option<Slug>,
    /// Its plan; without one it is the default plan.
    pub plan: Option<PlanName>,
    /// Its network identity.
    pub entity_hotkey: Option<NetworkIdentity>,
}

/// Makes a tenant. A given slug that is taken is a conflict; a derived one gets a suffix.
pub fn create(engine: &Engine, caller: &Caller, new: NewTenant) -> Result<Tenant> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    is_configured(engine, new.plan.as_ref())?;
    let now = engine.env.now();
    for tenant in candidates(engine, new, now) {
        let owner = Owner::Tenant(tenant.id);
        let scope = caller.allow(Action::ManageApps, owner)?;
        let event = engine.event(caller, owner, AuditAction::TenantCreated, now).on(tenant.id);
        let row = tenant.clone();
        let made = engine.store.write(move |tx| {
            tenants::insert(&mut tx.platform(&platform), &row)?;
            audit::insert(&mut tx.tenant(&scope), &event)
        });
        match made {
            Ok(()) => return Ok(tenant),
            Err(StoreError::Taken(UniqueKey::TenantSlug)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(slug_taken())
}

/// That a plan that somebody asks for is one of the configuration.
pub(crate) fn is_configured(engine: &Engine, plan: Option<&PlanName>) -> Result<()> {
    let plans = &engine.settings.plans;
    match plan {
        Some(plan) if plans.find(plan).is_none() => {
            Err(Error::invalid_field("plan", "unknown", format!("must be one of {}", plans.names())))
        }
        _ => Ok(()),
    }
}

/// The tenants to try to make, the next one where the slug of the last was taken.
pub(crate) fn candidates(
    engine: &Engine,
    new: NewTenant,
    now: Timestamp,
) -> impl Iterator<Item = Tenant> + '_ {
    let derived = Slug::derive(&new.name, "tenant");
    let plan = new.plan.unwrap_or_else(|| engine.settings.default_plan.clone());
    slugs::candidates(engine, new.slug, derived).map(move |slug| Tenant {
        id: TenantId::mint(now, &*engine.env),
        slug,
        name: new.name.clone(),
        plan: plan.clone(),
        status: TenantStatus::Active,
        entity_hotkey: new.entity_hotkey.clone(),
        demands: Demands::default(),
        created_at: now,
    })
}

/// That none of the [`candidates`] had a free slug.
pub(crate) fn slug_taken() -> Error {
    Error::of(Code::Conflict).saying("A tenant with this slug exists.")
}

/// The tenant with this slug.
pub fn show(engine: &Engine, caller: &Caller, slug: &Slug) -> Result<Tenant> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    let found = engine.store.read(|tx| tenants::find_by_slug(&mut tx.platform(&platform), slug))?;
    found.ok_or_else(|| Error::of(Code::NotFound).saying(format!("There is no tenant {slug}.")))
}

/// Puts a tenant on another plan.
pub fn set_plan(engine: &Engine, caller: &Caller, slug: &Slug, plan: PlanName) -> Result<Tenant> {
    is_configured(engine, Some(&plan))?;
    let changed = plan.clone();
    let tenant = change(engine, caller, slug, AuditAction::TenantPlanChanged, move |tx, id| {
        tenants::set_plan(tx, id, &changed)
    })?;
    Ok(Tenant { plan, ..tenant })
}

/// Suspends a tenant: from now on its apps, one-time links, sessions and tokens are refused.
pub fn suspend(engine: &Engine, caller: &Caller, slug: &Slug) -> Result<Tenant> {
    set_status(engine, caller, slug, TenantStatus::Suspended, AuditAction::TenantSuspended)
}

/// Lets a suspended tenant act again. What it had and has not expired works as before.
pub fn resume(engine: &Engine, caller: &Caller, slug: &Slug) -> Result<Tenant> {
    set_status(engine, caller, slug, TenantStatus::Active, AuditAction::TenantResumed)
}

fn set_status(
    engine: &Engine,
    caller: &Caller,
    slug: &Slug,
    status: TenantStatus,
    action: AuditAction,
) -> Result<Tenant> {
    let tenant = change(engine, caller, slug, action, move |tx, id| tenants::set_status(tx, id, status))?;
    Ok(Tenant { status, ..tenant })
}

/// Changes a tenant, and writes the event if that changed anything. Returns the tenant as it was.
fn change(
    engine: &Engine,
    caller: &Caller,
    slug: &Slug,
    action: AuditAction,
    set: impl FnOnce(&mut PlatformTx<'_>, TenantId) -> std::result::Result<bool, StoreError> + Send + 'static,
) -> Result<Tenant> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    let tenant = show(engine, caller, slug)?;
    let owner = Owner::Tenant(tenant.id);
    let scope = caller.allow(Action::ManageApps, owner)?;
    let event = engine.event(caller, owner, action, engine.env.now()).on(tenant.id);
    let id = tenant.id;
    engine.store.write(move |tx| {
        if set(&mut tx.platform(&platform), id)? {
            audit::insert(&mut tx.tenant(&scope), &event)?;
        }
        Ok(())
    })?;
    Ok(tenant)
}

/// All tenants, the oldest first.
pub fn list(engine: &Engine, caller: &Caller) -> Result<Vec<Tenant>> {
    let platform = caller.allow_platform(PlatformAction::ManageTenants)?;
    Ok(engine.store.read(|tx| tenants::list(&mut tx.platform(&platform)))?)
}
