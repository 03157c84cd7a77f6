//! API keys, under `/api/auth/api-key`. Each answer carries what npm `better-auth/client` reads, flat, and
//! the envelope around the same.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Json};
use keystead_domain::Timestamp;
use keystead_domain::api_key::{ApiKey, Environment, KeyStart};
use keystead_domain::id::{ApiKeyId, TenantId};
use keystead_domain::oauth::ScopeSet;
use keystead_service::api_keys::{self, KeyChange, NewKey};
use keystead_service::{Code, Engine, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{PersonCall, SessionCall};
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::query::Query;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewKeyBody {
    /// `API key` where it is missing.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What the key may do at most; `user:read` where it is missing.
    scopes: Option<Vec<String>>,
    /// Seconds until the key ends; never where it is missing.
    #[schema(minimum = 60, maximum = 315_360_000)]
    expires_in: Option<u64>,
    /// `live` or `test`; `live` where it is missing.
    environment: Option<String>,
    metadata: Option<KeyMetadataBody>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyMetadataBody {
    /// The one organization that the key reaches.
    organization_id: Option<String>,
}

impl JsonBody for NewKeyBody {
    type Command = NewKey;

    fn parse(self) -> Result<NewKey, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", Some(self.name.as_deref().unwrap_or("API key")));
        let environment = fields.required("environment", Some(self.environment.as_deref().unwrap_or("live")));
        let scopes: Option<ScopeSet> =
            self.scopes.as_deref().and_then(|scopes| fields.optional("scopes", Some(&scopes.join(" "))));
        let metadata = self.metadata.unwrap_or(KeyMetadataBody { organization_id: None });
        let pin: Option<TenantId> =
            fields.optional("metadata.organizationId", metadata.organization_id.as_deref());
        let (name, environment): (_, Environment) = fields.finish((name, environment))?;
        let expires_in = self.expires_in.map(Duration::from_secs);
        Ok(NewKey { name, environment, scopes, expires_in, pin })
    }
}

/// A key, without the key itself.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    id: String,
    name: String,
    /// What the key begins with, up to its look-up part.
    start: String,
    /// The brand and the environment.
    prefix: String,
    environment: &'static str,
    enabled: bool,
    scopes: Vec<String>,
    #[schema(nullable, required)]
    expires_at: Option<String>,
    #[schema(nullable, required)]
    last_request: Option<String>,
    created_at: String,
    updated_at: String,
    metadata: KeyMetadata,
    /// The scopes again, as `better-auth` has permissions.
    permissions: KeyPermissions,
}

/// What the key is pinned to.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<String>,
}

#[derive(Clone, Serialize, ToSchema)]
struct KeyPermissions {
    keystead: Vec<String>,
}

impl KeyView {
    pub(crate) fn new(key: &ApiKey, engine: &Engine) -> Self {
        let brand = &engine.settings().prefixes.api_key;
        let scopes: Vec<_> = key.scopes.iter().map(str::to_owned).collect();
        // Of a key that another system made, what all keys begin with is not known.
        let prefix = match key.start {
            KeyStart::Minted(_) => format!("{}_{}_", brand.as_str(), key.environment),
            KeyStart::Imported(_) => String::new(),
        };
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            start: key.start.shown(brand, key.environment),
            prefix,
            environment: key.environment.as_str(),
            enabled: true,
            permissions: KeyPermissions { keystead: scopes.clone() },
            scopes,
            expires_at: key.expires_at.map(instant),
            last_request: key.last_used_at.map(instant),
            created_at: instant(key.created_at),
            updated_at: instant(key.updated_at),
            metadata: KeyMetadata { organization_id: key.pin.map(|pin| pin.tenant.to_ulid()) },
        }
    }
}

