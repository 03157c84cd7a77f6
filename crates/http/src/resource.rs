//! Mounting endpoints.
//!
//! A handler's `#[utoipa::path]` is where its method and path are written; [`endpoint`] reads them
//! from there, so what is served and what the OpenAPI document says are the same line. A path refuses
//! every method that it does not have with 405 and `Allow` (RFC 9110 §15.5.6), in its surface's
//! format. `GET` comes with `HEAD` (RFC 9110 §9.1).

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route, guard};
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::HttpMethod;

#[cfg(test)]
use crate::openapi::document::Description;
use crate::pages::PagePath;
use crate::telemetry::Observed;

/// One method of one path, and its handler.
pub(crate) struct Endpoint {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    #[cfg(test)]
    pub(crate) describe: fn() -> Description,
    route: Route,
}

/// The endpoint that `P` describes, `__path_x` for a handler `x`, served by `route`.
pub(crate) fn endpoint<P: utoipa::Path + SchemaReferences>(route: Route) -> Endpoint {
    let method = P::methods().into_iter().next().unwrap_or(HttpMethod::Get);
    Endpoint {
        path: P::path(),
        #[cfg(test)]
        describe: Description::of::<P>,
        route: guarded(route, &method),
        method,
    }
}

impl Endpoint {
    /// The same endpoint at another path.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }
}

fn guarded(route: Route, method: &HttpMethod) -> Route {
    match method {
        HttpMethod::Get => route.guard(guard::Any(guard::Get()).or(guard::Head())),
        HttpMethod::Post => route.method(Method::POST),
        HttpMethod::Put => route.method(Method::PUT),
        HttpMethod::Patch => route.method(Method::PATCH),
        HttpMethod::Delete => route.method(Method::DELETE),
        HttpMethod::Head => route.method(Method::HEAD),
        HttpMethod::Options => route.method(Method::OPTIONS),
        HttpMethod::Trace => route.method(Method::TRACE),
    }
}

/// What `Allow` says of a method that a path has.
pub(crate) const fn allow(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET, HEAD",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Head => "HEAD",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Trace => "TRACE",
    }
}

/// Mounts a page: `GET`, and `POST` of its form. Pages are for people, and not in the OpenAPI document.
pub(crate) fn page(
    cfg: &mut ServiceConfig,
    path: PagePath,
    show: Route,
    submit: Route,
    refuse: fn(allow: &str) -> HttpResponse,
) {
    let routes = vec![(HttpMethod::Get, show), (HttpMethod::Post, submit)];
    let routes = routes.into_iter().map(|(method, route)| (allow(&method), guarded(route, &method)));
    serve(cfg, "", path.as_str(), routes.collect(), refuse);
}

/// Mounts endpoints in a scope that has this prefix, or none. `refuse` renders the 405 of the surface.
pub(crate) fn mount(
    cfg: &mut ServiceConfig,
    prefix: &str,
    endpoints: Vec<Endpoint>,
    refuse: fn(allow: &str) -> HttpResponse,
) {
    let mut paths: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    // Paths are tried in this order, and one with parameters takes a regular expression each time.
    let (with_parameters, fixed): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|(path, _)| path.contains('{'));
    for (path, endpoints) in fixed.into_iter().chain(with_parameters) {
        let routes = endpoints.into_iter().map(|endpoint| (allow(&endpoint.method), endpoint.route));
        serve(cfg, prefix, &path, routes.collect(), refuse);
    }
}

fn serve(
    cfg: &mut ServiceConfig,
    prefix: &str,
    path: &str,
    routes: Vec<(&'static str, Route)>,
    refuse: fn(allow: &str) -> HttpResponse,
) {
    let methods = routes.iter().map(|(allow, _)| *allow).collect::<Vec<_>>().join(", ");
    let in_scope = path.strip_prefix(prefix).unwrap_or(path);
    let mut resource = web::resource(in_scope).app_data(Observed::new(path));
    for (_, route) in routes {
        resource = resource.route(route);
    }
    cfg.service(resource.default_service(web::to(move |_: HttpRequest| {
        let response = refuse(&methods);
        async move { response }
    })));
}
