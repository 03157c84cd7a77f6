//! `/metrics`, in the text format that Prometheus reads.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};

use crate::telemetry::Metrics;

async fn metrics(metrics: Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.render())
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/metrics").get(metrics));
}
