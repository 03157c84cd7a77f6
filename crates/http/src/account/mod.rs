//! The account API, `/api/auth` and `/api/user`: people, in browsers and with their scripts. Errors are
//! envelopes. Under `/api/auth` answers are those that npm `better-auth/client` reads.

mod api_keys;
mod audit_logs;
mod call;
pub(crate) mod cookie;
mod cors;
mod demands;
mod history;
mod identity;
mod invites;
pub(crate) mod members;
mod organization_client;
mod organizations;
mod passwords;
mod profile;
pub(crate) mod projects;
mod query;
mod sessions;
mod sign_ins;
mod sign_ups;
pub(crate) mod targets;
pub(crate) mod tenant_keys;
mod two_factor;
mod verification;
pub(crate) mod views;

pub(crate) use call::try_session;

use actix_web::ResponseError as _;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use keystead_service::Engine;

use crate::error::{Envelope, Fault};
use crate::layers::{Answered, not_stored};
use crate::resource::{Endpoint, mount};
use crate::{layers, limits, origin};

/// The most bytes that the surface reads.
pub(crate) const LIMIT: usize = 10 * 1024 * 1024;

fn auth() -> Vec<Endpoint> {
    [
        sign_ups::endpoints(),
        sign_ins::endpoints(),
        two_factor::endpoints(),
        verification::endpoints(),
        passwords::endpoints(),
        identity::endpoints(),
        sessions::endpoints(),
        api_keys::endpoints(),
        organization_client::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn user() -> Vec<Endpoint> {
    [
        profile::endpoints(),
        history::endpoints(),
        organizations::endpoints(),
        members::endpoints(),
        invites::endpoints(),
        projects::endpoints(),
        tenant_keys::endpoints(),
        demands::endpoints(),
        audit_logs::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All of them, for the OpenAPI document.
#[cfg(test)]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    [auth(), user()].into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    for (prefix, endpoints) in [("/api/auth", auth()), ("/api/user", user())] {
        cfg.service(
            web::scope(prefix)
                .wrap(from_fn(surround))
                .configure(|cfg| mount(cfg, prefix, endpoints, Envelope::method_not_allowed))
                .default_service(web::to(async || -> Result<&str, Envelope> {
                    Err(Fault::NoSuchPath.into())
                })),
        );
    }
}

async fn surround(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Answered {
    let ours = async |request| from_our_pages(request, layers::routes(next)).await;
    let metered = async |request| limits::metered::<Envelope>(request, ours).await;
    Ok(not_stored(cors::trusted(request, metered).await?))
}

/// Refuses what changes something and comes from the page of another origin, with or without a cookie.
async fn from_our_pages(
    request: ServiceRequest,
    inner: impl AsyncFnOnce(ServiceRequest) -> Answered,
) -> Answered {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let ours = reads
        || request.app_data::<Data<Engine>>().is_some_and(|engine| {
            let settings = engine.settings();
            origin::is_ours(request.request(), &settings.issuer, &settings.trusted_origins)
        });
    if !ours {
        return Ok(request.into_response(Envelope::ForeignOrigin.error_response()));
    }
    inner(request).await
}
