//! Invitations, of those who invite and of those who are invited.

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::id::InviteId;
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_domain::role::Role;
use keystead_domain::tenant::Tenant;
use keystead_domain::{Email, Timestamp};
use keystead_service::Error;
use keystead_service::invites::{self, Named, NewInvite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::ClientMember;
use super::{MOST, OneRole, asked, meant};
use crate::account::call::SessionCall;
use crate::account::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// An invitation, as that client has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientInvitation {
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

/// Those that wait, of these.
pub(super) fn waiting(invites: &[Invite], now: Timestamp) -> Vec<ClientInvitation> {
    invites.iter().filter(|invite| invite.is_good(now)).map(ClientInvitation::from).collect()
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

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_invite>(web::to(invite)),
        endpoint::<__path_accept>(web::to(accept)),
        endpoint::<__path_reject>(web::to(reject)),
        endpoint::<__path_cancel>(web::to(cancel)),
        endpoint::<__path_list_invitations>(web::to(list_invitations)),
        endpoint::<__path_list_own>(web::to(list_own)),
    ]
}