/// A key that was just made, or got a new secret: the one answer that holds it.
#[derive(Serialize, ToSchema)]
struct NewKeyAnswer {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: NewKeyView,
    key: String,
    /// When the secret before this one ends, where there was one.
    #[serde(rename = "previousEndsAt", skip_serializing_if = "Option::is_none")]
    previous_ends_at: Option<String>,
    #[serde(flatten)]
    flat: KeyView,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewKeyView {
    id: String,
    name: String,
    key: String,
    scopes: Vec<String>,
    #[schema(nullable, required)]
    expires_at: Option<String>,
    /// When the secret before this one ends, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_ends_at: Option<String>,
}

impl NewKeyAnswer {
    fn new(
        message: &'static str,
        key: &ApiKey,
        text: &str,
        previous_ends_at: Option<Timestamp>,
        engine: &Engine,
    ) -> Self {
        let (flat, previous_ends_at) = (KeyView::new(key, engine), previous_ends_at.map(instant));
        let data = NewKeyView {
            id: flat.id.clone(),
            name: flat.name.clone(),
            key: text.to_owned(),
            scopes: flat.scopes.clone(),
            expires_at: flat.expires_at.clone(),
            previous_ends_at: previous_ends_at.clone(),
        };
        let (success, status, code, key) = (true, 200, "OK", text.to_owned());
        Self { success, status, code, message, data, key, previous_ends_at, flat }
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/api-key/create",
    tag = "API keys",
    summary = "Make an API key, which is shown once",
    request_body = NewKeyBody,
    responses(
        (status = 200, description = "The key", body = NewKeyAnswer)
    ),
    security(("cookie" = []))
)]
async fn create(call: SessionCall<NewKeyBody>) -> Result<Json<NewKeyAnswer>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    let (key, text) = run(&engine, move |engine| api_keys::create(engine, &caller, body)).await?;
    Ok(Json(NewKeyAnswer::new("API key created", &key, text.expose(), None, &engine)))
}

/// One's keys, flat and in the envelope.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeysAnswer {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: Vec<KeyView>,
    api_keys: Vec<KeyView>,
    total: usize,
}

