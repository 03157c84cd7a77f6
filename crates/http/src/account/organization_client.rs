//! `/api/auth/organization/*`: the same organizations, as npm `better-auth/client` calls them.
//!
//! Where no organization is named, the one is meant that the session works in, which `set-active` says.

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::Timestamp;
use keystead_domain::id::{InviteId, MembershipId, TenantId};
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, Denied, PersonCredential, Standing};
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner};
use keystead_service::invites::{self, Named, NewInvite};
use keystead_service::members::{self, Found, Member};
use keystead_service::organizations::{self, NewOrganization};
use keystead_service::paging::PageAsked;
use keystead_service::{Caller, Code, Engine, Error};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::call::SessionCall;
use super::query::Query;
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// How many members and invitations an answer has at most.
const MOST: PageAsked = PageAsked { number: 1, size: 100 };

/// An organization, as that client has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientOrganization {
    id: String,
    name: String,
    slug: String,
    created_at: String,
}

impl From<&Tenant> for ClientOrganization {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_ulid(),
            name: tenant.name.to_string(),
            slug: tenant.slug.to_string(),
            created_at: instant(tenant.created_at),
        }
    }
}

/// A member, as that client has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientMember {
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
    fn with(membership: &Membership, user: &User) -> Self {
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

/// An invitation, as that client has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientInvitation {
    id: String,
    email: String,
    role: &'static str,
    /// `pending`, `accepted` or `canceled`.
    status: &'static str,
    organization_id: String,
    #[schema(nullable, required)]
    inviter_id: Option<String>,
    expires_at: String,
    created_at: String,
}

impl From<&Invite> for ClientInvitation {
    fn from(invite: &Invite) -> Self {
        Self {
            id: invite.id.to_string(),
            email: invite.email.to_string(),
            role: invite.role.as_str(),
            // As that client spells it.
            status: match invite.status {
                InviteStatus::Cancelled => "canceled",
                status => status.as_str(),
            },
            organization_id: invite.tenant.to_ulid(),
            inviter_id: invite.inviter.map(|inviter| inviter.to_ulid()),
            expires_at: instant(invite.expires_at),
            created_at: instant(invite.created_at),
        }
    }
}

/// An organization with what belongs to it.
#[derive(Serialize, ToSchema)]
struct ClientFullOrganization {
    #[serde(flatten)]
    organization: ClientOrganization,
    members: Vec<ClientMember>,
    /// Those that wait; for admins and owners.
    invitations: Vec<ClientInvitation>,
}

/// An organization that was just made.
#[derive(Serialize, ToSchema)]
struct ClientNewOrganization {
    #[serde(flatten)]
    organization: ClientOrganization,
    members: Vec<ClientMember>,
}

/// The organization that a session works in.
fn active(caller: &Caller) -> Result<Option<TenantId>, Denied> {
    Ok(match caller.as_person()?.credential {
        PersonCredential::Session { active, .. } => active,
        PersonCredential::Key(_) => None,
    })
}

/// The organization that is named, by its id or its slug; nothing where none is.
fn named(caller: &Caller, id: Option<&str>, slug: Option<&str>) -> Result<Option<TenantId>, Denied> {
    if let Some(id) = id {
        return id.parse().map(Some).map_err(|_| Denied::NotAMember);
    }
    let Some(slug) = slug else { return Ok(None) };
    let standings = &caller.as_person()?.standings;
    let found = standings.iter().find(|standing| standing.tenant.slug.as_str() == slug);
    found.map(|standing| Some(standing.tenant.id)).ok_or(Denied::NotAMember)
}

/// The organization that is named, or that the session works in.
fn meant(caller: &Caller, id: Option<&str>) -> Result<TenantId, Envelope> {
    let none = || {
        Error::of(Code::TenantNotNamed)
            .saying("Say which organization is meant, in organizationId, or set one active first.")
    };
    match named(caller, id, None)? {
        Some(tenant) => Ok(tenant),
        None => Ok(active(caller)?.ok_or_else(none)?),
    }
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/list",
    tag = "Organizations, better-auth",
    summary = "The organizations that one is a member of",
    responses(
        (status = 200, description = "All of them", body = Vec<ClientOrganization>)
    ),
    security(("cookie" = []))
)]
async fn list(call: SessionCall) -> Result<Json<Vec<ClientOrganization>>, Envelope> {
    let standings = call.caller.as_person()?.visible();
    Ok(Json(standings.map(|standing| ClientOrganization::from(&standing.tenant)).collect()))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientNewOrganizationBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Made of the name where it is missing.
    slug: Option<String>,
    /// Whether the session goes on working in the organization that it works in.
    keep_current_active_organization: Option<bool>,
}

struct ClientNew {
    organization: NewOrganization,
    keeps_active: bool,
}

