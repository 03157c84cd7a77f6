//! `/api/user/organizations`: the organizations of the person that calls.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::name::Name;
use keystead_domain::policy::Standing;
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::Tenant;
use keystead_service::organizations::{self, Founded, NewOrganization};
use keystead_service::{Error, members};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{PersonCall, SessionCall};
use super::members::MembershipView;
use super::query;
use super::views::{Answer, instant};
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// An organization, and what the person that calls is in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrganizationView {
    id: String,
    name: String,
    slug: String,
    plan: String,
    /// `active` or `suspended`.
    status: &'static str,
    /// `owner`, `admin`, `manager` or `member`.
    role: &'static str,
    /// Whether it refuses members without a second factor.
    mfa_required: bool,
    /// Whether it refuses API keys that are not pinned to it.
    pinned_keys_only: bool,
    created_at: String,
}

impl OrganizationView {
    fn new(tenant: &Tenant, role: Role) -> Self {
        Self {
            id: tenant.id.to_ulid(),
            name: tenant.name.to_string(),
            slug: tenant.slug.to_string(),
            plan: tenant.plan.to_string(),
            status: tenant.status.as_str(),
            role: role.as_str(),
            mfa_required: tenant.demands.second_factor,
            pinned_keys_only: tenant.demands.pinned_keys,
            created_at: instant(tenant.created_at),
        }
    }
}

impl From<&Standing> for OrganizationView {
    fn from(standing: &Standing) -> Self {
        Self::new(&standing.tenant, standing.role)
    }
}

impl From<&Founded> for OrganizationView {
    fn from(founded: &Founded) -> Self {
        Self::new(&founded.tenant, founded.membership.role)
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations",
    tag = "Organizations",
    summary = "The organizations that one is a member of",
    params(
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of them", body = Answer<Vec<OrganizationView>>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn list(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let page = query::page(&request)?;
    let all: Vec<&Standing> = call.caller.as_person()?.visible().collect();
    let before = (page.number as usize - 1).saturating_mul(page.size as usize);
    let shown = all.iter().skip(before).take(page.size as usize);
    let views: Vec<_> = shown.map(|standing| OrganizationView::from(*standing)).collect();
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    Ok(Answer::ok("Organizations fetched successfully", views).paged(page, total).response())
}

#[derive(Deserialize, ToSchema)]
struct NewOrganizationBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Made of the name where it is missing.
    #[schema(min_length = 2, max_length = 77, pattern = "^[a-z0-9](-?[a-z0-9]){1,38}$")]
    slug: Option<String>,
}

impl JsonBody for NewOrganizationBody {
    type Command = NewOrganization;

    fn parse(self) -> Result<NewOrganization, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", self.name.as_deref());
        let slug: Option<Slug> = fields.optional("slug", self.slug.as_deref());
        let name = fields.finish(name)?;
        Ok(NewOrganization { name, slug })
    }
}

#[utoipa::path(
    post,
    path = "/api/user/organizations",
    tag = "Organizations",
    summary = "Make an organization that one owns",
    request_body = NewOrganizationBody,
    responses(
        (status = 201, description = "The organization", body = Answer<OrganizationView>),
        (status = 409, description = "An organization with this slug exists", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn create(call: SessionCall<NewOrganizationBody>) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let founded = run(&engine, move |engine| organizations::create(engine, &caller, body)).await?;
    Ok(Answer::created("Organization created successfully", OrganizationView::from(&founded)).response())
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}",
    tag = "Organizations",
    summary = "One of one's organizations",
    params(("organizationId" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The organization", body = Answer<OrganizationView>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn show(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let standing = organizations::show(&call.caller, path::organization(&request)?)?;
    Ok(Answer::ok("Organization fetched successfully", OrganizationView::from(standing)).response())
}

#[derive(Deserialize, ToSchema)]
struct OrganizationBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

impl JsonBody for OrganizationBody {
    type Command = Name;

    fn parse(self) -> Result<Name, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", self.name.as_deref());
        fields.finish(name)
    }
}

#[utoipa::path(
    put,
    path = "/api/user/organizations/{organizationId}",
    tag = "Organizations",
    summary = "Rename an organization; its slug stays",
    params(("organizationId" = String, Path, description = "Its id")),
    request_body = OrganizationBody,
    responses(
        (status = 200, description = "The organization as it is now", body = Answer<OrganizationView>)
    ),
    security(("cookie" = []))
)]
async fn change(request: HttpRequest, call: SessionCall<OrganizationBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, body, engine, .. }) = (path::organization(&request)?, call);
    let role = organizations::show(&caller, tenant)?.role;
    let tenant = run(&engine, move |engine| organizations::rename(engine, &caller, tenant, body)).await?;
    let view = OrganizationView::new(&tenant, role);
    Ok(Answer::ok("Organization updated successfully", view).response())
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/my-membership",
    tag = "Organizations",
    summary = "What one is in an organization",
    params(("organizationId" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The membership", body = Answer<MembershipView>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn my_membership(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, PersonCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let own = run(&engine, move |engine| members::own(engine, &caller, tenant)).await?;
    Ok(Answer::ok("Membership fetched successfully", MembershipView::from(&own)).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/organizations/{organizationId}/my-membership",
    tag = "Organizations",
    summary = "Leave an organization; the API keys that are pinned to it end",
    params(("organizationId" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The membership that ended", body = Answer<MembershipView>),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn leave(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let left = run(&engine, move |engine| members::leave(engine, &caller, tenant)).await?;
    Ok(Answer::ok("Organization left successfully", MembershipView::from(&left)).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_show>(web::to(show)),
        endpoint::<__path_change>(web::to(change)),
        endpoint::<__path_my_membership>(web::to(my_membership)),
        endpoint::<__path_leave>(web::to(leave)),
    ]
}
