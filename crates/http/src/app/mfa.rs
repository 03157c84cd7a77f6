//! A signed-in end user's second factor: `mfa/totp/enroll`, `confirm`, `disable`,
//! `mfa/recovery-codes`.

use actix_web::HttpResponse;
use actix_web::web::{self, Json, ServiceConfig};
use keystead_domain::registration::TypedCode;
use keystead_domain::second_factor::{RecoveryCode, TypedFactor};
use keystead_service::{Error, Reauthentication, mfa};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};

use super::call::{JsonBody, UserCall};
use crate::body::Fields;
use crate::error::Problem;
use crate::resource::{path, post};
use crate::run;

/// The password once more, and a code of the second factor where there is one.
#[derive(Deserialize)]
pub(crate) struct ProofBody {
    #[serde(alias = "password")]
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
#[derive(Serialize)]
struct EnrolmentAnswer {
    otpauth_url: String,
    secret: String,
    qr_svg: String,
}

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

#[derive(Deserialize)]
struct ConfirmBody {
    #[serde(alias = "totp_code")]
    code: Option<String>,
}

impl JsonBody for ConfirmBody {
    /// Nothing where what was typed can be no code: it is refused like any wrong one.
    type Command = Option<TypedCode>;

    fn parse(self) -> Result<Option<TypedCode>, Error> {
        let mut fields = Fields::default();
        let code = fields.secret("code", self.code);
        Ok(TypedCode::parse(fields.finish(code)?.expose()))
    }
}

/// Shown once.
#[derive(Serialize)]
struct RecoveryCodesAnswer {
    mfa_enabled: bool,
    recovery_codes: Vec<String>,
}

impl From<Vec<RecoveryCode>> for RecoveryCodesAnswer {
    fn from(codes: Vec<RecoveryCode>) -> Self {
        Self { mfa_enabled: true, recovery_codes: codes.iter().map(RecoveryCode::to_groups).collect() }
    }
}

async fn confirm(call: UserCall<ConfirmBody>) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let codes = run(&engine, move |engine| mfa::confirm(engine, &caller, &signed_in, body)).await?;
    Ok(Json(codes.into()))
}

async fn disable(call: UserCall<ProofBody>) -> Result<HttpResponse, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    run(&engine, move |engine| mfa::disable(engine, &caller, &signed_in, body)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn new_recovery_codes(call: UserCall<ProofBody>) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let UserCall { caller, signed_in, body, engine } = call;
    let codes =
        run(&engine, move |engine| mfa::new_recovery_codes(engine, &caller, &signed_in, body)).await?;
    Ok(Json(codes.into()))
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    path(cfg, "/auth/mfa/totp/enroll", [post(web::to(enroll))], Problem::method_not_allowed);
    path(cfg, "/auth/mfa/totp/confirm", [post(web::to(confirm))], Problem::method_not_allowed);
    path(cfg, "/auth/mfa/totp/disable", [post(web::to(disable))], Problem::method_not_allowed);
    path(cfg, "/auth/mfa/recovery-codes", [post(web::to(new_recovery_codes))], Problem::method_not_allowed);
}
