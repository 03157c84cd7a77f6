//! The second factor of people: `two-factor/*`.

use actix_web::http::header::SET_COOKIE;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{RecoveryCode, TypedFactor};
use keystead_service::{Caller, Code, Engine, Error, Reauthentication, mfa, sign_ins};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::{SessionCall, VisitorCall, try_session};
use super::cookie;
use super::views::{AuthUser, Done};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// The password once more, and a code of the second factor where there is one.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordBody {
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    password: Option<String>,
    /// Of an authenticator app, or a recovery code.
    code: Option<String>,
}

impl JsonBody for PasswordBody {
    type Command = Reauthentication;

    fn parse(self) -> Result<Reauthentication, Error> {
        let mut fields = Fields::default();
        let password = fields.password("password", self.password);
        let password = fields.finish(password)?;
        Ok(Reauthentication { password, second_factor: self.code.as_deref().map(TypedFactor::read) })
    }
}

/// Shown once. None of it is in force before a first code is verified.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EnablingAnswer {
    method: &'static str,
    #[serde(rename = "totpURI")]
    totp_uri: String,
    backup_codes: Vec<String>,
}

fn shown(codes: &[RecoveryCode]) -> Vec<String> {
    codes.iter().map(RecoveryCode::to_groups).collect()
}

#[utoipa::path(
    post,
    path = "/api/auth/two-factor/enable",
    tag = "Second factor of people",
    summary = "Begin to enrol an authenticator app",
    description = "It is in force, with the backup codes, when `verify-totp` got a first code of it.",
    request_body = PasswordBody,
    responses(
        (status = 200, description = "The secret and the backup codes, shown once", body = EnablingAnswer)
    ),
    security(("cookie" = []))
)]
async fn enable(call: SessionCall<PasswordBody>) -> Result<Json<EnablingAnswer>, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let begun = run(&engine, move |engine| mfa::enroll_with_codes(engine, &caller, &signed_in, body));
    let (enrolment, codes) = begun.await.map_err(Envelope::of_password)?;
    Ok(Json(EnablingAnswer {
        method: "totp",
        totp_uri: enrolment.otpauth_url.expose().clone(),
        backup_codes: shown(&codes),
    }))
}

#[utoipa::path(
    post,
    path = "/api/auth/two-factor/disable",
    tag = "Second factor of people",
    summary = "Remove the second factor",
    request_body = PasswordBody,
    responses(
        (status = 200, description = "There is none any more", body = Done)
    ),
    security(("cookie" = []))
)]
async fn disable(call: SessionCall<PasswordBody>) -> Result<Json<Done>, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let disabled = run(&engine, move |engine| mfa::disable(engine, &caller, &signed_in, body));
    disabled.await.map_err(Envelope::of_password)?;
    Ok(Json(Done::YES))
}

/// Shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BackupCodesAnswer {
    status: bool,
    backup_codes: Vec<String>,
}

#[utoipa::path(
    post,
    path = "/api/auth/two-factor/generate-backup-codes",
    tag = "Second factor of people",
    summary = "Put new backup codes in place of all earlier ones",
    request_body = PasswordBody,
    responses(
        (status = 200, description = "The new codes, shown once", body = BackupCodesAnswer)
    ),
    security(("cookie" = []))
)]
async fn generate_backup_codes(call: SessionCall<PasswordBody>) -> Result<Json<BackupCodesAnswer>, Envelope> {
    let SessionCall { caller, signed_in, body, engine } = call;
    let made = run(&engine, move |engine| mfa::new_recovery_codes(engine, &caller, &signed_in, body));
    let codes = made.await.map_err(Envelope::of_password)?;
    Ok(Json(BackupCodesAnswer { status: true, backup_codes: shown(&codes) }))
}

#[derive(Deserialize, ToSchema)]
struct FactorCodeBody {
    #[schema(value_type = String, required)]
    code: Option<String>,
}

impl JsonBody for FactorCodeBody {
    type Command = keystead_domain::Secret<String>;

    fn parse(self) -> Result<Self::Command, Error> {
        let mut fields = Fields::default();
        let code = fields.secret("code", self.code);
        fields.finish(code)
    }
}

