//! How the account API shows instants and users, and the envelope of an answer.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use keystead_domain::Timestamp;
use keystead_domain::policy::PersonPrincipal;
use keystead_domain::user::{User, UserStatus};
use keystead_service::paging::PageAsked;
use serde::Serialize;
use utoipa::ToSchema;

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_rfc3339_millis()
}

/// The envelope of an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Answer<T> {
    success: bool,
    status: u16,
    code: &'static str,
    message: &'static str,
    data: T,
    /// With lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<AnswerMeta>,
}

/// What is told beside the data.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerMeta {
    pagination: Pagination,
}

/// Where in a list a page is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pagination {
    page: u32,
    limit: u32,
    total: i64,
    total_pages: i64,
}

impl Pagination {
    fn of(page: PageAsked, total: i64) -> Self {
        let limit = i64::from(page.size.max(1));
        let total_pages = total.saturating_add(limit - 1) / limit;
        Self { page: page.number, limit: page.size, total, total_pages }
    }
}

impl<T: Serialize> Answer<T> {
    /// An answer of status 200.
    pub(crate) const fn ok(message: &'static str, data: T) -> Self {
        Self { success: true, status: 200, code: "OK", message, data, meta: None }
    }

    /// An answer of status 201.
    pub(crate) const fn created(message: &'static str, data: T) -> Self {
        Self { success: true, status: 201, code: "CREATED", message, data, meta: None }
    }

    /// That this is a page of a list of `total` entries.
    pub(crate) fn paged(mut self, page: PageAsked, total: i64) -> Self {
        self.meta = Some(AnswerMeta { pagination: Pagination::of(page, total) });
        self
    }

    /// The response.
    pub(crate) fn response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        HttpResponse::build(status).json(self)
    }
}

/// That something was done, as `/api/auth` says so.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    status: bool,
}

impl Done {
    pub(crate) const YES: Self = Self { status: true };
}

/// A user as `/api/auth` shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthUser {
    id: String,
    email: String,
    name: String,
    /// Keystead keeps no pictures.
    #[schema(nullable, required)]
    image: Option<String>,
    email_verified: bool,
    two_factor_enabled: bool,
    created_at: String,
    updated_at: String,
}

impl AuthUser {
    pub(crate) fn new(user: &User, two_factor_enabled: bool) -> Self {
        Self {
            id: user.id.to_ulid(),
            email: user.email.to_string(),
            name: user.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            image: None,
            email_verified: user.email_verified_at.is_some(),
            two_factor_enabled,
            created_at: instant(user.created_at),
            updated_at: instant(user.updated_at),
        }
    }
}

/// A user as `/api/user` shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    id: String,
    email: String,
    full_name: String,
    #[schema(nullable, required)]
    handle: Option<String>,
    is_verified: bool,
    #[schema(nullable, required)]
    verified_at: Option<String>,
    is_active: bool,
    #[schema(nullable, required)]
    last_login_at: Option<String>,
    /// `user`, or `operator` for who runs the platform.
    role: &'static str,
    organization_count: usize,
    two_factor_enabled: bool,
    created_at: String,
    updated_at: String,
}

impl From<&PersonPrincipal> for UserView {
    fn from(person: &PersonPrincipal) -> Self {
        let user = &person.user;
        Self {
            id: user.id.to_ulid(),
            email: user.email.to_string(),
            full_name: user.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            handle: user.handle.as_ref().map(ToString::to_string),
            is_verified: user.email_verified_at.is_some(),
            verified_at: user.email_verified_at.map(instant),
            is_active: user.status == UserStatus::Active,
            last_login_at: user.last_login_at.map(instant),
            role: if user.operator { "operator" } else { "user" },
            organization_count: person.standings.len(),
            two_factor_enabled: person.second_factor,
            created_at: instant(user.created_at),
            updated_at: instant(user.updated_at),
        }
    }
}
