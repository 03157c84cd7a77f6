//! The app API, `/v2`: a tenant's own server acts for itself and for its end users. Errors are
//! problems (RFC 9457).

mod access_requests;
mod apps;
mod call;
mod mfa;
mod passwords;
mod profile;
mod sessions;
mod sign_ins;
mod sign_ups;
mod views;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};

pub(crate) use access_requests::AccessRequestBody;

use crate::error::{Fault, Problem};
use crate::layers::{Answered, not_stored};
use crate::resource::{Endpoint, mount};
use crate::{layers, limits};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    let nouns = [
        access_requests::endpoints(),
        apps::endpoints(),
        sign_ups::endpoints(),
        sign_ins::endpoints(),
        passwords::endpoints(),
        sessions::endpoints(),
        profile::endpoints(),
        mfa::endpoints(),
    ];
    nouns.into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/v2")
            .wrap(from_fn(surround))
            .configure(|cfg| mount(cfg, "/v2", endpoints(), Problem::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}

async fn surround(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Answered {
    Ok(not_stored(limits::metered::<Problem>(request, layers::routes(next)).await?))
}
