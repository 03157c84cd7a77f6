//! What people do to their accounts: `update-user`, `change-email`, `delete-user`.

use actix_web::HttpResponse;
use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Json};
use keystead_domain::Email;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::second_factor::TypedFactor;
use keystead_service::{Error, Reauthentication, accounts, address_changes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::SessionCall;
use super::cookie;
use super::targets::{self, Target};
use super::two_factor::PasswordBody;
use super::views::Done;
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

#[derive(Deserialize, ToSchema)]
struct UserNameBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
}

impl JsonBody for UserNameBody {
    type Command = Name;

    fn parse(self) -> Result<Name, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", self.name.as_deref());
        fields.finish(name)
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/update-user",
    tag = "Account",
    summary = "Change one's name",
    request_body = UserNameBody,
    responses(
        (status = 200, description = "It is changed", body = Done)
    ),
    security(("cookie" = []))
)]
async fn update(call: SessionCall<UserNameBody>) -> Result<Json<Done>, Envelope> {
    let SessionCall { caller, body, engine, .. } = call;
    run(&engine, move |engine| accounts::rename(engine, &caller, body)).await?;
    Ok(Json(Done::YES))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewEmailBody {
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    new_email: Option<String>,
    /// Where it is missing, the session has to have begun less than 10 minutes ago.
    #[schema(format = "password", max_length = 1024)]
    password: Option<String>,
    /// A code of the second factor, where there is one and the password is sent.
    code: Option<String>,
    #[serde(rename = "callbackURL")]
    callback_url: Option<String>,
}

struct NewEmail {
    email: Email,
    proof: Option<Reauthentication>,
    onward: Option<String>,
}

impl JsonBody for NewEmailBody {
    type Command = NewEmail;

    fn parse(self) -> Result<NewEmail, Error> {
        let mut fields = Fields::default();
        let email = fields.required("newEmail", self.new_email.as_deref());
        let password = self
            .password
            .map(|text| Password::attempt(&text).map_err(|error| fields.refuse("password", error)).ok());
        let email = fields.finish(email)?;
        let second_factor = self.code.as_deref().map(TypedFactor::read);
        let proof = password.flatten().map(|password| Reauthentication { password, second_factor });
        Ok(NewEmail { email, proof, onward: self.callback_url })
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/change-email",
    tag = "Account",
    summary = "Ask for another address",
    description = "It takes effect when it is confirmed from there; the former address is told then, and can undo it \
                   for 72 hours. The answer is the same whether or not somebody has the address.",
    request_body = NewEmailBody,
    responses(
        (status = 200, description = "The new address gets a mail", body = Done)
    ),
    security(("cookie" = []))
)]
async fn change_email(call: SessionCall<NewEmailBody>) -> Result<Json<Done>, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let NewEmail { email, proof, onward } = body;
    targets::check(&engine, Target::Callback, onward.as_deref())?;
    let asked = run(&engine, move |engine| address_changes::ask(engine, &caller, &signed_in, email, proof));
    asked.await.map_err(Envelope::of_password)?;
    Ok(Json(Done::YES))
}

#[derive(Serialize, ToSchema)]
struct UserDeleted {
    success: bool,
    message: &'static str,
}

#[utoipa::path(
    post,
    path = "/api/auth/delete-user",
    tag = "Account",
    summary = "End one's account",
    description = "With it end the organizations that have no other member.",
    request_body = PasswordBody,
    responses(
        (status = 200, description = "It is gone, and the cookie is cleared", body = UserDeleted),
        (status = 409, description = "One is the last owner of an organization with other members", body = EnvelopeBody)
    ),
    security(("cookie" = []))
)]
async fn delete(call: SessionCall<PasswordBody>) -> Result<HttpResponse, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let ended = run(&engine, move |engine| accounts::end(engine, &caller, &signed_in, body));
    ended.await.map_err(Envelope::of_password)?;
    let cleared = cookie::clear(&engine)?;
    let answer = UserDeleted { success: true, message: "User deleted" };
    Ok(HttpResponse::Ok().append_header((SET_COOKIE, cleared)).json(answer))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_update>(web::to(update)),
        endpoint::<__path_change_email>(web::to(change_email)),
        endpoint::<__path_delete>(web::to(delete)),
    ]
}
