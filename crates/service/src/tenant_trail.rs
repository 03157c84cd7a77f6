//! The audit trail of one tenant, for those who run the tenant. The whole trail, with its seals, is the
//! deployment's: see [`audit_trail`](crate::audit_trail).

use keystead_domain::Owner;
use keystead_domain::audit::record::StoredEvent;
use keystead_domain::id::TenantId;
use keystead_domain::policy::Action;
use keystead_storage::audit;

use crate::paging::{PageAsked, Paged};
use crate::{Caller, Engine, Result};

pub use keystead_storage::audit::{Filter, Period};

/// The tenant's events that the filter lets through, the newest first.
pub fn list(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    filter: &Filter,
    page: PageAsked,
) -> Result<Paged<StoredEvent>> {
    let scope = caller.allow(Action::ReadTenantAudit, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let items = audit::page(&mut rows, filter, page.offset(), page.limit())?;
        Ok(Paged { items, total: audit::count_filtered(&mut rows, filter)? })
    })?)
}

/// How many events an export reads at once.
const PAGE: i64 = 500;

/// The next part of an export, the oldest events first: those after the event with the id `after`, all where
/// that is empty. An empty part is the end. The trail only grows at its end, so that parts fit together.
pub fn export(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    filter: &Filter,
    after: &str,
) -> Result<Vec<StoredEvent>> {
    let scope = caller.allow(Action::ReadTenantAudit, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| audit::list_filtered(&mut tx.tenant(&scope), filter, after, PAGE))?)
}
