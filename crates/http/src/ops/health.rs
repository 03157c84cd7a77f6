//! Health: whether the process lives, and whether it can serve.

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use keystead_service::Engine;
use serde::Serialize;

use crate::error::Problem;
use crate::resource::{get, path};
use crate::run;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

async fn live() -> HttpResponse {
    answer(HttpResponse::Ok(), Health { status: "ok", reason: None })
}

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

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/health/live", [get(web::to(live))], Problem::method_not_allowed);
    path(cfg, "/health/ready", [get(web::to(ready))], Problem::method_not_allowed);
}
