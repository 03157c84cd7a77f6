//! Tenants.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::id::TenantId;
use keystead_domain::name::Name;
use keystead_domain::revocation::Revocation;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::{Demands, PlanName, Tenant, TenantStatus};

use crate::row::Reading;
use crate::schema::{apps, counters, jobs, outbox, registrations, slowdowns, tenants, users};
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = tenants)]
pub(crate) struct TenantRow {
    id: String,
    slug: String,
    name: String,
    plan: String,
    status: String,
    entity_hotkey: Option<String>,
    created_at: i64,
    mfa_required: bool,
    pinned_keys_only: bool,
}

impl From<&Tenant> for TenantRow {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            slug: tenant.slug.to_string(),
            name: tenant.name.to_string(),
            plan: tenant.plan.to_string(),
            status: tenant.status.as_str().to_owned(),
            entity_hotkey: tenant.entity_hotkey.as_ref().map(|identity| identity.as_str().to_owned()),
            created_at: tenant.created_at.as_micros(),
            mfa_required: tenant.demands.second_factor,
            pinned_keys_only: tenant.demands.pinned_keys,
        }
    }
}

impl TryFrom<TenantRow> for Tenant {
    type Error = StoreError;

    fn try_from(row: TenantRow) -> Result<Self, StoreError> {
        let read = Reading { table: "tenants", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            slug: read.parse("slug", &row.slug)?,
            name: read.parse("name", &row.name)?,
            plan: read.parse("plan", &row.plan)?,
            status: read.parse("status", &row.status)?,
            entity_hotkey: read.parse_some("entity_hotkey", row.entity_hotkey.as_deref())?,
            demands: Demands { second_factor: row.mfa_required, pinned_keys: row.pinned_keys_only },
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

/// Adds a tenant. Its slug may be [taken](crate::UniqueKey::TenantSlug).
pub fn insert(tx: &mut PlatformTx<'_>, tenant: &Tenant) -> Result<(), StoreError> {
    let row = TenantRow::from(tenant);
    execute!(tx, diesel::insert_into(tenants::table).values(&row))?;
    Ok(())
}

/// The tenant with this slug.
pub fn find_by_slug(tx: &mut PlatformTx<'_>, slug: &Slug) -> Result<Option<Tenant>, StoreError> {
    let row: Option<TenantRow> = on!(tx, |conn| TenantRow::query()
        .filter(tenants::slug.eq(slug.as_str()))
        .get_result(conn)
        .optional())?;
    row.map(Tenant::try_from).transpose()
}

/// The tenants with these slugs, some hundred at most.
pub fn find_all_by_slug(tx: &mut PlatformTx<'_>, slugs: &[Slug]) -> Result<Vec<Tenant>, StoreError> {
    let slugs: Vec<_> = slugs.iter().map(Slug::as_str).collect();
    let rows: Vec<TenantRow> =
        on!(tx, |conn| TenantRow::query().filter(tenants::slug.eq_any(&slugs)).load(conn))?;
    rows.into_iter().map(Tenant::try_from).collect()
}

/// The tenant with this id.
pub fn find(tx: &mut PlatformTx<'_>, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row: Option<TenantRow> =
        on!(tx, |conn| TenantRow::query().find(id.to_string()).get_result(conn).optional())?;
    row.map(Tenant::try_from).transpose()
}

/// Puts a tenant on another plan; whether that changed it.
pub fn set_plan(tx: &mut PlatformTx<'_>, id: TenantId, plan: &PlanName) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        diesel::update(tenants::table.find(id.to_string()))
            .filter(tenants::plan.ne(plan.as_str()))
            .set(tenants::plan.eq(plan.as_str()))
    )?;
    tx.revoke(Revocation::Tenant(id));
    Ok(changed == 1)
}

/// Suspends or resumes a tenant; whether that changed it.
pub fn set_status(tx: &mut PlatformTx<'_>, id: TenantId, status: TenantStatus) -> Result<bool, StoreError> {
    let changed = execute!(
        tx,
        diesel::update(tenants::table.find(id.to_string()))
            .filter(tenants::status.ne(status.as_str()))
            .set(tenants::status.eq(status.as_str()))
    )?;
    tx.revoke(Revocation::Tenant(id));
    Ok(changed == 1)
}

/// The tenant whose rows these are.
pub fn find_own(tx: &mut TenantTx<'_>) -> Result<Option<Tenant>, StoreError> {
    let key = tx.key();
    let row: Option<TenantRow> = on!(tx, |conn| TenantRow::query().find(key).get_result(conn).optional())?;
    row.map(Tenant::try_from).transpose()
}

/// Renames the tenant whose rows these are; whether that changed it. Its slug stays.
pub fn rename(tx: &mut TenantTx<'_>, name: &Name) -> Result<bool, StoreError> {
    let key = tx.key();
    let changed = on!(tx, |conn| diesel::update(tenants::table.find(key))
        .filter(tenants::name.ne(name.as_str()))
        .set(tenants::name.eq(name.as_str()))
        .execute(conn))?;
    revoke_own(tx);
    Ok(changed == 1)
}

/// Changes what the tenant whose rows these are demands of its members; whether that changed it.
pub fn set_demands(tx: &mut TenantTx<'_>, demands: Demands) -> Result<bool, StoreError> {
    let key = tx.key();
    let differs =
        tenants::mfa_required.ne(demands.second_factor).or(tenants::pinned_keys_only.ne(demands.pinned_keys));
    let changed = on!(tx, |conn| diesel::update(tenants::table.find(key))
        .filter(differs)
        .set((
            tenants::mfa_required.eq(demands.second_factor),
            tenants::pinned_keys_only.eq(demands.pinned_keys),
        ))
        .execute(conn))?;
    revoke_own(tx);
    Ok(changed == 1)
}

fn revoke_own(tx: &mut TenantTx<'_>) {
    if let Some(id) = tx.owner().tenant() {
        tx.revoke(Revocation::Tenant(id));
    }
}

/// All tenants, the oldest first.
pub fn list(tx: &mut PlatformTx<'_>) -> Result<Vec<Tenant>, StoreError> {
    let rows: Vec<TenantRow> = on!(tx, |conn| TenantRow::query().order(tenants::id).load(conn))?;
    rows.into_iter().map(Tenant::try_from).collect()
}

/// Removes the tenant with all that is its own: members, projects and keys, apps, its directory and what is
/// counted and waits for that. Its audit trail stays.
pub fn remove(tx: &mut TenantTx<'_>, id: TenantId) -> Result<(), StoreError> {
    let key = tx.key();
    on!(tx, |conn| diesel::delete(users::table.filter(users::directory.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(registrations::table.filter(registrations::directory.eq(&key)))
        .execute(conn))?;
    on!(tx, |conn| diesel::delete(counters::table.filter(counters::directory.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(slowdowns::table.filter(slowdowns::directory.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(outbox::table.filter(outbox::directory.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(jobs::table.filter(jobs::directory.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(apps::table.filter(apps::owner.eq(&key))).execute(conn))?;
    on!(tx, |conn| diesel::delete(tenants::table.find(&key)).execute(conn))?;
    tx.revoke(Revocation::Tenant(id));
    Ok(())
}
