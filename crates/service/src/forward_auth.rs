//! Answering proxies that ask whether a request may pass to the service behind them.
//!
//! Nothing is counted: all of a service's traffic comes through one proxy, and a proxy has no use for being
//! told to slow down.

use keystead_domain::Secret;
use keystead_domain::api_key::Environment;
use keystead_domain::id::TenantId;
use keystead_domain::oauth::ScopeSet;
use keystead_domain::policy::{CredentialKind, TenantName};
use keystead_domain::role::Role;

use crate::access::VerifiedApp;
use crate::people::{Presented, VerifiedPerson};
use crate::{Code, Engine, Error, Result, access, people};

/// What a service demands of who passes.
#[derive(Clone, Default, Debug)]
pub struct Demand {
    /// The scopes that the credential has to carry, all of them.
    pub scopes: ScopeSet,
    /// The tenant that it has to act in; nothing for the one where it acts by itself.
    pub tenant: Option<TenantName>,
}

/// What a request shows.
#[derive(Clone)]
pub enum Shown {
    /// An API key or the session of a person.
    Person(Presented),
    /// An access token.
    Token(Secret<String>),
}

/// Who passes, as the service behind the proxy is told.
#[derive(Clone, Debug)]
pub struct Passing {
    /// The user, or the app that acts for itself.
    pub subject: String,
    /// The tenant that it acts in.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// What the person is in the tenant.
    pub role: Option<Role>,
    /// With what.
    pub kind: CredentialKind,
    /// What an API key is for.
    pub environment: Option<Environment>,
}

/// Whether the request may pass.
pub fn check(engine: &Engine, shown: &Shown, demand: &Demand) -> Result<Passing> {
    match shown {
        Shown::Person(presented) => person(engine, &*people::look(engine, presented)?, demand),
        Shown::Token(token) => app(&*access::look(engine, token.expose())?, demand),
    }
}

/// The same for a credential that was verified a moment ago, if that still stands. Does not block.
pub fn check_at_once(engine: &Engine, shown: &Shown, demand: &Demand) -> Option<Result<Passing>> {
    match shown {
        Shown::Person(presented) => Some(person(engine, &*people::recall(engine, presented)?, demand)),
        Shown::Token(token) => Some(app(&*access::recall(engine, token.expose())?, demand)),
    }
}

fn person(engine: &Engine, verified: &VerifiedPerson, demand: &Demand) -> Result<Passing> {
    let person = verified.principal();
    let seen = person.seen_at(demand.tenant.as_ref())?;
    carries(&seen.scopes, demand)?;
    people::note_use(engine, verified);
    let key = person.key();
    Ok(Passing {
        subject: person.user.id.to_string(),
        tenant: seen.standing.map(|standing| standing.tenant.id),
        scopes: seen.scopes,
        role: seen.standing.map(|standing| standing.role),
        kind: if key.is_some() { CredentialKind::ApiKey } else { CredentialKind::Session },
        environment: key.map(|key| key.environment),
    })
}

fn app(verified: &VerifiedApp, demand: &Demand) -> Result<Passing> {
    let app = verified.principal();
    app.acts_at(demand.tenant.as_ref())?;
    carries(&app.scopes, demand)?;
    Ok(Passing {
        subject: verified.claims().sub.clone(),
        tenant: app.tenant.as_ref().map(|tenant| tenant.id),
        scopes: app.scopes.clone(),
        role: None,
        kind: CredentialKind::AccessToken,
        environment: None,
    })
}

fn carries(scopes: &ScopeSet, demand: &Demand) -> Result<()> {
    if demand.scopes.is_subset(scopes) { Ok(()) } else { Err(Error::of(Code::InsufficientScope)) }
}
