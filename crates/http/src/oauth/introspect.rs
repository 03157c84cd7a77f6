//! The introspection endpoint (RFC 7662): what a credential is that somebody showed a service.

use actix_web::http::header;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::Secret;
use keystead_domain::oauth::OAuthErrorCode;
use keystead_service::introspection::{self, Asker, Introspection};
use keystead_service::{Code, Engine, tokens};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::token;
use crate::body;
use crate::credentials;
use crate::error::{Fault, OAuthError, OAuthErrorBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// RFC 7662 §2.1. Other parameters are ignored.
#[derive(Deserialize, Default, ToSchema)]
#[schema(as = IntrospectionParameters)]
struct Parameters {
    /// An access token, an API key, or the session of an end user.
    #[schema(value_type = String, required)]
    token: Option<String>,
    /// Not needed: what is presented tells what it is.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// RFC 7662 §2.2. What there is nothing to say about is left out.
#[derive(Serialize, Default, ToSchema)]
struct IntrospectionAnswer {
    active: bool,
    /// `access_token`, `session`, `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// What it may do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// The tenant whose app or end user it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    /// The organization that a person acts in with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_slug: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// `live` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<&'static str>,
}

impl IntrospectionAnswer {
    fn of(live: Introspection, issuer: &str) -> Self {
        let (org_id, org_slug, role, plan) = match live.organization {
            Some(org) => (
                Some(org.id.to_string()),
                Some(org.slug.to_string()),
                Some(org.role.as_str()),
                Some(org.plan.to_string()),
            ),
            None => (None, None, None, None),
        };
        Self {
            active: true,
            kind: Some(live.kind.as_str()),
            sub: Some(live.subject),
            client_id: live.client_id,
            scope: Some(live.scopes.to_string()),
            iat: Some(live.issued_at.as_unix_seconds()),
            exp: live.expires_at.map(|end| end.as_unix_seconds()),
            token_type: live.token_type,
            iss: Some(issuer.to_owned()),
            aud: live.audience,
            jti: Some(live.id),
            tenant_id: live.tenant.map(|tenant| tenant.to_string()),
            org_id,
            org_slug,
            role,
            plan,
            env: live.environment.map(|environment| environment.as_str()),
        }
    }
}

#[utoipa::path(
    post,
    path = "/oauth/introspect",
    tag = "OAuth",
    summary = "Ask what a credential is (RFC 7662)",
    request_body(content((Parameters = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "What it is; `active` alone, and false, for all that is no good or none of the app's business", body = IntrospectionAnswer),
        (status = 401, description = "Client authentication failed", body = OAuthErrorBody)
    ),
    security(("client" = []), ("app" = []), ())
)]
async fn introspect(
    request: HttpRequest,
    payload: Payload,
    engine: Data<Engine>,
) -> Result<HttpResponse, OAuthError> {
    // What is in a URL is in every proxy's log.
    if ["token=", "client_secret"].iter().any(|name| request.query_string().contains(name)) {
        let message = "Credentials belong into the body or the Authorization header, not into the URL";
        return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, message));
    }
    let basic = credentials::basic(&request)?;
    let parameters = read(&request, payload).await?;
    let arrival = credentials::arrival(&request, &engine);
    let asker = match credentials::bearer_alone(&request)? {
        Some(_) if parameters.client_secret.is_some() => {
            let message = "The client authenticates in more than one way";
            return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, message));
        }
        Some(token) => Asker::Token(token),
        None => {
            let named = token::client(basic, parameters.client_id, parameters.client_secret)?;
            let (id, secret) = named.ok_or_else(|| tokens::refuse(&engine, &arrival))?;
            Asker::Client(id, secret)
        }
    };
    let presented = parameters.token.map(Secret::new);
    let presented =
        presented.ok_or(OAuthError::protocol(OAuthErrorCode::InvalidRequest, "The token is missing"));
    let issuer = engine.settings().issuer.clone();
    // Whoever has not authenticated learns nothing of what is wrong with the rest.
    let presented_or_nothing = presented.as_ref().map_or_else(|_| Secret::new(String::new()), Clone::clone);
    let answered = match introspection::ask_at_once(&engine, &arrival, &asker, &presented_or_nothing) {
        Some(answered) => answered,
        None => {
            run(&engine, move |engine| introspection::ask(engine, &arrival, &asker, &presented_or_nothing))
                .await
        }
    };
    let answered = match answered {
        Err(error) if error.code() == Code::InvalidToken => return Err(OAuthError::refused_token(error)),
        other => other?,
    };
    presented?;
    let answer = answered.map(|live| IntrospectionAnswer::of(live, &issuer)).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::PRAGMA, "no-cache"))
        .json(answer))
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<Parameters, OAuthError> {
    let expected = "application/x-www-form-urlencoded";
    if body::media_type(request).is_none_or(|media| media != expected) {
        return Err(Fault::MediaType { expected }.into());
    }
    let bytes = body::bytes(request, &mut payload.into_inner(), body::LIMIT).await?;
    let mut parameters = Parameters::default();
    for (name, value) in form_urlencoded::parse(&bytes) {
        let place = match &*name {
            "token" => &mut parameters.token,
            "token_type_hint" => &mut parameters.token_type_hint,
            "client_id" => &mut parameters.client_id,
            "client_secret" => &mut parameters.client_secret,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            // RFC 6749 §3.2.
            let message = "A parameter came more than once";
            return Err(OAuthError::protocol(OAuthErrorCode::InvalidRequest, message));
        }
    }
    // RFC 6749 §3.2: a parameter without a value counts as omitted.
    for place in [&mut parameters.token, &mut parameters.client_id, &mut parameters.client_secret] {
        place.take_if(|value| value.is_empty());
    }
    Ok(parameters)
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_introspect>(web::to(introspect))]
}
