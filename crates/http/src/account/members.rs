//! `/api/user/organizations/{organizationId}/members`.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::membership::Membership;
use keystead_domain::role::Role;
use keystead_domain::user::User;
use keystead_service::Error;
use keystead_service::members::{self, Member};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{PersonCall, SessionCall};
use super::query;
use super::views::{Answer, instant};
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// A membership by itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MembershipView {
    id: String,
    organization_id: String,
    user_id: String,
    /// `owner`, `admin`, `manager` or `member`.
    role: &'static str,
    joined_at: String,
}

impl From<&Membership> for MembershipView {
    fn from(membership: &Membership) -> Self {
        Self {
            id: membership.id.to_ulid(),
            organization_id: membership.tenant.to_ulid(),
            user_id: membership.user.to_ulid(),
            role: membership.role.as_str(),
            joined_at: instant(membership.created_at),
        }
    }
}

/// A member of an organization.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberView {
    id: String,
    user_id: String,
    email: String,
    name: String,
    /// `owner`, `admin`, `manager` or `member`.
    role: &'static str,
    joined_at: String,
    /// For sessions of admins and owners only.
    #[serde(skip_serializing_if = "Option::is_none")]
    two_factor_enabled: Option<bool>,
}

impl MemberView {
    pub(crate) fn new(membership: &Membership, user: &User, two_factor_enabled: Option<bool>) -> Self {
        Self {
            id: membership.id.to_ulid(),
            user_id: membership.user.to_ulid(),
            email: user.email.to_string(),
            name: user.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            role: membership.role.as_str(),
            joined_at: instant(membership.created_at),
            two_factor_enabled,
        }
    }

    pub(crate) fn of(member: &Member, shows_second_factor: bool) -> Self {
        let second_factor = shows_second_factor.then_some(member.second_factor);
        Self::new(&member.membership, &member.user, second_factor)
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/members",
    tag = "Organizations",
    summary = "The members of an organization, those of longest standing first",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of them", body = Answer<Vec<MemberView>>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn list(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, PersonCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let page = query::page(&request)?;
    let shows = members::sees_second_factors(&caller, tenant);
    let found = run(&engine, move |engine| members::list(engine, &caller, tenant, page)).await?;
    let views: Vec<_> = found.items.iter().map(|member| MemberView::of(member, shows)).collect();
    Ok(Answer::ok("Members fetched successfully", views).paged(page, found.total).response())
}

#[derive(Deserialize, ToSchema)]
struct RoleBody {
    /// `owner`, `admin`, `manager` or `member`.
    #[schema(value_type = String, required)]
    role: Option<String>,
}

impl JsonBody for RoleBody {
    type Command = Role;

    fn parse(self) -> Result<Role, Error> {
        let mut fields = Fields::default();
        let role = fields.required("role", self.role.as_deref());
        fields.finish(role)
    }
}

#[utoipa::path(
    put,
    path = "/api/user/organizations/{organizationId}/members/{memberId}/role",
    tag = "Organizations",
    summary = "Give a member another role, none above one's own",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("memberId" = String, Path, description = "The member's id")
    ),
    request_body = RoleBody,
    responses(
        (status = 200, description = "The member as it is now", body = Answer<MemberView>),
        (status = 404, description = "There is no such member", body = crate::error::EnvelopeBody),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn change_role(request: HttpRequest, call: SessionCall<RoleBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, member) = (path::organization(&request)?, path::record(&request, "memberId")?);
    let SessionCall { caller, body, engine, .. } = call;
    let (membership, user) =
        run(&engine, move |engine| members::change_role(engine, &caller, tenant, member, body)).await?;
    let view = MemberView::new(&membership, &user, None);
    Ok(Answer::ok("Member updated successfully", view).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/organizations/{organizationId}/members/{memberId}",
    tag = "Organizations",
    summary = "Remove a member of no higher role than one's own; the API keys that it pinned to the organization end",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("memberId" = String, Path, description = "The member's id")
    ),
    responses(
        (status = 200, description = "The member that was removed", body = Answer<MemberView>),
        (status = 404, description = "There is no such member", body = crate::error::EnvelopeBody),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn remove(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, member) = (path::organization(&request)?, path::record(&request, "memberId")?);
    let SessionCall { caller, engine, .. } = call;
    let (membership, user) =
        run(&engine, move |engine| members::remove(engine, &caller, tenant, member)).await?;
    let view = MemberView::new(&membership, &user, None);
    Ok(Answer::ok("Member removed successfully", view).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_change_role>(web::to(change_role)),
        endpoint::<__path_remove>(web::to(remove)),
    ]
}
