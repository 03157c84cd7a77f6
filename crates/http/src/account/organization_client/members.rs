//! Members, and what one is oneself.

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::Email;
use keystead_domain::id::MembershipId;
use keystead_domain::membership::Membership;
use keystead_domain::policy::Standing;
use keystead_domain::role::Role;
use keystead_domain::user::User;
use keystead_service::members::{self, Found, Member};
use keystead_service::{Engine, Error, organizations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{OneRole, asked, meant};
use crate::account::call::SessionCall;
use crate::account::query;
use crate::account::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// A member, as that client has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientMember {
    id: String,
    organization_id: String,
    user_id: String,
    role: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<ClientMemberUser>,
}

/// Who a member is.
#[derive(Serialize, ToSchema)]
struct ClientMemberUser {
    id: String,
    name: String,
    email: String,
}

impl From<&Membership> for ClientMember {
    fn from(membership: &Membership) -> Self {
        Self {
            id: membership.id.to_ulid(),
            organization_id: membership.tenant.to_ulid(),
            user_id: membership.user.to_ulid(),
            role: membership.role.as_str(),
            created_at: instant(membership.created_at),
            user: None,
        }
    }
}

impl ClientMember {
    pub(super) fn with(membership: &Membership, user: &User) -> Self {
        let user = ClientMemberUser {
            id: user.id.to_ulid(),
            name: user.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            email: user.email.to_string(),
        };
        Self { user: Some(user), ..membership.into() }
    }
}

impl From<&Member> for ClientMember {
    fn from(member: &Member) -> Self {
        Self::with(&member.membership, &member.user)
    }
}

impl From<&Found> for ClientMember {
    fn from((membership, user): &Found) -> Self {
        Self::with(membership, user)
    }
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/get-active-member",
    tag = "Organizations, better-auth",
    summary = "What one is in the organization that the session works in",
    responses(
        (status = 200, description = "The membership", body = ClientMember)
    ),
    security(("cookie" = []))
)]
async fn active_member(call: SessionCall) -> Result<Json<ClientMember>, Envelope> {
    let SessionCall { caller, engine, signed_in, .. } = call;
    let tenant = meant(&caller, None)?;
    let own = run(&engine, move |engine| members::own(engine, &caller, tenant)).await?;
    Ok(Json(ClientMember::with(&own, signed_in.user())))
}

/// A role.
#[derive(Serialize, ToSchema)]
struct ClientRole {
    role: &'static str,
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/get-active-member-role",
    tag = "Organizations, better-auth",
    summary = "One's role in an organization",
    params(("organizationId" = Option<String>, Query, description = "Its id")),
    responses(
        (status = 200, description = "The role", body = ClientRole)
    ),
    security(("cookie" = []))
)]
async fn active_role(request: HttpRequest, call: SessionCall) -> Result<Json<ClientRole>, Envelope> {
    let standing: &Standing = organizations::show(&call.caller, asked(&request, &call.caller)?)?;
    Ok(Json(ClientRole { role: standing.role.as_str() }))
}

