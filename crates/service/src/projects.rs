//! Projects of a tenant.

use std::sync::Arc;

use keystead_domain::Owner;
use keystead_domain::audit::AuditAction;
use keystead_domain::id::{ProjectId, TenantId, kind};
use keystead_domain::idempotency::Attempted;
use keystead_domain::listing::{Listing, Part, Place};
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, Denied};
use keystead_domain::project::{Project, ProjectChange, ProjectStatus, Website};
use keystead_domain::revocation::Revocation;
use keystead_domain::slug::Slug;
use keystead_storage::{StoreError, UniqueKey, audit, projects};

use crate::audit::Refine as _;
use crate::idempotency::{Once, Outcome, before, enter};
use crate::paging::{PageAsked, Paged};
use crate::{Caller, Code, Engine, Error, Result, slugs};

/// The ids of a tenant's projects, if they were read a moment ago and still stand. Does not block, and asks
/// nobody whether the caller may: see [`ids`].
pub fn recall_ids(engine: &Engine, tenant: TenantId) -> Option<Arc<Vec<ProjectId>>> {
    engine.project_ids.recall(engine.store.generations(), &tenant)
}

/// The ids of a tenant's projects, the oldest first. Whoever may see the tenant may see them.
pub fn ids(engine: &Engine, caller: &Caller, owner: Owner) -> Result<Arc<Vec<ProjectId>>> {
    let scope = caller.allow(Action::ReadTenant, owner)?;
    let tenant = owner.tenant().ok_or(Denied::Forbidden)?;
    let since = engine.store.generations().current();
    let ids = Arc::new(engine.store.look_up(|tx| projects::list_ids(&mut tx.tenant(&scope)))?);
    engine.project_ids.keep(tenant, Arc::clone(&ids), since, [Revocation::Projects(tenant)]);
    Ok(ids)
}

/// A project to be made.
pub struct NewProject {
    /// Its name.
    pub name: Name,
    /// Its slug; without one it is made of the name.
    pub slug: Option<Slug>,
    /// Where it is on the web.
    pub website: Option<Website>,
    /// Whether it is in use.
    pub status: ProjectStatus,
}

/// Makes a project. A given slug that is taken is a conflict; a derived one gets a suffix.
pub fn create(engine: &Engine, caller: &Caller, tenant: TenantId, new: NewProject) -> Result<Project> {
    match make(engine, caller, tenant, new, None)? {
        Outcome::Done(project) => Ok(project),
        Outcome::Before(_) => Err(Error::internal("there is no answer to what was asked for without a key")),
    }
}

/// The same, once however often it is asked for.
pub fn create_once(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    new: NewProject,
    once: &Once<Project>,
) -> Result<Outcome<Project>> {
    make(engine, caller, tenant, new, Some(once))
}

fn make(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    new: NewProject,
    once: Option<&Once<Project>>,
) -> Result<Outcome<Project>> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ChangeProjects, owner)?;
    let now = engine.env.now();
    let id = ProjectId::mint(now, &*engine.env);
    let derived = Slug::derive(&new.name, "project");
    for slug in slugs::candidates(engine, new.slug, derived) {
        let project = Project {
            id,
            tenant,
            name: new.name.clone(),
            slug,
            website: new.website.clone(),
            status: new.status,
            created_at: now,
            updated_at: now,
        };
        let guard = once.map(|once| once.guard(caller, Ok(&project))).transpose()?;
        let event = engine.event(caller, owner, AuditAction::ProjectCreated, now).on(project.id);
        let row = project.clone();
        let made = engine.store.write(move |tx| {
            let attempted = enter(tx, &scope, guard.as_ref(), now)?;
            if attempted == Attempted::First {
                let mut rows = tx.tenant(&scope);
                projects::insert(&mut rows, &row)?;
                audit::insert(&mut rows, &event)?;
            }
            Ok(attempted)
        });
        match made {
            Ok(attempted) => return Ok(before(attempted)?.map_or(Outcome::Done(project), Outcome::Before)),
            Err(StoreError::Taken(UniqueKey::ProjectSlug)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    match once {
        Some(once) => once.refuse(engine, caller, scope, slug_taken(), now),
        None => Err(slug_taken()),
    }
}

fn slug_taken() -> Error {
    Error::of(Code::Conflict).saying("A project with this slug exists.")
}

/// One of a tenant's projects.
pub fn show(engine: &Engine, caller: &Caller, tenant: TenantId, id: ProjectId) -> Result<Project> {
    let scope = caller.allow(Action::ReadProjects, Owner::Tenant(tenant))?;
    let found = engine.store.read(|tx| projects::find(&mut tx.tenant(&scope), id))?;
    found.ok_or_else(|| Error::of(Code::NotFound))
}

/// The tenant's project with this slug.
pub fn show_by_slug(engine: &Engine, caller: &Caller, tenant: TenantId, slug: &Slug) -> Result<Project> {
    let scope = caller.allow(Action::ReadProjects, Owner::Tenant(tenant))?;
    let found = engine.store.read(|tx| projects::find_by_slug(&mut tx.tenant(&scope), slug))?;
    found.ok_or_else(|| Error::of(Code::NotFound).saying(format!("There is no project {slug}.")))
}

/// A part of a tenant's projects.
pub fn list_part(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    listing: &Listing<kind::Project>,
) -> Result<Part<Project, kind::Project>> {
    let scope = caller.allow(Action::ReadProjects, Owner::Tenant(tenant))?;
    let rows = engine.store.read(|tx| projects::list_part(&mut tx.tenant(&scope), listing))?;
    Ok(listing.part(rows, |project| {
        Place::of(listing.order, project.id, project.created_at, project.name.as_str())
    }))
}

/// A page of a tenant's projects, the oldest first.
pub fn list(engine: &Engine, caller: &Caller, tenant: TenantId, page: PageAsked) -> Result<Paged<Project>> {
    let scope = caller.allow(Action::ReadProjects, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let items = projects::page(&mut rows, page.offset(), page.limit())?;
        Ok(Paged { items, total: projects::count(&mut rows)? })
    })?)
}

/// Changes a project.
pub fn change(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    id: ProjectId,
    change: ProjectChange,
) -> Result<Project> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ChangeProjects, owner)?;
    let now = engine.env.now();
    let event = engine.event(caller, owner, AuditAction::ProjectChanged, now).on(id);
    let changed = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        if !projects::update(&mut rows, id, &change, now)? {
            return Ok(None);
        }
        audit::insert(&mut rows, &event)?;
        projects::find(&mut rows, id)
    });
    match changed {
        Ok(project) => project.ok_or_else(|| Error::of(Code::NotFound)),
        Err(StoreError::Taken(UniqueKey::ProjectSlug)) => Err(slug_taken()),
        Err(other) => Err(other.into()),
    }
}

/// Deletes a project; the answer is what it was.
pub fn remove(engine: &Engine, caller: &Caller, tenant: TenantId, id: ProjectId) -> Result<Project> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ChangeProjects, owner)?;
    let event = engine.event(caller, owner, AuditAction::ProjectDeleted, engine.env.now()).on(id);
    let removed = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let found = projects::find(&mut rows, id)?;
        if found.is_none() || !projects::remove(&mut rows, id)? {
            return Ok(None);
        }
        audit::insert(&mut rows, &event)?;
        Ok(found)
    })?;
    removed.ok_or_else(|| Error::of(Code::NotFound))
}
