//! Projects of a tenant.

use diesel::prelude::*;
use keystead_domain::id::ProjectId;

use crate::row::Reading;
use crate::schema::projects;
use crate::{StoreError, TenantTx};

/// The ids of the tenant's projects, the oldest first.
pub fn list_ids(tx: &mut TenantTx<'_>) -> Result<Vec<ProjectId>, StoreError> {
    let tenant = projects::tenant_id.eq(tx.key());
    let ids: Vec<String> =
        on!(tx, |conn| projects::table.filter(tenant).order(projects::id).select(projects::id).load(conn))?;
    ids.iter().map(|id| Reading { table: "projects", row: id }.parse("id", id)).collect()
}
