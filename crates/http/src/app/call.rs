//! A call of the app API: who calls is found out first, then the body is read, so that a stranger
//! learns nothing from how a body is refused.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use keystead_domain::Secret;
use keystead_service::sessions::{self, SignedIn};
use keystead_service::{Arrival, Caller, Engine, access, rate_limits};

use crate::body::{self, Body};
use crate::error::{Fault, Problem};
use crate::{credentials, engine, reader, run};

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

/// What an app shows of itself.
struct Presented {
    token: Secret<String>,
    arrival: Arrival,
    end_user_ip: Result<Option<IpAddr>, Fault>,
}

fn presented(request: &HttpRequest, engine: &Engine) -> Result<Presented, Problem> {
    let token = credentials::bearer(request)?;
    let mut arrival = credentials::arrival(request, engine);
    let end_user_ip = credentials::end_user_ip(request);
    arrival.end_user_ip = end_user_ip.as_ref().ok().copied().flatten();
    Ok(Presented { token, arrival, end_user_ip })
}

/// Names the app in the request's span.
fn record(caller: &Caller) {
    if let Ok(app) = caller.app() {
        tracing::Span::current().record("keystead.client_id", tracing::field::display(&app.client_id));
    }
}

async fn app(request: &HttpRequest, engine: &Data<Engine>) -> Result<Caller, Problem> {
    let Presented { token, arrival, end_user_ip } = presented(request, engine)?;
    let caller = match access::recall(engine, token.expose()) {
        Some(verified) => access::admit(engine, &verified, arrival)?,
        None => look_up_app(request, engine, token, arrival).await?,
    };
    record(&caller);
    // A stranger does not learn that this is read.
    end_user_ip?;
    Ok(caller)
}

/// The app, where it is not remembered. This is a future of its own, so that those of requests by apps that are
/// remembered stay small.
fn look_up_app<'e>(
    request: &HttpRequest,
    engine: &'e Data<Engine>,
    token: Secret<String>,
    arrival: Arrival,
) -> LookingUp<'e, Caller> {
    let reader = reader(request);
    Box::pin(async move {
        match access::app_unblocked(engine, &*reader?, token.expose(), &arrival).await {
            Some(found) => found,
            None => run(engine, move |engine| access::app(engine, token.expose(), arrival)).await,
        }
    })
}

/// The end user, where it is not remembered.
fn look_up_user<'e>(
    request: &HttpRequest,
    engine: &'e Data<Engine>,
    caller: Caller,
    session: Secret<String>,
) -> LookingUp<'e, (Caller, SignedIn)> {
    let reader = reader(request);
    Box::pin(async move {
        if let Some(signed_in) = sessions::look_up(engine, &*reader?, &caller, &session).await? {
            return Ok((caller, signed_in));
        }
        // Once a minute its use is written down.
        let authenticate = move |engine: &Engine| {
            let signed_in = sessions::authenticate(engine, &caller, &session)?;
            Ok((caller, signed_in))
        };
        run(engine, authenticate).await
    })
}

type LookingUp<'e, T> = Pin<Box<dyn Future<Output = keystead_service::Result<T>> + 'e>>;

/// The app, and its end user.
async fn user(request: &HttpRequest, engine: &Data<Engine>) -> Result<(Caller, SignedIn), Problem> {
    let Presented { token, arrival, end_user_ip } = presented(request, engine)?;
    // What is wrong with these is told to an app that is known, and to nobody else.
    let session = end_user_ip.and_then(|_| credentials::session_token(request));
    let caller = match access::recall(engine, token.expose()) {
        Some(verified) => access::admit(engine, &verified, arrival)?,
        None => look_up_app(request, engine, token, arrival).await?,
    };
    record(&caller);
    let session = session?;
    match sessions::recall(engine, &caller, &session) {
        Some(signed_in) => Ok((caller, signed_in)),
        None => Ok(look_up_user(request, engine, caller, session).await?),
    }
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
            let (caller, signed_in) = user(&request, &engine).await?;
            let body = B::read(&request, &mut payload, body::LIMIT).await?;
            Ok(Self { caller, signed_in, body, engine })
        })
    }
}
