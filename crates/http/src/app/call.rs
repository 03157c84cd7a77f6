//! A call of the app API: who calls is found out first, then the body is read, so that a stranger
//! learns nothing from how a body is refused.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use keystead_service::sessions::{self, SignedIn};
use keystead_service::{Caller, Engine, access, rate_limits};

use crate::body::{self, Body};
use crate::error::Problem;
use crate::{credentials, engine, run};

/// A call by an app.
pub(crate) struct AppCall<B: Body = ()> {
    pub(crate) caller: Caller,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// A call by an app for one of its end users.
pub(crate) struct UserCall<B: Body = ()> {
    pub(crate) caller: Caller,
    pub(crate) signed_in: SignedIn,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// A call by somebody who proves nothing.
pub(crate) struct PublicCall<B: Body> {
    pub(crate) caller: Caller,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

async fn app(request: &HttpRequest, engine: &Data<Engine>) -> Result<Caller, Problem> {
    let token = credentials::bearer(request)?;
    let mut arrival = credentials::arrival(request, engine);
    let end_user_ip = credentials::end_user_ip(request);
    arrival.end_user_ip = end_user_ip.as_ref().ok().copied().flatten();
    let caller = match access::recall(engine, token.expose()) {
        Some(verified) => access::admit(engine, &verified, arrival)?,
        None => run(engine, move |engine| access::app(engine, token.expose(), arrival)).await?,
    };
    if let Ok(app) = caller.app() {
        tracing::Span::current().record("keystead.client_id", tracing::field::display(&app.client_id));
    }
    // A stranger does not learn that this is read.
    end_user_ip?;
    Ok(caller)
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<B: Body + 'static> FromRequest for AppCall<B> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let caller = app(&request, &engine).await?;
            let body = B::read(&request, &mut payload, body::LIMIT).await?;
            Ok(Self { caller, body, engine })
        })
    }
}

impl<B: Body + 'static> FromRequest for PublicCall<B> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let arrival = credentials::arrival(&request, &engine);
            rate_limits::anonymous(&engine, &arrival)?;
            let caller = Caller::visitor(arrival);
            let body = B::read(&request, &mut payload, body::LIMIT).await?;
            Ok(Self { caller, body, engine })
        })
    }
}

impl<B: Body + 'static> FromRequest for UserCall<B> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let caller = app(&request, &engine).await?;
            let token = credentials::session_token(&request)?;
            let (caller, signed_in) = match sessions::recall(&engine, &caller, &token) {
                Some(signed_in) => (caller, signed_in),
                None => {
                    run(&engine, move |engine| {
                        let signed_in = sessions::authenticate(engine, &caller, &token)?;
                        Ok((caller, signed_in))
                    })
                    .await?
                }
            };
            let body = B::read(&request, &mut payload, body::LIMIT).await?;
            Ok(Self { caller, signed_in, body, engine })
        })
    }
}
