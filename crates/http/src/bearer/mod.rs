//! The bearer API, `/api/v1`: scripts of people, in the organization that their key belongs to.

mod call;
mod cors;
mod listing;
mod me;
mod members;
mod projects;
mod tokens;
mod views;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};

use crate::error::{BearerError, Fault};
use crate::layers::{Answered, not_stored};
use crate::resource::{Endpoint, mount};
use crate::{layers, limits};

pub(crate) fn endpoints() -> Vec<Endpoint> {
    let all = [me::endpoints(), members::endpoints(), projects::endpoints(), tokens::endpoints()];
    all.into_iter().flatten().collect()
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope("/api/v1")
            .wrap(from_fn(surround))
            .configure(|cfg| mount(cfg, "/api/v1", endpoints(), BearerError::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, BearerError> {
                Err(Fault::NoSuchPath.into())
            })),
    );
}

async fn surround(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Answered {
    let metered = async |request| limits::metered::<BearerError>(request, layers::routes(next)).await;
    cors::any_origin(request, async |request| Ok(not_stored(metered(request).await?))).await
}
