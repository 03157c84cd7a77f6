//! `POST /v1/leaked-keys`: anybody who finds API keys where they do not belong has them revoked.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use keystead_service::leaks::{self, Vouched};
use keystead_service::{Caller, Engine, rate_limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body;
use crate::credentials;
use crate::error::{Fault, Problem};
use crate::resource::{Endpoint, endpoint, mount};
use crate::{engine, limits, run};

/// The most bytes that are read: a report of a thousand keys, each with where it was found.
const LIMIT: usize = 1024 * 1024;

/// What was found.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum LeakReportBody {
    /// The keys.
    Keys { keys: Vec<String> },
    /// The keys, bare.
    Bare(Vec<String>),
    /// A report of GitHub's secret-scanning partner programme, signed as `Github-Public-Key-Identifier` and
    /// `Github-Public-Key-Signature` say.
    Scanner(Vec<ScannedToken>),
}

/// One string that a scanner found.
#[derive(Deserialize, ToSchema)]
struct ScannedToken {
    token: String,
    #[expect(dead_code, reason = "said by the scanner; only our own format counts")]
    r#type: Option<String>,
    #[expect(dead_code, reason = "said by the scanner; nothing is fetched")]
    url: Option<String>,
    #[expect(dead_code, reason = "said by the scanner")]
    source: Option<String>,
}

/// The same whatever was reported.
#[derive(Serialize, ToSchema)]
struct LeakReportAnswer {
    status: &'static str,
}

#[utoipa::path(
    post,
    path = "/v1/leaked-keys",
    tag = "Leaked keys",
    summary = "Report API keys that were found where they do not belong",
    request_body = LeakReportBody,
    responses(
        (status = 202, description = "The same whatever the keys are; those that are somebody's are revoked, and their holders told", body = LeakReportAnswer),
        (status = 401, description = "A scanner's report without a good signature", body = crate::error::ProblemBody, content_type = "application/problem+json")
    )
)]
async fn report(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let engine = engine(&request)?;
    let arrival = credentials::arrival(&request, &engine);
    rate_limits::anonymous(&engine, &arrival)?;
    if body::media_type(&request).as_deref() != Some("application/json") {
        return Err(Fault::MediaType { expected: "application/json" }.into());
    }
    let bytes = body::bytes(&request, &mut payload.into_inner(), LIMIT).await?;
    let keys = match body::json_value::<LeakReportBody>(&bytes)? {
        LeakReportBody::Keys { keys } | LeakReportBody::Bare(keys) => keys,
        LeakReportBody::Scanner(tokens) => {
            check_signature(&request, &engine, &bytes)?;
            tokens.into_iter().map(|found| found.token).collect()
        }
    };
    let caller = Caller::visitor(arrival);
    run(&engine, move |engine| leaks::report(engine, &caller, &keys)).await?;
    Ok(HttpResponse::Accepted().json(LeakReportAnswer { status: "received" }))
}

fn check_signature(request: &HttpRequest, engine: &Engine, body: &[u8]) -> Result<(), Problem> {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let vouched = Vouched {
        identifier: header("github-public-key-identifier"),
        signature: header("github-public-key-signature"),
        body,
    };
    Ok(leaks::check_signature(engine, &vouched)?)
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_report>(web::to(report))]
}

pub(crate) fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(
        web::scope("/v1")
            .wrap(actix_web::middleware::from_fn(limits::alone::<Problem>))
            .configure(|cfg| mount(cfg, "/v1", endpoints(), Problem::method_not_allowed))
            .default_service(web::to(async || -> Result<&str, Problem> { Err(Fault::NoSuchPath.into()) })),
    );
}
