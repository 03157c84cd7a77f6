//! Projects of a tenant.

use std::sync::Arc;

use keystead_domain::Owner;
use keystead_domain::id::{ProjectId, TenantId};
use keystead_domain::policy::{Action, Denied};
use keystead_domain::revocation::Revocation;
use keystead_storage::projects;

use crate::{Caller, Engine, Result};

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
