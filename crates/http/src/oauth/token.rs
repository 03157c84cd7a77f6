//! The token endpoint (RFC 6749 §3.2), as a form or as JSON.

use std::rc::Rc;

use actix_web::http::header;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_domain::app::ClientId;
use keystead_domain::oauth::{OAuthErrorCode, ScopeSet};
use keystead_service::tokens::{self, ClientCredentials, IssuedToken};
use keystead_service::{Arrival, AsyncReader, Code, Engine, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body;
use crate::credentials::{self, Basic};
use crate::error::{Fault, OAuthError, OAuthErrorBody};
use crate::resource::{Endpoint, endpoint};
use crate::{reader, run};

/// The parameters that we know; others are ignored (RFC 6749 §3.2).
#[derive(Deserialize, Default, ToSchema)]
struct Parameters {
    #[schema(value_type = String, required, pattern = "^client_credentials$")]
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

/// RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

#[utoipa::path(
    post,
    path = "/oauth/token",
    tag = "OAuth",
    summary = "Get an access token (RFC 6749 §4.4)",
    request_body(content((Parameters = "application/x-www-form-urlencoded"), (Parameters = "application/json"))),
    responses(
        (status = 200, description = "An access token", body = TokenAnswer),
        (status = 401, description = "Client authentication failed", body = OAuthErrorBody)
    ),
    security(("client" = []), ())
)]
async fn token(
    request: HttpRequest,
    payload: Payload,
    engine: Data<Engine>,
) -> Result<HttpResponse, OAuthError> {
    // RFC 6749 §2.3.1: credentials MUST NOT be in the URI, where every proxy would log them.
    if request.query_string().contains("client_secret") {
        let message = "Credentials belong into the body or the Authorization header, not into the URL";
        return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, message));
    }
    let basic = credentials::basic(&request)?;
    let parameters = read(&request, payload).await?;
    match parameters.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let message = "The grant_type is not supported";
            return Err(OAuthError::protocol(OAuthErrorCode::UnsupportedGrantType, message));
        }
        None => {
            return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, "The grant_type is missing"));
        }
    }
    let scope = parameters.scope.as_deref().map(str::parse::<ScopeSet>).transpose();
    let arrival = credentials::arrival(&request, &engine);
    let client = client(basic, parameters.client_id, parameters.client_secret)?;
    let (client_id, client_secret) = client.ok_or_else(|| tokens::refuse(&engine, &arrival))?;
    let scope = scope.map_err(|_| Error::of(Code::InvalidScope))?;
    let named = client_id.clone();
    let credentials = ClientCredentials { client_id, client_secret, scope };
    let issued = match tokens::exchange_at_once(&engine, &arrival, &credentials) {
        Some(issued) => issued?,
        // A future of its own, so that those of requests by clients that are remembered stay small.
        None => Box::pin(look_up(&engine, reader(&request)?, arrival, credentials)).await?,
    };
    tracing::Span::current().record("keystead.client_id", tracing::field::display(&named));
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::PRAGMA, "no-cache"))
        .json(TokenAnswer {
            access_token: issued.access_token.expose().clone(),
            token_type: "Bearer",
            expires_in: issued.expires_in.as_secs(),
            scope: issued.scope.to_string(),
        }))
}

/// Answers a client that is not remembered.
async fn look_up(
    engine: &Data<Engine>,
    reader: Rc<AsyncReader>,
    arrival: Arrival,
    credentials: ClientCredentials,
) -> Result<IssuedToken, Error> {
    match tokens::exchange_unblocked(engine, &reader, &arrival, &credentials).await {
        Some(issued) => issued,
        None => run(engine, move |engine| tokens::exchange(engine, &arrival, credentials)).await,
    }
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<Parameters, OAuthError> {
    let read: fn(&[u8]) -> Result<Parameters, OAuthError> = match body::media_type(request).as_deref() {
        Some("application/x-www-form-urlencoded") => form,
        Some("application/json") => |body| Ok(body::json(body)?),
        _ => {
            let expected = "application/x-www-form-urlencoded or application/json";
            return Err(Fault::MediaType { expected }.into());
        }
    };
    let parameters = read(&body::bytes(request, &mut payload.into_inner(), body::LIMIT).await?)?;
    // RFC 6749 §3.2: a parameter without a value counts as omitted.
    let filled = |value: Option<String>| value.filter(|value| !value.is_empty());
    Ok(Parameters {
        grant_type: filled(parameters.grant_type),
        client_id: filled(parameters.client_id),
        client_secret: filled(parameters.client_secret),
        scope: filled(parameters.scope),
    })
}

fn form(body: &[u8]) -> Result<Parameters, OAuthError> {
    let mut parameters = Parameters::default();
    for (name, value) in form_urlencoded::parse(body) {
        let place = match &*name {
            "grant_type" => &mut parameters.grant_type,
            "client_id" => &mut parameters.client_id,
            "client_secret" => &mut parameters.client_secret,
            "scope" => &mut parameters.scope,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            // RFC 6749 §3.2.
            let message = "A parameter came more than once";
            return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, message));
        }
    }
    Ok(parameters)
}

/// The client's id and secret, from one place only (RFC 6749 §2.3); nothing where there are none
/// that can be read. Some clients name themselves in the body beside Basic, which is harmless
/// where both name the same.
pub(super) fn client(
    basic: Basic,
    client_id: Option<String>,
    client_secret: Option<String>,
) -> Result<Option<(ClientId, Secret<String>)>, OAuthError> {
    let twice = || {
        let message = "The client authenticates in more than one way";
        OAuthError::protocol(OAuthErrorCode::InvalidRequest, message)
    };
    let (id, secret) = match (basic, client_id, client_secret) {
        (Basic::Unreadable, _, _) => return Ok(None),
        (Basic::Present { .. }, _, Some(_)) => return Err(twice()),
        (Basic::Present { client_id, .. }, Some(other), None) if client_id != other => return Err(twice()),
        (Basic::Present { client_id, client_secret }, _, None) => (client_id, client_secret),
        (Basic::Absent, Some(id), Some(secret)) => (id, Secret::new(secret)),
        (Basic::Absent, _, _) => return Ok(None),
    };
    Ok(id.parse().ok().map(|id| (id, secret)))
}

/// The endpoint.
pub(crate) fn here() -> Endpoint {
    endpoint::<__path_token>(web::to(token))
}

/// The same, under the app API's prefix.
pub(crate) fn there() -> Endpoint {
    here().at("/v2/oauth/token")
}
