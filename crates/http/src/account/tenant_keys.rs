//! `/api/user/organizations/{organizationId}/api-keys`: the API keys that reach an organization, for those who run
//! it: its members' keys that are pinned to it, and those that are pinned to none.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::id::ApiKeyId;
use keystead_service::api_keys::{self, ReachingKey, ShutOut};
use keystead_service::{Engine, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::PersonCall;
use super::query;
use super::views::{Answer, instant};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// An API key that reaches an organization, without the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantKeyView {
    id: String,
    name: String,
    /// What the key begins with, up to its look-up part.
    start: String,
    environment: &'static str,
    scopes: Vec<String>,
    /// Whether it reaches this organization alone.
    pinned: bool,
    /// Whether the organization bars it.
    barred: bool,
    holder: TenantKeyHolder,
    #[schema(nullable, required)]
    expires_at: Option<String>,
    #[schema(nullable, required)]
    last_used_at: Option<String>,
    created_at: String,
    updated_at: String,
}

/// Whose key it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TenantKeyHolder {
    user_id: String,
    email: String,
}

impl TenantKeyView {
    pub(crate) fn new(found: &ReachingKey, engine: &Engine) -> Self {
        let key = &found.key;
        let brand = &engine.settings().prefixes.api_key;
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            start: key.start.shown(brand, key.environment),
            environment: key.environment.as_str(),
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            pinned: key.pin.is_some(),
            barred: found.barred,
            holder: TenantKeyHolder { user_id: key.user.to_ulid(), email: found.holder.email.to_string() },
            expires_at: key.expires_at.map(instant),
            last_used_at: key.last_used_at.map(instant),
            created_at: instant(key.created_at),
            updated_at: instant(key.updated_at),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/api-keys",
    tag = "Organizations",
    summary = "The API keys that reach an organization, the newest first; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of them, without what they are", body = Answer<Vec<TenantKeyView>>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn list(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, PersonCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let page = query::page(&request)?;
    let found = run(&engine, move |engine| api_keys::page_reaching(engine, &caller, tenant, page)).await?;
    let views: Vec<_> = found.items.iter().map(|found| TenantKeyView::new(found, &engine)).collect();
    Ok(Answer::ok("API keys fetched successfully", views).paged(page, found.total).response())
}

#[derive(Deserialize, ToSchema)]
struct BarBody {
    /// Whether the organization refuses the key.
    #[schema(value_type = bool, required)]
    barred: Option<bool>,
}

impl JsonBody for BarBody {
    type Command = bool;

    fn parse(self) -> Result<bool, Error> {
        let mut fields = Fields::default();
        if self.barred.is_none() {
            fields.refuse("barred", "is required");
        }
        fields.finish(self.barred)
    }
}

#[utoipa::path(
    put,
    path = "/api/user/organizations/{organizationId}/api-keys/{keyId}",
    tag = "Organizations",
    summary = "Bar a key that is pinned to no organization from this one, or let it in again; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("keyId" = String, Path, description = "The key's id")
    ),
    request_body = BarBody,
    responses(
        (status = 200, description = "The key as it is now", body = Answer<TenantKeyView>),
        (status = 404, description = "No such key reaches the organization", body = EnvelopeBody),
        (status = 409, description = "The key is pinned to the organization: it can only be revoked", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn change(request: HttpRequest, call: PersonCall<BarBody>) -> Result<HttpResponse, Envelope> {
    let tenant = path::organization(&request)?;
    let id: ApiKeyId = path::record(&request, "keyId")?;
    let PersonCall { caller, body, engine } = call;
    let key = run(&engine, move |engine| api_keys::set_barred(engine, &caller, tenant, id, body)).await?;
    Ok(Answer::ok("API key updated", TenantKeyView::new(&key, &engine)).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/organizations/{organizationId}/api-keys/{keyId}",
    tag = "Organizations",
    summary = "Revoke a key that is pinned to the organization, or bar one that is pinned to none; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("keyId" = String, Path, description = "The key's id")
    ),
    responses(
        (status = 200, description = "The key as it was revoked, or as it is now", body = Answer<TenantKeyView>),
        (status = 404, description = "No such key reaches the organization", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn shut_out(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let tenant = path::organization(&request)?;
    let id: ApiKeyId = path::record(&request, "keyId")?;
    let PersonCall { caller, engine, .. } = call;
    let (message, key) =
        match run(&engine, move |engine| api_keys::shut_out(engine, &caller, tenant, id)).await? {
            ShutOut::Revoked(key) => ("API key revoked", key),
            ShutOut::Barred(key) => ("API key barred", key),
        };
    Ok(Answer::ok(message, TenantKeyView::new(&key, &engine)).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_change>(web::to(change)),
        endpoint::<__path_shut_out>(web::to(shut_out)),
    ]
}