/// Members, and how many there are.
#[derive(Serialize, ToSchema)]
struct ClientMembers {
    members: Vec<ClientMember>,
    total: i64,
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/list-members",
    tag = "Organizations, better-auth",
    summary = "The members of an organization, those of longest standing first",
    params(
        ("organizationId" = Option<String>, Query, description = "Its id"),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1)
    ),
    responses(
        (status = 200, description = "A page of them", body = ClientMembers)
    ),
    security(("cookie" = []))
)]
async fn list_members(request: HttpRequest, call: SessionCall) -> Result<Json<ClientMembers>, Envelope> {
    let SessionCall { caller, engine, .. } = call;
    let (tenant, page) = (asked(&request, &caller)?, query::page(&request)?);
    let found = run(&engine, move |engine| members::list(engine, &caller, tenant, page)).await?;
    let members = found.items.iter().map(ClientMember::from).collect();
    Ok(Json(ClientMembers { members, total: found.total }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientRoleBody {
    #[schema(value_type = String, required)]
    member_id: Option<String>,
    /// `owner`, `admin`, `manager` or `member`; none above one's own.
    #[schema(value_type = String, required)]
    role: Option<OneRole>,
    organization_id: Option<String>,
}

struct ClientRoleChange {
    member: MembershipId,
    role: Role,
    organization: Option<String>,
}

impl JsonBody for ClientRoleBody {
    type Command = ClientRoleChange;

    fn parse(self) -> Result<ClientRoleChange, Error> {
        let mut fields = Fields::default();
        let member = fields.required("memberId", self.member_id.as_deref());
        let role = fields.required("role", self.role.as_ref().map(OneRole::as_str));
        let (member, role) = fields.finish((member, role))?;
        Ok(ClientRoleChange { member, role, organization: self.organization_id })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/update-member-role",
    tag = "Organizations, better-auth",
    summary = "Give a member another role, none above one's own",
    request_body = ClientRoleBody,
    responses(
        (status = 200, description = "The member as it is now", body = ClientMember),
        (status = 404, description = "There is no such member", body = crate::error::EnvelopeBody),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn update_role(call: SessionCall<ClientRoleBody>) -> Result<Json<ClientMember>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = meant(&caller, body.organization.as_deref())?;
    let changed =
        run(&engine, move |engine| members::change_role(engine, &caller, tenant, body.member, body.role));
    Ok(Json((&changed.await?).into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MemberNameBody {
    #[schema(value_type = String, required)]
    member_id_or_email: Option<String>,
    organization_id: Option<String>,
}

/// How a member is named.
enum MemberName {
    Id(MembershipId),
    Email(Email),
}

struct ClientRemoval {
    member: MemberName,
    organization: Option<String>,
}

impl JsonBody for MemberNameBody {
    type Command = ClientRemoval;

    fn parse(self) -> Result<ClientRemoval, Error> {
        let mut fields = Fields::default();
        let text = self.member_id_or_email.as_deref();
        let member = if text.is_some_and(|text| text.contains('@')) {
            fields.required("memberIdOrEmail", text).map(MemberName::Email)
        } else {
            fields.required("memberIdOrEmail", text).map(MemberName::Id)
        };
        let member = fields.finish(member)?;
        Ok(ClientRemoval { member, organization: self.organization_id })
    }
}

/// The member that was removed.
#[derive(Serialize, ToSchema)]
struct RemovedMember {
    member: ClientMember,
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/remove-member",
    tag = "Organizations, better-auth",
    summary = "Remove a member of no higher role than one's own",
    request_body = MemberNameBody,
    responses(
        (status = 200, description = "The member that was removed", body = RemovedMember),
        (status = 404, description = "There is no such member", body = crate::error::EnvelopeBody),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn remove_member(call: SessionCall<MemberNameBody>) -> Result<Json<RemovedMember>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = meant(&caller, body.organization.as_deref())?;
    let removed = run(&engine, move |engine: &Engine| {
        let member = match body.member {
            MemberName::Id(id) => id,
            MemberName::Email(email) => members::show_by_email(engine, &caller, tenant, &email)?.0.id,
        };
        members::remove(engine, &caller, tenant, member)
    });
    Ok(Json(RemovedMember { member: (&removed.await?).into() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrganizationIdBody {
    #[schema(value_type = String, required)]
    organization_id: Option<String>,
}

impl JsonBody for OrganizationIdBody {
    type Command = String;

    fn parse(self) -> Result<String, Error> {
        let mut fields = Fields::default();
        let id: Option<String> = fields.required("organizationId", self.organization_id.as_deref());
        fields.finish(id)
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/leave",
    tag = "Organizations, better-auth",
    summary = "Leave an organization; the API keys that are pinned to it end",
    request_body = OrganizationIdBody,
    responses(
        (status = 200, description = "The membership that ended", body = ClientMember),
        (status = 409, description = "Nobody else owns the organization", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn leave(call: SessionCall<OrganizationIdBody>) -> Result<Json<ClientMember>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = meant(&caller, Some(&body))?;
    let left = run(&engine, move |engine| members::leave(engine, &caller, tenant)).await?;
    Ok(Json((&left).into()))
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_active_member>(web::to(active_member)),
        endpoint::<__path_active_role>(web::to(active_role)),
        endpoint::<__path_list_members>(web::to(list_members)),
        endpoint::<__path_update_role>(web::to(update_role)),
        endpoint::<__path_remove_member>(web::to(remove_member)),
        endpoint::<__path_leave>(web::to(leave)),
    ]
}
