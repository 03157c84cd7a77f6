//! The OpenAPI document, made from the same endpoints that are served, to check the file that is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use keystead_testkit::generated::check_file;
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue};
use utoipa::openapi::security::{
    ClientCredentials, Flow, Http, HttpAuthScheme, OAuth2, Scopes, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
    RefOr, Required, Response, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::error::{BearerErrorBody, EnvelopeBody, OAuthErrorBody, ProblemBody};
use crate::resource::{Endpoint, allow};
use crate::{account, app, bearer, leaks, oauth, ops};

#[test]
fn the_document_is_as_it_was_reviewed() {
    let written = document().to_pretty_json().unwrap() + "\n";
    check_file(concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi.json"), &written);
}

#[test]
fn no_two_schemas_share_a_name() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for endpoint in surfaces().into_iter().flat_map(|(endpoints, _)| endpoints) {
        for (name, schema) in (endpoint.describe)().schemas {
            let schema = serde_json::to_string(&schema).unwrap();
            assert_eq!(*seen.entry(name.clone()).or_insert_with(|| schema.clone()), schema, "{name}");
        }
    }
}

/// What the document says of an endpoint.
pub(crate) struct Description {
    operation: Operation,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Description {
    pub(crate) fn of<P: utoipa::Path + SchemaReferences>() -> Self {
        let mut schemas = Vec::new();
        P::schemas(&mut schemas);
        Self { operation: P::operation(), schemas }
    }
}

fn document() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schema(ProblemBody::name(), ProblemBody::schema())
        .schema(OAuthErrorBody::name(), OAuthErrorBody::schema())
        .schema(EnvelopeBody::name(), EnvelopeBody::schema())
        .schema(BearerErrorBody::name(), BearerErrorBody::schema());
    for (name, scheme) in security_schemes() {
        components = components.security_scheme(name, scheme);
    }
    let mut paths = PathsBuilder::new();
    for (endpoints, error) in surfaces() {
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

/// The endpoints of each surface, and the schema of its errors.
fn surfaces() -> [(Vec<Endpoint>, Cow<'static, str>); 6] {
    [
        (oauth::endpoints(), OAuthErrorBody::name()),
        (app::endpoints(), ProblemBody::name()),
        (account::endpoints(), EnvelopeBody::name()),
        (bearer::endpoints(), BearerErrorBody::name()),
        (leaks::endpoints(), ProblemBody::name()),
        (ops::health::endpoints(), ProblemBody::name()),
    ]
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
        ("app", SecurityScheme::OAuth2(app)),
        ("session", SecurityScheme::ApiKey(ApiKey::Header(session))),
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
