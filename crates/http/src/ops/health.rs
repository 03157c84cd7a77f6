//! Health: whether the process lives, and whether it can serve.

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use keystead_service::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Problem;
use crate::resource::{Endpoint, endpoint, mount};
use crate::run;

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[utoipa::path(
    get,
    path = "/health/live",
    tag = "Health",
    summary = "Whether the process lives",
    responses(
        (status = 200, description = "It does", body = Health)
    )
)]
async fn live() -> HttpResponse {
    answer(HttpResponse::Ok(), Health { status: "ok", reason: None })
}

#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "Health",
    summary = "Whether the database answers",
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It does not", body = Health)
    )
)]
async fn ready(engine: Data<Engine>) -> HttpResponse {
    match run(&engine, |engine| Ok(engine.ready()?)).await {
        Ok(()) => answer(HttpResponse::Ok(), Health { status: "ok", reason: None }),
        Err(error) => {
            crate::error::log(&error);
            let reason = Some("the database does not answer; the log has the cause");
            answer(HttpResponse::ServiceUnavailable(), Health { status: "unavailable", reason })
        }
    }
}

fn answer(mut response: actix_web::HttpResponseBuilder, health: Health) -> HttpResponse {
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(health)
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_live>(web::to(live)), endpoint::<__path_ready>(web::to(ready))]
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    mount(cfg, "", endpoints(), Problem::method_not_allowed);
}
