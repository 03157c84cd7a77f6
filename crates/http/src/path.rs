//! What stands in the path of a request.

use std::str::FromStr;

use actix_web::HttpRequest;
use keystead_domain::id::TenantId;
use keystead_domain::policy::Denied;
use keystead_service::{Code, Error};

/// The organization. What is no id names none that the caller is in.
pub(crate) fn organization(request: &HttpRequest) -> Result<TenantId, Denied> {
    find(request, "organizationId").ok_or(Denied::NotAMember)
}

/// A record by its id. What is no id names none.
pub(crate) fn record<T: FromStr>(request: &HttpRequest, name: &str) -> Result<T, Error> {
    find(request, name).ok_or_else(|| Error::of(Code::NotFound))
}

fn find<T: FromStr>(request: &HttpRequest, name: &str) -> Option<T> {
    request.match_info().get(name)?.parse().ok()
}
