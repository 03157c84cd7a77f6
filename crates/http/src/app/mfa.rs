//! A signed-in end user's second factor: `mfa/totp/enroll`, `confirm`, `disable`,
//! `mfa/recovery-codes`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json};
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{RecoveryCode, TypedFactor};
use keystead_service::{Error, Reauthentication, mfa};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::UserCall;
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// The password once more, and a code of the second factor where there is one.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ProofBody {
    #[serde(alias = "password")]
    #[schema(value_type = String, required, format = "password", max_length = 1024)]
    current_password: Option<String>,
    totp_code: Option<String>,
}

impl JsonBody for ProofBody {
    type Command = Reauthentication;

    fn parse(self) -> Result<Reauthentication, Error> {
        let mut fields = Fields::default();
        let password = fields.password("current_password", self.current_password);
        let password = fields.finish(password)?;
        Ok(Reauthentication { password, second_factor: self.totp_code.as_deref().map(TypedFactor::read) })
    }
}

/// Shown once.
#[derive(Serialize, ToSchema)]
struct EnrolmentAnswer {
    otpauth_url: String,
    secret: String,
    qr_svg: String,
}

#[utoipa::path(
    post,
    path = "/v2/auth/mfa/totp/enroll",
    tag = "Second factor",
    summary = "Begin to enrol an authenticator app",
    request_body = ProofBody,
    responses(
        (status = 200, description = "The secret, shown once", body = EnrolmentAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn enroll(call: UserCall<ProofBody>) -> Result<Json<EnrolmentAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let enrolment = run(&engine, move |engine| mfa::enroll(engine, &caller, &signed_in, body)).await?;
    Ok(Json(EnrolmentAnswer {
        qr_svg: qr_svg(enrolment.otpauth_url.expose())?,
        otpauth_url: enrolment.otpauth_url.expose().clone(),
        secret: enrolment.secret.expose().clone(),
    }))
}

/// Black on white whatever the page's colours are, since cameras want the contrast.
fn qr_svg(url: &str) -> Result<String, Error> {
    let code = QrCode::new(url).map_err(Error::internal)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
}

#[derive(Deserialize, ToSchema)]
struct TotpConfirmBody {
    #[serde(alias = "totp_code")]
    #[schema(value_type = String, required)]
    code: Option<String>,
}

impl JsonBody for TotpConfirmBody {
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    type Command = Option<TypedCode>;

    fn parse(self) -> Result<Option<TypedCode>, Error> {
        let mut fields = Fields::default();
        let code = fields.secret("code", self.code);
        Ok(TypedCode::parse(fields.finish(code)?.expose()))
    }
}

/// Shown once.
#[derive(Serialize, ToSchema)]
struct RecoveryCodesAnswer {
    mfa_enabled: bool,
    recovery_codes: Vec<String>,
}

impl From<Vec<RecoveryCode>> for RecoveryCodesAnswer {
    fn from(codes: Vec<RecoveryCode>) -> Self {
        Self { mfa_enabled: true, recovery_codes: codes.iter().map(RecoveryCode::to_groups).collect() }
    }
}

#[utoipa::path(
    post,
    path = "/v2/auth/mfa/totp/confirm",
    tag = "Second factor",
    summary = "Put the second factor into force with its first code",
    request_body = TotpConfirmBody,
    responses(
        (status = 200, description = "The recovery codes, shown once", body = RecoveryCodesAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn confirm(call: UserCall<TotpConfirmBody>) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let codes = run(&engine, move |engine| mfa::confirm(engine, &caller, &signed_in, body)).await?;
    Ok(Json(codes.into()))
}

#[utoipa::path(
    post,
    path = "/v2/auth/mfa/totp/disable",
    tag = "Second factor",
    summary = "Remove the second factor",
    request_body = ProofBody,
    responses(
        (status = 204, description = "Removed")
    ),
    security(("app" = [], "session" = []))
)]
async fn disable(call: UserCall<ProofBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    run(&engine, move |engine| mfa::disable(engine, &caller, &signed_in, body)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/v2/auth/mfa/recovery-codes",
    tag = "Second factor",
    summary = "Make new recovery codes in place of the old",
    request_body = ProofBody,
    responses(
        (status = 200, description = "The recovery codes, shown once", body = RecoveryCodesAnswer)
    ),
    security(("app" = [], "session" = []))
)]
async fn new_recovery_codes(call: UserCall<ProofBody>) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let codes =
        run(&engine, move |engine| mfa::new_recovery_codes(engine, &caller, &signed_in, body)).await?;
    Ok(Json(codes.into()))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_enroll>(web::to(enroll)),
        endpoint::<__path_confirm>(web::to(confirm)),
        endpoint::<__path_disable>(web::to(disable)),
        endpoint::<__path_new_recovery_codes>(web::to(new_recovery_codes)),
    ]
}
