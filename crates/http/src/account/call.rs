//! A call of the account API: who calls is found out first, then the body is read.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use keystead_domain::policy::Denied;
use keystead_service::people::{Presented, VerifiedPerson};
use keystead_service::sessions::SignedIn;
use keystead_service::{Caller, Code, Engine, rate_limits};

use super::{LIMIT, cookie};
use crate::body::Body;
use crate::error::{Envelope, Fault};
use crate::person::{self, Shown};
use crate::{credentials, engine};

/// A call by a person, with a session or an API key.
pub(crate) struct PersonCall<B: Body = ()> {
    pub(crate) caller: Caller,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// A call by a person with a session. Header credentials are none here.
pub(crate) struct SessionCall<B: Body = ()> {
    pub(crate) caller: Caller,
    pub(crate) signed_in: SignedIn,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// A call by somebody who proves nothing.
pub(crate) struct VisitorCall<B: Body> {
    pub(crate) caller: Caller,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// Who calls: by a header credential, else by the cookie.
async fn authenticate(
    request: &HttpRequest,
    engine: &Data<Engine>,
) -> Result<(Caller, Arc<VerifiedPerson>), Envelope> {
    match person::by_header(request, engine).await? {
        Shown::Person(caller, verified) => Ok((caller, verified)),
        Shown::NoToken => Err(Envelope::NoToken),
        Shown::Nothing => {
            let session = cookie::read(request, engine).ok_or(Fault::NoCredential)?;
            let mut arrival = credentials::arrival(request, engine);
            arrival.device = cookie::read_device(request, engine);
            Ok(person::let_in(engine, Presented::Session(session), arrival).await?)
        }
    }
}

/// The session that the cookie holds, if there is a cookie and it is good.
pub(crate) async fn try_session(
    request: &HttpRequest,
    engine: &Data<Engine>,
) -> Result<Option<SignedIn>, Envelope> {
    let unknown =
        |error: &Envelope| matches!(error, Envelope::Service(e) if e.code() == Code::InvalidSession);
    if cookie::read(request, engine).is_none() {
        return Ok(None);
    }
    match authenticate(request, engine).await {
        Ok((_, verified)) => Ok(verified.session().cloned()),
        Err(error) if unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Envelope>>>>;

impl<B: Body + 'static> FromRequest for PersonCall<B> {
    type Error = Envelope;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let (caller, _) = authenticate(&request, &engine).await?;
            let body = B::read(&request, &mut payload, LIMIT).await?;
            Ok(Self { caller, body, engine })
        })
    }
}

impl<B: Body + 'static> FromRequest for SessionCall<B> {
    type Error = Envelope;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let (caller, verified) = authenticate(&request, &engine).await?;
            let signed_in = verified.session().cloned().ok_or(Denied::SessionRequired)?;
            let body = B::read(&request, &mut payload, LIMIT).await?;
            Ok(Self { caller, signed_in, body, engine })
        })
    }
}

impl<B: Body + 'static> FromRequest for VisitorCall<B> {
    type Error = Envelope;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let mut arrival = credentials::arrival(&request, &engine);
            arrival.device = cookie::read_device(&request, &engine);
            rate_limits::anonymous(&engine, &arrival)?;
            let body = B::read(&request, &mut payload, LIMIT).await?;
            Ok(Self { caller: Caller::visitor(arrival), body, engine })
        })
    }
}