impl JsonBody for ClientNewOrganizationBody {
    type Command = ClientNew;

    fn parse(self) -> Result<ClientNew, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", self.name.as_deref());
        let slug: Option<Slug> = fields.optional("slug", self.slug.as_deref());
        let name = fields.finish(name)?;
        let keeps_active = self.keep_current_active_organization == Some(true);
        Ok(ClientNew { organization: NewOrganization { name, slug }, keeps_active })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/create",
    tag = "Organizations, better-auth",
    summary = "Make an organization that one owns, and work in it",
    request_body = ClientNewOrganizationBody,
    responses(
        (status = 200, description = "The organization", body = ClientNewOrganization),
        (status = 409, description = "An organization with this slug exists", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn create(
    call: SessionCall<ClientNewOrganizationBody>,
) -> Result<Json<ClientNewOrganization>, Envelope> {
    let SessionCall { caller, body, engine, signed_in } = call;
    let founded = run(&engine, move |engine| {
        let founded = organizations::create(engine, &caller, body.organization)?;
        if !body.keeps_active {
            organizations::work_in(engine, &caller, &founded)?;
        }
        Ok(founded)
    });
    let founded = founded.await?;
    Ok(Json(ClientNewOrganization {
        organization: (&founded.tenant).into(),
        members: vec![ClientMember::with(&founded.membership, signed_in.user())],
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientOrganizationBody {
    #[schema(required, value_type = ClientOrganizationData)]
    data: Option<ClientOrganizationData>,
    organization_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct ClientOrganizationData {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

struct ClientRename {
    name: Name,
    organization: Option<String>,
}

impl JsonBody for ClientOrganizationBody {
    type Command = ClientRename;

    fn parse(self) -> Result<ClientRename, Error> {
        let mut fields = Fields::default();
        let name = fields.required("data.name", self.data.as_ref().and_then(|data| data.name.as_deref()));
        let name = fields.finish(name)?;
        Ok(ClientRename { name, organization: self.organization_id })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/update",
    tag = "Organizations, better-auth",
    summary = "Rename an organization; its slug stays",
    request_body = ClientOrganizationBody,
    responses(
        (status = 200, description = "The organization as it is now", body = ClientOrganization)
    ),
    security(("cookie" = []))
)]
async fn update(call: SessionCall<ClientOrganizationBody>) -> Result<Json<ClientOrganization>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = meant(&caller, body.organization.as_deref())?;
    let renamed = run(&engine, move |engine| organizations::rename(engine, &caller, tenant, body.name));
    Ok(Json((&renamed.await?).into()))
}

/// A member that may be missing, and may be `null`, which is not the same.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActiveOrganizationBody {
    /// `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    organization_id: Option<Option<String>>,
    organization_slug: Option<String>,
}

/// Which organization a session is to work in.
enum ToWorkIn {
    None,
    Id(String),
    Slug(String),
    Unchanged,
}

impl JsonBody for ActiveOrganizationBody {
    type Command = ToWorkIn;

    fn parse(self) -> Result<ToWorkIn, Error> {
        Ok(match (self.organization_id, self.organization_slug) {
            (Some(None), _) => ToWorkIn::None,
            (Some(Some(id)), _) => ToWorkIn::Id(id),
            (None, Some(slug)) => ToWorkIn::Slug(slug),
            (None, None) => ToWorkIn::Unchanged,
        })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/set-active",
    tag = "Organizations, better-auth",
    summary = "Say which organization the session works in; it opens nothing",
    request_body = ActiveOrganizationBody,
    responses(
        (status = 200, description = "The organization, or `null` for none", body = Option<ClientOrganization>)
    ),
    security(("cookie" = []))
)]
async fn set_active(
    call: SessionCall<ActiveOrganizationBody>,
) -> Result<Json<Option<ClientOrganization>>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = match &body {
        ToWorkIn::None => None,
        ToWorkIn::Id(id) => named(&caller, Some(id), None)?,
        ToWorkIn::Slug(slug) => named(&caller, None, Some(slug))?,
        ToWorkIn::Unchanged => active(&caller)?,
    };
    let organization =
        tenant.map(|tenant| organizations::show(&caller, tenant).map(|standing| (&standing.tenant).into()));
    let organization = organization.transpose()?;
    run(&engine, move |engine| organizations::set_active(engine, &caller, tenant)).await?;
    Ok(Json(organization))
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/get-full-organization",
    tag = "Organizations, better-auth",
    summary = "An organization with its members and, for admins and owners, the invitations that wait",
    params(
        ("organizationId" = Option<String>, Query, description = "Its id"),
        ("organizationSlug" = Option<String>, Query, description = "Its slug")
    ),
    responses(
        (status = 200, description = "The organization, at most 100 members and invitations; `null` where none is named and the session works in none", body = Option<ClientFullOrganization>)
    ),
    security(("cookie" = []))
)]
async fn get_full(
    request: HttpRequest,
    call: SessionCall,
) -> Result<Json<Option<ClientFullOrganization>>, Envelope> {
    let SessionCall { caller, engine, .. } = call;
    let mut query = Query::read(&request)?;
    let (id, slug): (Option<String>, Option<String>) =
        (query.optional("organizationId"), query.optional("organizationSlug"));
    query.finish(Some(()))?;
    let tenant = match named(&caller, id.as_deref(), slug.as_deref())? {
        Some(tenant) => tenant,
        None => match active(&caller)? {
            Some(tenant) => tenant,
            None => return Ok(Json(None)),
        },
    };
    let organization = (&organizations::show(&caller, tenant)?.tenant).into();
    let manages = caller.allow(Action::ManageMembers, Owner::Tenant(tenant)).is_ok();
    let (members, invites) = run(&engine, move |engine| {
        let members = members::list(engine, &caller, tenant, MOST)?.items;
        let invites = if manages { invites::list(engine, &caller, tenant, MOST)?.items } else { Vec::new() };
        Ok((members, invites))
    })
    .await?;
    Ok(Json(Some(ClientFullOrganization {
        organization,
        members: members.iter().map(ClientMember::from).collect(),
        invitations: waiting(&invites, engine.now()),
    })))
}

fn waiting(invites: &[Invite], now: Timestamp) -> Vec<ClientInvitation> {
    invites.iter().filter(|invite| invite.is_good(now)).map(ClientInvitation::from).collect()
}

/// One role, or a list of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneRole {
    Word(String),
    Words([String; 1]),
}

impl OneRole {
    fn as_str(&self) -> &str {
        match self {
            Self::Word(word) | Self::Words([word]) => word,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClientInviteBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    /// `owner`, `admin`, `manager` or `member`; none above one's own.
    #[schema(value_type = String, required)]
    role: Option<OneRole>,
    organization_id: Option<String>,
    /// Whether an invitation of the address that waits is mailed again.
    resend: Option<bool>,
}

struct ClientInvite {
    new: NewInvite,
    organization: Option<String>,
    resends: bool,
}

impl JsonBody for ClientInviteBody {
    type Command = ClientInvite;

    fn parse(self) -> Result<ClientInvite, Error> {
        let mut fields = Fields::default();
        let email: Option<Email> = fields.required("email", self.email.as_deref());
        let role: Option<Role> = fields.required("role", self.role.as_ref().map(OneRole::as_str));
        let (email, role) = fields.finish((email, role))?;
        let resends = self.resend == Some(true);
        Ok(ClientInvite { new: NewInvite { email, role }, organization: self.organization_id, resends })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/invite-member",
    tag = "Organizations, better-auth",
    summary = "Invite somebody by mail; for admins and owners",
    request_body = ClientInviteBody,
    responses(
        (status = 200, description = "The invitation", body = ClientInvitation),
        (status = 409, description = "A member has the address, or it is invited already, or got all its mails for now", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn invite(call: SessionCall<ClientInviteBody>) -> Result<Json<ClientInvitation>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let tenant = meant(&caller, body.organization.as_deref())?;
    let invite = run(&engine, move |engine| {
        let waiting = match body.resends {
            true => invites::find_waiting(engine, &caller, tenant, &body.new.email)?,
            false => None,
        };
        match waiting {
            Some(waiting) => invites::resend(engine, &caller, tenant, waiting.id),
            None => invites::create(engine, &caller, tenant, body.new),
        }
    });
    Ok(Json((&invite.await?).into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvitationIdBody {
    #[schema(value_type = String, required)]
    invitation_id: Option<String>,
}

impl JsonBody for InvitationIdBody {
    type Command = InviteId;

    fn parse(self) -> Result<InviteId, Error> {
        let mut fields = Fields::default();
        let id = fields.required("invitationId", self.invitation_id.as_deref());
        fields.finish(id)
    }
}

/// What became of an invitation that was answered.
#[derive(Serialize, ToSchema)]
struct AnsweredInvitation {
    invitation: ClientInvitation,
    /// `null` where it was declined.
    #[schema(nullable, required)]
    member: Option<ClientMember>,
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/accept-invitation",
    tag = "Organizations, better-auth",
    summary = "Accept an invitation of one's confirmed address, by its id, and work in the organization",
    request_body = InvitationIdBody,
    responses(
        (status = 200, description = "The membership", body = AnsweredInvitation),
        (status = 404, description = "There is no such invitation for the address", body = crate::error::EnvelopeBody),
        (status = 409, description = "One is a member already", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn accept(call: SessionCall<InvitationIdBody>) -> Result<Json<AnsweredInvitation>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let joined = run(&engine, move |engine| invites::accept(engine, &caller, &Named::Id(body))).await?;
    let member = ClientMember::with(&joined.membership, &joined.user);
    Ok(Json(AnsweredInvitation { invitation: (&joined.invite).into(), member: Some(member) }))
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/reject-invitation",
    tag = "Organizations, better-auth",
    summary = "Decline an invitation of one's confirmed address",
    request_body = InvitationIdBody,
    responses(
        (status = 200, description = "The invitation", body = AnsweredInvitation),
        (status = 404, description = "There is no such invitation for the address", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn reject(call: SessionCall<InvitationIdBody>) -> Result<Json<AnsweredInvitation>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let declined = run(&engine, move |engine| invites::decline(engine, &caller, &Named::Id(body))).await?;
    Ok(Json(AnsweredInvitation { invitation: (&declined).into(), member: None }))
}

#[utoipa::path(
    post,
    path = "/api/auth/organization/cancel-invitation",
    tag = "Organizations, better-auth",
    summary = "Take an invitation back; for admins and owners",
    request_body = InvitationIdBody,
    responses(
        (status = 200, description = "The invitation", body = ClientInvitation),
        (status = 404, description = "There is no such invitation in one's organizations", body = crate::error::EnvelopeBody),
        (status = 409, description = "It does not wait any more", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn cancel(call: SessionCall<InvitationIdBody>) -> Result<Json<ClientInvitation>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let cancelled = run(&engine, move |engine| {
        let tenant = invites::tenant_of(engine, &caller, body)?;
        invites::cancel(engine, &caller, tenant, body)
    });
    Ok(Json((&cancelled.await?).into()))
}

/// The organization that a query names, or that the session works in.
fn asked(request: &HttpRequest, caller: &Caller) -> Result<TenantId, Envelope> {
    let mut query = Query::read(request)?;
    let id: Option<String> = query.optional("organizationId");
    query.finish(Some(()))?;
    meant(caller, id.as_deref())
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/list-invitations",
    tag = "Organizations, better-auth",
    summary = "The newest 100 invitations of an organization; for admins and owners",
    params(("organizationId" = Option<String>, Query, description = "Its id")),
    responses(
        (status = 200, description = "The invitations", body = Vec<ClientInvitation>)
    ),
    security(("cookie" = []))
)]
async fn list_invitations(
    request: HttpRequest,
    call: SessionCall,
) -> Result<Json<Vec<ClientInvitation>>, Envelope> {
    let SessionCall { caller, engine, .. } = call;
    let tenant = asked(&request, &caller)?;
    let found = run(&engine, move |engine| invites::list(engine, &caller, tenant, MOST)).await?;
    Ok(Json(found.items.iter().map(ClientInvitation::from).collect()))
}

/// An invitation of one's own address.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnInvitation {
    #[serde(flatten)]
    invitation: ClientInvitation,
    organization_name: String,
    organization_slug: String,
}

#[utoipa::path(
    get,
    path = "/api/auth/organization/list-user-invitations",
    tag = "Organizations, better-auth",
    summary = "The invitations of one's confirmed address that wait",
    responses(
        (status = 200, description = "The invitations", body = Vec<OwnInvitation>)
    ),
    security(("cookie" = []))
)]
async fn list_own(call: SessionCall) -> Result<Json<Vec<OwnInvitation>>, Envelope> {
    let SessionCall { caller, engine, .. } = call;
    let found = run(&engine, move |engine| invites::list_own(engine, &caller)).await?;
    let own = |(invite, tenant): &(Invite, Tenant)| OwnInvitation {
        invitation: invite.into(),
        organization_name: tenant.name.to_string(),
        organization_slug: tenant.slug.to_string(),
    };
    Ok(Json(found.iter().map(own).collect()))
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
    let (tenant, page) = (asked(&request, &caller)?, super::query::page(&request)?);
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

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_update>(web::to(update)),
        endpoint::<__path_set_active>(web::to(set_active)),
        endpoint::<__path_get_full>(web::to(get_full)),
        endpoint::<__path_invite>(web::to(invite)),
        endpoint::<__path_accept>(web::to(accept)),
        endpoint::<__path_reject>(web::to(reject)),
        endpoint::<__path_cancel>(web::to(cancel)),
        endpoint::<__path_list_invitations>(web::to(list_invitations)),
        endpoint::<__path_list_own>(web::to(list_own)),
        endpoint::<__path_active_member>(web::to(active_member)),
        endpoint::<__path_active_role>(web::to(active_role)),
        endpoint::<__path_list_members>(web::to(list_members)),
        endpoint::<__path_update_role>(web::to(update_role)),
        endpoint::<__path_remove_member>(web::to(remove_member)),
        endpoint::<__path_leave>(web::to(leave)),
    ]
}
