//! `/api/user/organizations/{organizationId}/mfa`: what an organization demands of its members.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::tenant::Demands;
use keystead_service::Error;
use keystead_service::demands::{self, DemandsChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::SessionCall;
use super::members::MemberView;
use super::query;
use super::views::Answer;
use crate::body::{Fields, JsonBody};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// What an organization demands of its members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DemandsView {
    /// A second factor.
    required: bool,
    /// API keys that are pinned to it; no others reach it.
    pinned_keys_only: bool,
}

impl From<Demands> for DemandsView {
    fn from(demands: Demands) -> Self {
        Self { required: demands.second_factor, pinned_keys_only: demands.pinned_keys }
    }
}

/// What an organization demands, and which of its members have a second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ComplianceView {
    #[serde(flatten)]
    demands: DemandsView,
    /// How many members have a second factor.
    compliant: i64,
    /// How many have none.
    non_compliant: i64,
    /// A page of the members.
    members: Vec<MemberView>,
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/mfa",
    tag = "Organizations",
    summary = "What an organization demands of its members, and who has a second factor; for owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("page" = Option<u32>, Query, description = "Of the members, from 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "The policy, and a page of the members", body = Answer<ComplianceView>)
    ),
    security(("cookie" = []))
)]
async fn show(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let page = query::page(&request)?;
    let shown = run(&engine, move |engine| demands::show(engine, &caller, tenant, page)).await?;
    let view = ComplianceView {
        demands: shown.demands.into(),
        compliant: shown.with_second_factor,
        non_compliant: shown.members.total - shown.with_second_factor,
        members: shown.members.items.iter().map(|member| MemberView::of(member, true)).collect(),
    };
    Ok(Answer::ok("MFA policy fetched successfully", view).paged(page, shown.members.total).response())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DemandsBody {
    /// Whether members have to have a second factor. Who has none cannot require it.
    required: Option<bool>,
    /// Whether only API keys that are pinned to the organization reach it.
    pinned_keys_only: Option<bool>,
}

impl JsonBody for DemandsBody {
    type Command = DemandsChange;

    fn parse(self) -> Result<DemandsChange, Error> {
        let mut fields = Fields::default();
        if self.required.is_none() && self.pinned_keys_only.is_none() {
            fields.refuse("required", "is required, or pinnedKeysOnly is");
        }
        let change = DemandsChange { second_factor: self.required, pinned_keys: self.pinned_keys_only };
        fields.finish(Some(change))
    }
}

#[utoipa::path(
    put,
    path = "/api/user/organizations/{organizationId}/mfa",
    tag = "Organizations",
    summary = "Change what an organization demands of its members; for owners",
    params(("organizationId" = String, Path, description = "Its id")),
    request_body = DemandsBody,
    responses(
        (status = 200, description = "What it demands now", body = Answer<DemandsView>)
    ),
    security(("cookie" = []))
)]
async fn change(request: HttpRequest, call: SessionCall<DemandsBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, body, engine, .. }) = (path::organization(&request)?, call);
    let demands = run(&engine, move |engine| demands::change(engine, &caller, tenant, body)).await?;
    Ok(Answer::ok("MFA policy updated successfully", DemandsView::from(demands)).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_show>(web::to(show)), endpoint::<__path_change>(web::to(change))]
}
