//! `/api/user/me`: the person that calls.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web;
use keystead_domain::Owner;
use keystead_domain::name::Name;
use keystead_domain::policy::Action;
use keystead_service::{Error, accounts};
use serde::Deserialize;
use utoipa::ToSchema;

use super::call::{PersonCall, SessionCall};
use super::cookie;
use super::two_factor::PasswordBody;
use super::views::{Answer, UserView};
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[utoipa::path(
    get,
    path = "/api/user/me",
    tag = "Profile",
    summary = "The person that calls",
    responses(
        (status = 200, description = "The user", body = Answer<UserView>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn me(call: PersonCall) -> Result<HttpResponse, Envelope> {
    let person = call.caller.as_person()?;
    call.caller.allow(Action::ReadProfile, Owner::Platform)?;
    Ok(Answer::ok("User fetched successfully", UserView::from(person)).response())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProfileBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    full_name: Option<String>,
}

impl JsonBody for ProfileBody {
    type Command = Name;

    fn parse(self) -> Result<Name, Error> {
        let mut fields = Fields::default();
        let name = fields.required("fullName", self.full_name.as_deref());
        fields.finish(name)
    }
}

#[utoipa::path(
    put,
    path = "/api/user/me",
    tag = "Profile",
    summary = "Change one's name",
    request_body = ProfileBody,
    responses(
        (status = 200, description = "The user as it is now", body = Answer<UserView>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn change(call: PersonCall<ProfileBody>) -> Result<HttpResponse, Envelope> {
    let PersonCall { caller, body, engine } = call;
    let person = run(&engine, move |engine| accounts::rename(engine, &caller, body)).await?;
    Ok(Answer::ok("User updated successfully", UserView::from(&person)).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/me",
    tag = "Profile",
    summary = "End one's account",
    description = "With it end the organizations that have no other member.",
    request_body = PasswordBody,
    responses(
        (status = 200, description = "It is gone, and the cookie is cleared", body = Answer<Option<String>>),
        (status = 409, description = "One is the last owner of an organization with other members", body = crate::error::EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn end(call: SessionCall<PasswordBody>) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let ended = run(&engine, move |engine| accounts::end(engine, &caller, &signed_in, body));
    ended.await.map_err(Envelope::of_password)?;
    let mut response = Answer::ok("User deleted successfully", None::<String>).response();
    response.headers_mut().append(SET_COOKIE, cookie::clear(&engine)?);
    Ok(response)
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_me>(web::to(me)),
        endpoint::<__path_change>(web::to(change)),
        endpoint::<__path_end>(web::to(end)),
    ]
}