/// Somebody whose code was right. The token is that of a new session where one was signed in by it; else it is
/// the id of the present one.
#[derive(Serialize, ToSchema)]
struct FactorVerified {
    token: String,
    user: AuthUser,
}

/// Completes the sign-in that waits in this browser; nothing where none does.
async fn step(
    request: &HttpRequest,
    engine: &Data<Engine>,
    caller: &Caller,
    typed: TypedFactor,
) -> Result<Option<HttpResponse>, Envelope> {
    let Some(challenge) = cookie::read_challenge(request, engine) else { return Ok(None) };
    let caller = caller.clone();
    let done =
        run(engine, move |engine| sign_ins::with_second_factor(engine, &caller, &challenge, typed)).await;
    match done {
        Ok(step) => {
            let token = step.session.token.expose().clone();
            let answer = FactorVerified { token, user: AuthUser::new(&step.user, true) };
            let mut response = HttpResponse::Ok();
            for cookie in cookie::of_sign_in(engine, &step)? {
                response.append_header((SET_COOKIE, cookie));
            }
            response.append_header((SET_COOKIE, cookie::clear_challenge(engine)?));
            Ok(Some(response.json(answer)))
        }
        Err(error) if error.code() == Code::InvalidChallenge => Ok(None),
        Err(error) => Err(Envelope::of_factor(error)),
    }
}

#[utoipa::path(
    post,
    path = "/api/auth/two-factor/verify-totp",
    tag = "Second factor of people",
    summary = "Complete a sign-in, or put an authenticator app into force, with a code of it",
    description = "Where a sign-in waits in this browser for its second factor, the code completes it. Else it \
                   is the first code of what the person that is signed in enrols.",
    request_body = FactorCodeBody,
    responses(
        (status = 200, description = "Signed in; or the second factor is in force", body = FactorVerified),
        (status = 401, description = "The code is wrong, or nothing waits for one", body = EnvelopeBody)
    )
)]
async fn verify_totp(
    request: HttpRequest,
    call: VisitorCall<FactorCodeBody>,
) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    let code = TypedCode::parse(body.expose());
    let typed = code.clone().map_or(TypedFactor::Unreadable, TypedFactor::Totp);
    if let Some(signed_in) = step(&request, &engine, &caller, typed).await? {
        return Ok(signed_in);
    }
    let signed_in = try_session(&request, &engine).await?;
    let signed_in = signed_in.ok_or_else(|| Error::of(Code::InvalidChallenge))?;
    let answer = FactorVerified {
        token: signed_in.session_id().to_string(),
        user: AuthUser::new(signed_in.user(), true),
    };
    let confirmed = run(&engine, move |engine| mfa::confirm_with_codes(engine, &caller, &signed_in, code));
    confirmed.await.map_err(Envelope::of_factor)?;
    Ok(HttpResponse::Ok().json(answer))
}

#[utoipa::path(
    post,
    path = "/api/auth/two-factor/verify-backup-code",
    tag = "Second factor of people",
    summary = "Complete a sign-in with a backup code",
    request_body = FactorCodeBody,
    responses(
        (status = 200, description = "Signed in; the code is used up", body = FactorVerified),
        (status = 401, description = "The code is wrong, or no sign-in waits for one", body = EnvelopeBody)
    )
)]
async fn verify_backup_code(
    request: HttpRequest,
    call: VisitorCall<FactorCodeBody>,
) -> Result<HttpResponse, Envelope> {
    let VisitorCall { caller, body, engine } = call;
    let typed = RecoveryCode::parse(body.expose()).map_or(TypedFactor::Unreadable, TypedFactor::Recovery);
    let signed_in = step(&request, &engine, &caller, typed).await?;
    signed_in.ok_or_else(|| Error::of(Code::InvalidChallenge).into())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_enable>(web::to(enable)),
        endpoint::<__path_disable>(web::to(disable)),
        endpoint::<__path_generate_backup_codes>(web::to(generate_backup_codes)),
        endpoint::<__path_verify_totp>(web::to(verify_totp)),
        endpoint::<__path_verify_backup_code>(web::to(verify_backup_code)),
    ]
}
