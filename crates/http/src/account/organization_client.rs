//! `/api/auth/organization/*`: the same organizations, as npm `better-auth/client` calls them.
//!
//! Where no organization is named, the one is meant that the session works in, which `set-active` says.

mod invitations;
mod members;
mod organizations;

use actix_web::HttpRequest;
use keystead_domain::id::TenantId;
use keystead_domain::policy::{Denied, PersonCredential};
use keystead_service::paging::PageAsked;
use keystead_service::{Caller, Code, Error};
use serde::Deserialize;

use super::query::Query;
use crate::error::Envelope;
use crate::resource::Endpoint;

pub(crate) fn endpoints() -> Vec<Endpoint> {
    [organizations::endpoints(), invitations::endpoints(), members::endpoints()]
        .into_iter()
        .flatten()
        .collect()
}

/// How many members and invitations an answer has at most.
const MOST: PageAsked = PageAsked { number: 1, size: 100 };

/// The organization that a session works in.
fn active(caller: &Caller) -> Result<Option<TenantId>, Denied> {
    Ok(match caller.as_person()?.credential {
        PersonCredential::Session { active, .. } => active,
        PersonCredential::Key(_) => None,
    })
}

/// The organization that is named, by its id or its slug; nothing where none is.
fn named(caller: &Caller, id: Option<&str>, slug: Option<&str>) -> Result<Option<TenantId>, Denied> {
    if let Some(id) = id {
        return id.parse().map(Some).map_err(|_| Denied::NotAMember);
    }
    let Some(slug) = slug else { return Ok(None) };
    let standings = &caller.as_person()?.standings;
    let found = standings.iter().find(|standing| standing.tenant.slug.as_str() == slug);
    found.map(|standing| Some(standing.tenant.id)).ok_or(Denied::NotAMember)
}

/// The organization that is named, or that the session works in.
fn meant(caller: &Caller, id: Option<&str>) -> Result<TenantId, Envelope> {
    let none = || {
        Error::of(Code::TenantNotNamed)
            .saying("Say which organization is meant, in organizationId, or set one active first.")
    };
    match named(caller, id, None)? {
        Some(tenant) => Ok(tenant),
        None => Ok(active(caller)?.ok_or_else(none)?),
    }
}

/// The organization that a query names, or that the session works in.
fn asked(request: &HttpRequest, caller: &Caller) -> Result<TenantId, Envelope> {
    let mut query = Query::read(request)?;
    let id: Option<String> = query.optional("organizationId");
    query.finish(Some(()))?;
    meant(caller, id.as_deref())
}

/// One role, or a list of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneRole {
    Word(String),
    Words([String; 1]),
}

impl OneRole {
    fn as_str(&self) -> &str {
        match self {
            Self::Word(word) | Self::Words([word]) => word,
        }
    }
}
