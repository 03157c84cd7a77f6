//! Invitations: `/api/user/organizations/{organizationId}/invites` for those who invite, and
//! `/api/user/invites/{token}/accept` for those who are.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_domain::Timestamp;
use keystead_domain::id::InviteId;
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_service::Error;
use keystead_service::invites::{self, Named, NewInvite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::SessionCall;
use super::members::MembershipView;
use super::query;
use super::views::{Answer, instant};
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// An invitation. Its link is in the mail to the invited address and nowhere else.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InviteView {
    id: String,
    organization_id: String,
    email: String,
    /// `owner`, `admin`, `manager` or `member`.
    role: &'static str,
    /// `pending`, `accepted`, `cancelled`, or `expired` where it waits and its link has run out.
    status: &'static str,
    #[schema(nullable, required)]
    inviter_id: Option<String>,
    created_at: String,
    expires_at: String,
}

impl InviteView {
    fn new(invite: &Invite, now: Timestamp) -> Self {
        let expired = invite.status == InviteStatus::Pending && !invite.is_good(now);
        Self {
            id: invite.id.to_string(),
            organization_id: invite.tenant.to_ulid(),
            email: invite.email.to_string(),
            role: invite.role.as_str(),
            status: if expired { "expired" } else { invite.status.as_str() },
            inviter_id: invite.inviter.map(|inviter| inviter.to_ulid()),
            created_at: instant(invite.created_at),
            expires_at: instant(invite.expires_at),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/invites",
    tag = "Organizations",
    summary = "The invitations of an organization, the newest first; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of them", body = Answer<Vec<InviteView>>)
    ),
    security(("cookie" = []))
)]
async fn list(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let page = query::page(&request)?;
    let found = run(&engine, move |engine| invites::list(engine, &caller, tenant, page)).await?;
    let now = engine.now();
    let views: Vec<_> = found.items.iter().map(|invite| InviteView::new(invite, now)).collect();
    Ok(Answer::ok("Invites fetched successfully", views).paged(page, found.total).response())
}

#[derive(Deserialize, ToSchema)]
struct InviteBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    email: Option<String>,
    /// `owner`, `admin`, `manager` or `member`; none above one's own.
    #[schema(value_type = String, required)]
    role: Option<String>,
}

impl JsonBody for InviteBody {
    type Command = NewInvite;

    fn parse(self) -> Result<NewInvite, Error> {
        let mut fields = Fields::default();
        let email = fields.required("email", self.email.as_deref());
        let role = fields.required("role", self.role.as_deref());
        let (email, role) = fields.finish((email, role))?;
        Ok(NewInvite { email, role })
    }
}

#[utoipa::path(
    post,
    path = "/api/user/organizations/{organizationId}/invites",
    tag = "Organizations",
    summary = "Invite somebody by mail; for admins and owners",
    params(("organizationId" = String, Path, description = "Its id")),
    request_body = InviteBody,
    responses(
        (status = 201, description = "The invitation; its link is good for 7 days", body = Answer<InviteView>),
        (status = 409, description = "A member has the address, or it is invited already, or got all its mails for now", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn create(request: HttpRequest, call: SessionCall<InviteBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, body, engine, .. }) = (path::organization(&request)?, call);
    let invite = run(&engine, move |engine| invites::create(engine, &caller, tenant, body)).await?;
    let view = InviteView::new(&invite, engine.now());
    Ok(Answer::created("Invite sent successfully", view).response())
}

#[utoipa::path(
    post,
    path = "/api/user/organizations/{organizationId}/invites/{inviteId}/resend",
    tag = "Organizations",
    summary = "Mail an invitation again, with a fresh link; the one before is no good from then on",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("inviteId" = String, Path, description = "The invitation's id")
    ),
    responses(
        (status = 200, description = "The invitation", body = Answer<InviteView>),
        (status = 404, description = "There is no such invitation", body = crate::error::EnvelopeBody),
        (status = 409, description = "It does not wait any more, or the address got all its mails for now", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn resend(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let tenant = path::organization(&request)?;
    let id: InviteId = path::record(&request, "inviteId")?;
    let SessionCall { caller, engine, .. } = call;
    let invite = run(&engine, move |engine| invites::resend(engine, &caller, tenant, id)).await?;
    let view = InviteView::new(&invite, engine.now());
    Ok(Answer::ok("Invite sent successfully", view).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/organizations/{organizationId}/invites/{inviteId}",
    tag = "Organizations",
    summary = "Take an invitation back",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("inviteId" = String, Path, description = "The invitation's id")
    ),
    responses(
        (status = 200, description = "The invitation", body = Answer<InviteView>),
        (status = 404, description = "There is no such invitation", body = crate::error::EnvelopeBody),
        (status = 409, description = "It does not wait any more", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn cancel(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let tenant = path::organization(&request)?;
    let id: InviteId = path::record(&request, "inviteId")?;
    let SessionCall { caller, engine, .. } = call;
    let invite = run(&engine, move |engine| invites::cancel(engine, &caller, tenant, id)).await?;
    let view = InviteView::new(&invite, engine.now());
    Ok(Answer::ok("Invite cancelled successfully", view).response())
}

#[utoipa::path(
    post,
    path = "/api/user/invites/{token}/accept",
    tag = "Organizations",
    summary = "Accept an invitation of one's confirmed address, by what its link ends in",
    params(("token" = String, Path, description = "What the link ends in")),
    responses(
        (status = 200, description = "The membership", body = Answer<MembershipView>),
        (status = 409, description = "One is a member already", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn accept(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let token = request.match_info().get("token").unwrap_or_default().to_owned();
    let named = Named::Link(Secret::new(token));
    let SessionCall { caller, engine, .. } = call;
    let joined = run(&engine, move |engine| invites::accept(engine, &caller, &named)).await?;
    let view = MembershipView::from(&joined.membership);
    Ok(Answer::ok("Invite accepted successfully", view).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_resend>(web::to(resend)),
        endpoint::<__path_cancel>(web::to(cancel)),
        endpoint::<__path_accept>(web::to(accept)),
    ]
}
