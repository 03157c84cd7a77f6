//! `/openapi.json` (OpenAPI 3.1) and `/docs`, made from the same endpoints that are served.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Redirect, ServiceConfig};
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue};
use utoipa::openapi::security::{
    ClientCredentials, Flow, Http, HttpAuthScheme, OAuth2, Scopes, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
    RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::SwaggerUi;

use crate::error::{BearerErrorBody, EnvelopeBody, OAuthErrorBody, ProblemBody};
use crate::resource::{Description, Endpoint, allow};
use crate::{account, app, bearer, leaks, oauth, ops};

/// The names of the security schemes, as operations refer to them.
pub(crate) const APP: &str = "app";
pub(crate) const SESSION: &str = "session";

/// The document.
pub(crate) fn document() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schema(ProblemBody::name(), ProblemBody::schema())
        .schema(OAuthErrorBody::name(), OAuthErrorBody::schema())
        .schema(EnvelopeBody::name(), EnvelopeBody::schema())
        .schema(BearerErrorBody::name(), BearerErrorBody::schema());
    for (name, scheme) in security_schemes() {
        components = components.security_scheme(name, scheme);
    }
    let mut paths = PathsBuilder::new();
    let surfaces = [
        (oauth::endpoints(), OAuthErrorBody::name()),
        (app::endpoints(), ProblemBody::name()),
        (account::endpoints(), EnvelopeBody::name()),
        (bearer::endpoints(), BearerErrorBody::name()),
        (leaks::endpoints(), ProblemBody::name()),
        (ops::health::endpoints(), ProblemBody::name()),
    ];
    for (endpoints, error) in surfaces {
        for Endpoint { path, method, describe, .. } in endpoints {
            let Description { mut operation, schemas } = describe();
            components = components.schemas_from_iter(schemas);
            complete(&mut operation, &error);
            if path.starts_with("/api/v1/") {
                operation.parameters.get_or_insert_default().push(RefOr::T(acting_in()));
            }
            operation.operation_id = Some(operation_id(&method, &path));
            paths = paths.path(path, PathItem::new(method, operation));
        }
    }
    let about = "Sign-up, sign-in and API access for the end users of a tenant. Errors are described at \
                 each status; programs read their stable codes.";
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new().title("Keystead").version(env!("CARGO_PKG_VERSION")).description(Some(about)),
        )
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn security_schemes() -> [(&'static str, SecurityScheme); 6] {
    let app = OAuth2::with_description(
        [Flow::ClientCredentials(ClientCredentials::new("/oauth/token", Scopes::new()))],
        "An app's access token, from its client credentials",
    );
    let session =
        ApiKeyValue::with_description("X-Session-Token", "The session of one of the app's end users");
    let cookie = ApiKeyValue::with_description(
        "keystead_session",
        "The session of a person; its name begins with `__Host-` on https",
    );
    let key = ApiKeyValue::with_description("X-Api-Key", "An API key of a person");
    [
        (APP, SecurityScheme::OAuth2(app)),
        (SESSION, SecurityScheme::ApiKey(ApiKey::Header(session))),
        ("client", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic))),
        ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie))),
        ("api_key", SecurityScheme::ApiKey(ApiKey::Header(key))),
        ("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer))),
    ]
}

fn operation_id(method: &HttpMethod, path: &str) -> String {
    let method = allow(method).split(',').next().unwrap_or_default().to_ascii_lowercase();
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

/// Adds the statuses that follow from what an operation has: a body, credentials. Those that only it
/// can answer stand at its handler.
fn complete(operation: &mut Operation, error: &str) {
    let mut add = |status: &str, what: &str| {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(refusal(error, what)));
    };
    add("400", "The request cannot be read, or has two credentials");
    add("405", "The path does not have this method; `Allow` lists those that it has");
    add("500", "The server failed; its log has the cause");
    add("503", "The server is too busy or its database is away; `Retry-After`");
    if operation.request_body.is_some() || operation.security.is_some() {
        add("429", "Too many requests, or too many failures; `Retry-After`");
    }
    if operation.request_body.is_some() {
        add("413", "The body has more than 64 KiB");
        add("415", "The body's media type is not read here");
        if error == ProblemBody::name() {
            add("422", "Fields are missing or wrong; `errors` names each");
        }
    }
    if operation.security.is_some() {
        add("401", "A credential is missing, wrong or expired");
        add("403", "The credential may not do this");
    }
}

/// The header that says which organization a call of the bearer API acts in.
fn acting_in() -> Parameter {
    let about = "The organization that a key which is pinned to none acts in, where its holder has several";
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^(ten_[0-7][0-9a-hjkmnp-tv-z]{25}|[0-7][0-9A-HJKMNP-TV-Z]{25})$"));
    ParameterBuilder::new()
        .name("X-Organization-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(id))
        .build()
}

fn refusal(schema: &str, what: &str) -> Response {
    let media = if schema == ProblemBody::name() { "application/problem+json" } else { "application/json" };
    let content = ContentBuilder::new().schema(Some(utoipa::openapi::Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(what).content(media, content).build()
}

/// Swagger UI needs its own scripts and inline styles, and talks to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The document as it is sent: made once, when somebody first asks for it.
static JSON: LazyLock<Bytes> = LazyLock::new(|| document().to_json().unwrap_or_default().into());

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/openapi.json").get(async || {
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
            .content_type("application/json")
            .body(JSON.clone())
    }));
    cfg.service(
        web::scope("/docs")
            .wrap(
                actix_web::middleware::DefaultHeaders::new()
                    .add((header::CONTENT_SECURITY_POLICY, POLICY))
                    .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                    .add((header::REFERRER_POLICY, "no-referrer")),
            )
            .route("", web::get().to(async || Redirect::to("/docs/").permanent()))
            .service(SwaggerUi::new("/{_:.*}").config(utoipa_swagger_ui::Config::from("/openapi.json"))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_schemas_share_a_name() {
        let mut seen: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
        let all = [
            oauth::endpoints(),
            app::endpoints(),
            account::endpoints(),
            bearer::endpoints(),
            leaks::endpoints(),
            ops::health::endpoints(),
        ];
        for endpoint in all.into_iter().flatten() {
            for (name, schema) in (endpoint.describe)().schemas {
                let schema = serde_json::to_string(&schema).unwrap();
                assert_eq!(*seen.entry(name.clone()).or_insert_with(|| schema.clone()), schema, "{name}");
            }
        }
    }
}
