//! The guard in front of handlers: as an extractor, and as a middleware.

use std::future::{Future, Ready, ready};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::{Demand, Guard, Identity, Refusal};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who calls: a handler that takes this is called for good credentials only.
///
/// The guard is found among the application's data: `App::new().app_data(guard)`.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Identity>);

impl Deref for Verified {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// The one credential of a request: `X-Api-Key`, or a bearer token (RFC 6750 §2.1).
fn presented(request: &HttpRequest) -> Result<&str, Refusal> {
    let one = |name: HeaderName| {
        let mut values = request.headers().get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| Refusal::Malformed),
            (Some(_), Some(_)) => Err(Refusal::Malformed),
        }
    };
    match (one(API_KEY)?, one(AUTHORIZATION)?) {
        (Some(_), Some(_)) => Err(Refusal::Malformed),
        (Some(key), None) => Ok(key),
        (None, Some(value)) => {
            let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
            token.map(|(_, token)| token.trim_start_matches(' ')).ok_or(Refusal::NoCredential)
        }
        (None, None) => Err(Refusal::NoCredential),
    }
}

impl FromRequest for Verified {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if let Some(known) = request.extensions().get::<Self>() {
            return Box::pin(ready(Ok(known.clone())));
        }
        let Some(guard) = request.app_data::<Guard>().cloned() else {
            tracing::error!("there is no guard among the application's data");
            return Box::pin(ready(Err(Refusal::Unavailable)));
        };
        let request = request.clone();
        Box::pin(async move { guard.check(presented(&request)?).await.map(Self) })
    }
}

impl Guard {
    /// A middleware that lets through who meets `demand`. Handlers behind it that take a [`Verified`] get who it is.
    pub fn require(&self, demand: Demand) -> Require {
        Require { guard: self.clone(), demand: Arc::new(demand) }
    }
}

/// The middleware of [`Guard::require`].
pub struct Require {
    guard: Guard,
    demand: Arc<Demand>,
}

impl<S, B> Transform<S, ServiceRequest> for Require
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = actix_web::Error;
    type Transform = RequireService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let (guard, demand) = (self.guard.clone(), Arc::clone(&self.demand));
        ready(Ok(RequireService { guard, demand, service: Rc::new(service) }))
    }
}

/// What [`Require`] wraps a service in.
pub struct RequireService<S> {
    guard: Guard,
    demand: Arc<Demand>,
    service: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for RequireService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (guard, demand) = (self.guard.clone(), Arc::clone(&self.demand));
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            let identity = guard.check(presented(request.request())?).await?;
            demand.check(&identity)?;
            request.extensions_mut().insert(Verified(identity));
            service.call(request).await
        })
    }
}
