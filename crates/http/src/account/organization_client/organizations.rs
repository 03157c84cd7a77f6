//! Organizations, and which of them a session works in.

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::Owner;
use keystead_domain::name::Name;
use keystead_domain::policy::Action;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::Tenant;
use keystead_service::organizations::{self, NewOrganization};
use keystead_service::{Error, invites, members};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::invitations::{ClientInvitation, waiting};
use super::members::ClientMember;
use super::{MOST, active, meant, named};
use crate::account::call::SessionCall;
use crate::account::query::Query;
use crate::account::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

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

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_update>(web::to(update)),
        endpoint::<__path_set_active>(web::to(set_active)),
        endpoint::<__path_get_full>(web::to(get_full)),
    ]
}
