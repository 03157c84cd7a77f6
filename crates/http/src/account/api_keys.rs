//! API keys, under `/api/auth/api-key`. Each answer carries what npm `better-auth/client` reads, flat, and
//! the envelope around the same.

use std::time::Duration;

use actix_web::web::{self, Json};
use keystead_domain::api_key::{ApiKey, Environment};
use keystead_domain::id::TenantId;
use keystead_domain::oauth::ScopeSet;
use keystead_service::Error;
use keystead_service::api_keys::{self, NewKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::SessionCall;
use super::views::instant;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
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
#[derive(Serialize, ToSchema)]
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

#[derive(Serialize, ToSchema)]
struct KeyPermissions {
    keystead: Vec<String>,
}

impl KeyView {
    fn new(key: &ApiKey, brand: &str) -> Self {
        let scopes: Vec<_> = key.scopes.iter().map(str::to_owned).collect();
        let prefix = format!("{brand}_{}_", key.environment);
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            start: format!("{prefix}{}", key.prefix),
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

/// A key that was just made: the one answer that holds it.
#[derive(Serialize, ToSchema)]
struct NewKeyAnswer {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: NewKeyView,
    key: String,
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
    let flat = KeyView::new(&key, engine.settings().prefixes.api_key.as_str());
    let data = NewKeyView {
        id: flat.id.clone(),
        name: flat.name.clone(),
        key: text.expose().clone(),
        scopes: flat.scopes.clone(),
        expires_at: flat.expires_at.clone(),
    };
    Ok(Json(NewKeyAnswer {
        success: true,
        status: 200,
        code: "OK",
        message: "API key created",
        data,
        key: text.expose().clone(),
        flat,
    }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_create>(web::to(create))]
}
