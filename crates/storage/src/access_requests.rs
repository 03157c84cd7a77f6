//! Access requests. They belong to no tenant.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::access_request::{AccessRequest, KEPT, RejectionReason, RequestState, RequestStatus};
use keystead_domain::app::App;
use keystead_domain::id::{AccessRequestId, AppId, TenantId};
use keystead_domain::tenant::Tenant;

use crate::apps::AppRow;
use crate::row::Reading;
use crate::schema::{access_requests, apps, tenants};
use crate::tenants::TenantRow;
use crate::{PlatformTx, StoreError};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = access_requests)]
struct RequestRow {
    id: String,
    company: String,
    contact_email: String,
    intended_use: String,
    status: String,
    tenant_id: Option<String>,
    app_id: Option<String>,
    reason: Option<String>,
    created_at: i64,
    decided_at: Option<i64>,
    expires_at: Option<i64>,
}

impl TryFrom<RequestRow> for AccessRequest {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let read = Reading { table: "access_requests", row: &row.id };
        let decided_at = row.decided_at.map(Timestamp::from_micros);
        let state = match (read.parse("status", &row.status)?, decided_at) {
            (RequestStatus::Pending, _) => RequestState::Pending,
            (RequestStatus::Approved, Some(at)) => RequestState::Approved {
                tenant: read.parse("tenant_id", row.tenant_id.as_deref().unwrap_or_default())?,
                app: read.parse("app_id", row.app_id.as_deref().unwrap_or_default())?,
                at,
            },
            (RequestStatus::Rejected, Some(at)) => RequestState::Rejected {
                reason: read.parse("reason", row.reason.as_deref().unwrap_or_default())?,
                at,
            },
            (_, None) => return Err(read.impossible("decided_at")),
        };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            company: read.parse("company", &row.company)?,
            contact: read.parse("contact_email", &row.contact_email)?,
            intended_use: read.parse("intended_use", &row.intended_use)?,
            state,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

/// A request, and the tenant and the app that were made for it.
pub type RequestWithGrant = (AccessRequest, Option<(Tenant, App)>);

fn with_grant(
    (request, tenant, app): (RequestRow, Option<TenantRow>, Option<AppRow>),
) -> Result<RequestWithGrant, StoreError> {
    let grant = match (tenant, app) {
        (Some(tenant), Some(app)) => Some((tenant.try_into()?, app.try_into()?)),
        _ => None,
    };
    Ok((request.try_into()?, grant))
}

/// Requests beside the tenants and the apps that were made for them.
#[diesel::dsl::auto_type(no_type_alias)]
fn joined() -> _ {
    let its_tenant = access_requests::tenant_id.eq(tenants::id.nullable());
    let its_app = access_requests::tenant_id
        .eq(apps::owner.nullable())
        .and(access_requests::app_id.eq(apps::id.nullable()));
    access_requests::table.left_join(tenants::table.on(its_tenant)).left_join(apps::table.on(its_app))
}

/// Adds a request that is pending.
pub fn insert(tx: &mut PlatformTx<'_>, request: &AccessRequest) -> Result<(), StoreError> {
    let row = RequestRow {
        id: request.id.to_string(),
        company: request.company.to_string(),
        contact_email: request.contact.to_string(),
        intended_use: request.intended_use.to_string(),
        status: RequestStatus::Pending.as_str().to_owned(),
        tenant_id: None,
        app_id: None,
        reason: None,
        created_at: request.created_at.as_micros(),
        decided_at: None,
        expires_at: Some((request.created_at + KEPT).as_micros()),
    };
    execute!(tx, diesel::insert_into(access_requests::table).values(&row))?;
    Ok(())
}

/// The request with this id.
pub fn find(tx: &mut PlatformTx<'_>, id: AccessRequestId) -> Result<Option<RequestWithGrant>, StoreError> {
    let row = on!(tx, |conn| joined()
        .filter(access_requests::id.eq(id.to_string()))
        .select((RequestRow::as_select(), Option::<TenantRow>::as_select(), Option::<AppRow>::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(with_grant).transpose()
}

/// All requests, or those of one status, the oldest first.
pub fn list(
    tx: &mut PlatformTx<'_>,
    status: Option<RequestStatus>,
) -> Result<Vec<RequestWithGrant>, StoreError> {
    let wanted = match status {
        Some(status) => vec![status],
        None => vec![RequestStatus::Pending, RequestStatus::Approved, RequestStatus::Rejected],
    };
    let wanted: Vec<&str> = wanted.into_iter().map(RequestStatus::as_str).collect();
    let rows: Vec<(RequestRow, Option<TenantRow>, Option<AppRow>)> = on!(tx, |conn| joined()
        .filter(access_requests::status.eq_any(&wanted))
        .order(access_requests::id)
        .select((RequestRow::as_select(), Option::<TenantRow>::as_select(), Option::<AppRow>::as_select()))
        .load(conn))?;
    rows.into_iter().map(with_grant).collect()
}

/// Approves a request that is pending; true for one caller, and for nobody who would reject it.
pub fn approve(
    tx: &mut PlatformTx<'_>,
    id: AccessRequestId,
    tenant: TenantId,
    app: AppId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending = access_requests::status.eq(RequestStatus::Pending.as_str());
    let changed = execute!(
        tx,
        diesel::update(access_requests::table.find(id.to_string())).filter(pending).set((
            access_requests::status.eq(RequestStatus::Approved.as_str()),
            access_requests::tenant_id.eq(tenant.to_string()),
            access_requests::app_id.eq(app.to_string()),
            access_requests::decided_at.eq(now.as_micros()),
            access_requests::expires_at.eq(None::<i64>),
        ))
    )?;
    Ok(changed == 1)
}

/// Rejects a request that is pending; true for one caller, and for nobody who would approve it.
pub fn reject(
    tx: &mut PlatformTx<'_>,
    id: AccessRequestId,
    reason: &RejectionReason,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let pending = access_requests::status.eq(RequestStatus::Pending.as_str());
    let changed = execute!(
        tx,
        diesel::update(access_requests::table.find(id.to_string())).filter(pending).set((
            access_requests::status.eq(RequestStatus::Rejected.as_str()),
            access_requests::reason.eq(reason.as_str()),
            access_requests::decided_at.eq(now.as_micros()),
            access_requests::expires_at.eq((now + KEPT).as_micros()),
        ))
    )?;
    Ok(changed == 1)
}

/// Removes at most `limit` requests that were kept long enough; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let expired = access_requests::expires_at.le(now.as_micros());
    let ids: Vec<String> = on!(tx, |conn| access_requests::table
        .filter(expired)
        .select(access_requests::id)
        .limit(limit)
        .load(conn))?;
    // One can have been approved since it was listed.
    on!(tx, |conn| diesel::delete(access_requests::table)
        .filter(access_requests::id.eq_any(&ids))
        .filter(expired)
        .execute(conn))?;
    Ok(ids.len())
}
