//! `/openapi.json` (OpenAPI 3.1) and `/docs`.

#[cfg(test)]
pub(crate) mod document;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Redirect, ServiceConfig};
use utoipa_swagger_ui::SwaggerUi;

/// Swagger UI needs its own scripts and inline styles, and talks to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The document as it was reviewed. To make it from the endpoints takes more than a megabyte of code, which
/// stays out of the server: a test does that, and checks that the file is what they say.
static JSON: &[u8] = include_bytes!("openapi.json");

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/openapi.json").get(async || {
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
            .content_type("application/json")
            .body(Bytes::from_static(JSON))
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
