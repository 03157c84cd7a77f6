//! Registering the handlers of one path.
//!
//! A path answers to its methods and refuses every other one with 405 and `Allow` (RFC 9110
//! §15.5.6), in its surface's format. `GET` comes with `HEAD` (RFC 9110 §9.1).

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route, guard};

/// One method of a path: its route, and what `Allow` says of it.
pub(crate) struct Endpoint {
    route: Route,
    allow: &'static str,
}

/// Answers `GET` and `HEAD`.
pub(crate) fn get(route: Route) -> Endpoint {
    Endpoint { route: route.guard(guard::Any(guard::Get()).or(guard::Head())), allow: "GET, HEAD" }
}

/// Answers `POST`.
pub(crate) fn post(route: Route) -> Endpoint {
    Endpoint { route: route.method(Method::POST), allow: "POST" }
}

/// Answers `PATCH`.
pub(crate) fn patch(route: Route) -> Endpoint {
    Endpoint { route: route.method(Method::PATCH), allow: "PATCH" }
}

/// Answers `DELETE`.
pub(crate) fn delete(route: Route) -> Endpoint {
    Endpoint { route: route.method(Method::DELETE), allow: "DELETE" }
}

/// Registers a path with its endpoints. `refuse` renders the 405 of the surface.
pub(crate) fn path<const N: usize>(
    cfg: &mut ServiceConfig,
    path: &str,
    endpoints: [Endpoint; N],
    refuse: fn(allow: &str) -> HttpResponse,
) {
    let allow = endpoints.each_ref().map(|endpoint| endpoint.allow).join(", ");
    let mut resource = web::resource(path);
    for endpoint in endpoints {
        resource = resource.route(endpoint.route);
    }
    cfg.service(resource.default_service(web::to(move |_: HttpRequest| {
        let response = refuse(&allow);
        async move { response }
    })));
}
