//! Who a person is, or whose script it is, by the one credential of a request: alike on every surface of people.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use keystead_domain::policy::Denied;
use keystead_service::people::{self, Presented, VerifiedPerson};
use keystead_service::{Arrival, Caller, Engine, Error, access};

use crate::credentials::{self, PersonHeader};
use crate::error::Rejection;
use crate::run;

/// What the headers of a request show.
pub(crate) enum Shown {
    /// No credential.
    Nothing,
    /// An `Authorization` that is empty, or not Bearer.
    NoToken,
    /// A credential of somebody who was let in.
    Person(Caller, Arc<VerifiedPerson>),
}

/// Lets in whoever shows a good header credential. A cookie is none.
pub(crate) async fn by_header(request: &HttpRequest, engine: &Data<Engine>) -> Result<Shown, Rejection> {
    let arrival = credentials::arrival(request, engine);
    Ok(match credentials::person(request, &engine.settings().prefixes.api_key)? {
        PersonHeader::Absent => Shown::Nothing,
        PersonHeader::NoToken => Shown::NoToken,
        PersonHeader::Key(presented) => {
            let (caller, verified) = let_in(engine, presented, arrival).await?;
            Shown::Person(caller, verified)
        }
        PersonHeader::Token(token) => {
            // The token of an app may be good, and opens nothing here.
            run(engine, move |engine| access::app(engine, token.expose(), arrival)).await?;
            return Err(Error::from(Denied::Forbidden).into());
        }
    })
}

/// Lets in whoever shows a good credential. One that was verified a moment ago does not leave the event loop.
pub(crate) async fn let_in(
    engine: &Data<Engine>,
    presented: Presented,
    arrival: Arrival,
) -> Result<(Caller, Arc<VerifiedPerson>), Error> {
    let verified = match people::recall(engine, &presented) {
        Some(verified) => verified,
        None => {
            let arrival = arrival.clone();
            run(engine, move |engine| people::verify(engine, &presented, &arrival)).await?
        }
    };
    let caller = people::admit(engine, &verified, arrival)?;
    Ok((caller, verified))
}