#[utoipa::path(
    get,
    path = "/api/auth/api-key/list",
    tag = "API keys",
    summary = "One's API keys, the newest first; a pinned key sees those that are pinned to the same organization",
    responses(
        (status = 200, description = "The keys, without what they are", body = KeysAnswer)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn list(call: PersonCall) -> Result<Json<KeysAnswer>, Envelope> {
    let PersonCall { caller, engine, .. } = call;
    let keys = run(&engine, move |engine| api_keys::list(engine, &caller)).await?;
    let api_keys: Vec<_> = keys.iter().map(|key| KeyView::new(key, &engine)).collect();
    Ok(Json(KeysAnswer {
        success: true,
        status: 200,
        code: "OK",
        message: "API keys fetched successfully",
        data: api_keys.clone(),
        total: api_keys.len(),
        api_keys,
    }))
}

/// A key, flat and in the envelope.
#[derive(Serialize, ToSchema)]
struct KeyAnswer {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: KeyView,
    #[serde(flatten)]
    flat: KeyView,
}

impl KeyAnswer {
    fn new(message: &'static str, key: &ApiKey, engine: &Engine) -> Self {
        let flat = KeyView::new(key, engine);
        Self { success: true, status: 200, code: "OK", message, data: flat.clone(), flat }
    }
}

/// The key that a text names. What is no id names none.
fn named(id: &str) -> Result<ApiKeyId, Error> {
    id.parse().map_err(|_| Error::of(Code::KeyNotFound))
}

#[utoipa::path(
    get,
    path = "/api/auth/api-key/get",
    tag = "API keys",
    summary = "One of one's API keys",
    params(("id" = String, Query, description = "The key's id")),
    responses(
        (status = 200, description = "The key, without what it is", body = KeyAnswer),
        (status = 404, description = "`KEY_NOT_FOUND`: there is no such key, or it is another's", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn get(call: PersonCall, request: HttpRequest) -> Result<Json<KeyAnswer>, Envelope> {
    let PersonCall { caller, engine, .. } = call;
    let query = Query::of(&request)?;
    let mut fields = Fields::default();
    let id = fields.required::<String>("id", query.get("id"));
    let id = named(&fields.finish(id)?)?;
    let key = run(&engine, move |engine| api_keys::show(engine, &caller, id)).await?;
    Ok(Json(KeyAnswer::new("API key fetched successfully", &key, &engine)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyChangeBody {
    #[schema(value_type = String, required)]
    key_id: Option<String>,
    /// What it is called from now on.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// What it may do from now on: no more than before.
    scopes: Option<Vec<String>>,
}

impl JsonBody for KeyChangeBody {
    type Command = (String, KeyChange);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let id = fields.required("keyId", self.key_id.as_deref());
        let name = fields.optional("name", self.name.as_deref());
        let scopes =
            self.scopes.as_deref().and_then(|scopes| fields.optional("scopes", Some(&scopes.join(" "))));
        Ok((fields.finish(id)?, KeyChange { name, scopes }))
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/api-key/update",
    tag = "API keys",
    summary = "Rename an API key, or take scopes from it",
    request_body = KeyChangeBody,
    responses(
        (status = 200, description = "The key as it is now", body = KeyAnswer),
        (status = 404, description = "`KEY_NOT_FOUND`: there is no such key, or it is another's", body = crate::error::EnvelopeBody),
        (status = 409, description = "The key was changed at the same time", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn update(call: PersonCall<KeyChangeBody>) -> Result<Json<KeyAnswer>, Envelope> {
    let PersonCall { caller, body: (id, change), engine } = call;
    let id = named(&id)?;
    let key = run(&engine, move |engine| api_keys::change(engine, &caller, id, change)).await?;
    Ok(Json(KeyAnswer::new("API key updated", &key, &engine)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyIdBody {
    #[schema(value_type = String, required)]
    key_id: Option<String>,
}

impl JsonBody for KeyIdBody {
    type Command = String;

    fn parse(self) -> Result<String, Error> {
        let mut fields = Fields::default();
        let id = fields.required("keyId", self.key_id.as_deref());
        fields.finish(id)
    }
}

/// That a key was revoked.
#[derive(Serialize, ToSchema)]
struct KeyRevoked {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
}

#[utoipa::path(
    post,
    path = "/api/auth/api-key/delete",
    tag = "API keys",
    summary = "Revoke an API key, at once and for good",
    request_body = KeyIdBody,
    responses(
        (status = 200, description = "It is revoked", body = KeyRevoked),
        (status = 404, description = "`KEY_NOT_FOUND`: there is no such key, or it is another's", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn delete(call: PersonCall<KeyIdBody>) -> Result<Json<KeyRevoked>, Envelope> {
    let PersonCall { caller, body, engine } = call;
    let id = named(&body)?;
    run(&engine, move |engine| api_keys::revoke(engine, &caller, id)).await?;
    Ok(Json(KeyRevoked { success: true, status: 200, code: "OK", message: "API key revoked" }))
}

/// A day.
const OVERLAP: u64 = 86_400;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyRotationBody {
    #[schema(value_type = String, required)]
    key_id: Option<String>,
    /// How many seconds the secret before the new one works; 86400 where it is missing, and 0 ends it at once.
    #[schema(minimum = 0, maximum = 2_592_000)]
    keep_old_for: Option<u64>,
}

impl JsonBody for KeyRotationBody {
    type Command = (String, Duration);

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let id = fields.required("keyId", self.key_id.as_deref());
        Ok((fields.finish(id)?, Duration::from_secs(self.keep_old_for.unwrap_or(OVERLAP))))
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/api-key/rotate",
    tag = "API keys",
    summary = "Give an API key a new secret, which is shown once; the one before it works a while longer",
    request_body = KeyRotationBody,
    responses(
        (status = 200, description = "The key with its new secret, and when the one before it ends", body = NewKeyAnswer),
        (status = 404, description = "`KEY_NOT_FOUND`: there is no such key, or it is another's", body = crate::error::EnvelopeBody),
        (status = 409, description = "Two secrets of the key work already, or the key has ended", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn rotate(call: SessionCall<KeyRotationBody>) -> Result<Json<NewKeyAnswer>, Envelope> {
    let SessionCall { caller, body: (id, keep_old_for), engine, .. } = call;
    let id = named(&id)?;
    let rotated = run(&engine, move |engine| api_keys::rotate(engine, &caller, id, keep_old_for)).await?;
    let end = Some(rotated.previous_ends_at);
    Ok(Json(NewKeyAnswer::new("API key rotated", &rotated.key, rotated.text.expose(), end, &engine)))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_get>(web::to(get)),
        endpoint::<__path_update>(web::to(update)),
        endpoint::<__path_delete>(web::to(delete)),
        endpoint::<__path_rotate>(web::to(rotate)),
    ]
}
