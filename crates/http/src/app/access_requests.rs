//! `POST /v2/access-requests`: a company asks for an app. Nobody has to prove anything for that.

use actix_web::HttpResponse;
use actix_web::web;
use keystead_domain::access_request::RequestStatus;
use keystead_service::Error;
use keystead_service::access_requests::{self, NewAccessRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::PublicCall;
use crate::body::{Fields, JsonBody};
use crate::error::Problem;
use crate::resource::{Endpoint, endpoint};
use crate::run;

/// What is typed to ask for access, here and on the page.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AccessRequestBody {
    #[schema(value_type = String, required)]
    pub(crate) company: Option<String>,
    #[schema(value_type = String, required, format = "email", max_length = 254)]
    pub(crate) contact_email: Option<String>,
    #[schema(value_type = String, required)]
    pub(crate) intended_use: Option<String>,
}

impl JsonBody for AccessRequestBody {
    type Command = NewAccessRequest;

    fn parse(self) -> Result<NewAccessRequest, Error> {
        let mut fields = Fields::default();
        let company = fields.required("company", self.company.as_deref());
        let contact = fields.required("contact_email", self.contact_email.as_deref());
        let intended_use = fields.required("intended_use", self.intended_use.as_deref());
        let (company, contact, intended_use) = fields.finish((company, contact, intended_use))?;
        Ok(NewAccessRequest { company, contact, intended_use })
    }
}

#[derive(Serialize, ToSchema)]
struct AccessRequestAnswer {
    request_id: String,
    status: &'static str,
}

#[utoipa::path(
    post,
    path = "/v2/access-requests",
    tag = "Access requests",
    summary = "Ask for an app, without a credential",
    request_body = AccessRequestBody,
    responses((status = 202, description = "The same whatever exists", body = AccessRequestAnswer))
)]
async fn leave(call: PublicCall<AccessRequestBody>) -> Result<HttpResponse, Problem> {
    let PublicCall { caller, body, engine } = call;
    let id = run(&engine, move |engine| access_requests::leave(engine, &caller, body)).await?;
    Ok(HttpResponse::Accepted()
        .json(AccessRequestAnswer { request_id: id.to_string(), status: RequestStatus::Pending.as_str() }))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_leave>(web::to(leave))]
}
