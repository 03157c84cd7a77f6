//! Telling a service what a credential is that somebody showed it (RFC 7662).

use std::sync::Arc;

use keystead_domain::api_key::{Environment, KeyText};
use keystead_domain::app::ClientId;
use keystead_domain::id::TenantId;
use keystead_domain::oauth::{ScopeSet, resembles_jwt};
use keystead_domain::policy::{Action, AppPrincipal, CredentialKind, Denied, Principal, TenantScope};
use keystead_domain::rate_limit::{Limit, Subject};
use keystead_domain::role::Role;
use keystead_domain::slug::Slug;
use keystead_domain::tenant::PlanName;
use keystead_domain::{Secret, Timestamp, TokenDigest};

use crate::access::VerifiedApp;
use crate::people::{Presented, VerifiedPerson};
use crate::sessions::SignedIn;
use crate::{Arrival, Code, Engine, Error, Result, access, people, rate_limits, sessions, tokens};

/// What an app that asks shows of itself.
#[derive(Clone)]
pub enum Asker {
    /// Its id and secret.
    Client(ClientId, Secret<String>),
    /// An access token that it got for itself.
    Token(Secret<String>),
}

/// What a live credential is.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// What kind it is.
    pub kind: CredentialKind,
    /// Who shows it: a user, or an app that acts for itself.
    pub subject: String,
    /// The app that it was issued to.
    pub client_id: Option<String>,
    /// What it may do now.
    pub scopes: ScopeSet,
    /// Since when it is there.
    pub issued_at: Timestamp,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// How it is presented (RFC 6749 §7.1), where it is an access token.
    pub token_type: Option<&'static str>,
    /// For whom it is.
    pub audience: Option<String>,
    /// Its own id, which authenticates nothing.
    pub id: String,
    /// The tenant whose app or end user it belongs to.
    pub tenant: Option<TenantId>,
    /// The tenant that a person acts in with it.
    pub organization: Option<Organization>,
    /// What an API key is for.
    pub environment: Option<Environment>,
}

/// A tenant, and what a person is in it.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// The person's role.
    pub role: Role,
    /// Its plan.
    pub plan: PlanName,
}

/// What was found under a text that somebody presented.
enum Found {
    Person(Arc<VerifiedPerson>),
    App(Arc<VerifiedApp>),
    EndUser(SignedIn),
}

/// Answers an app that asks what `presented` is: nothing for what is no good and for what is none of its
/// business. The request counts for the app, whatever it asks about.
pub fn ask(
    engine: &Engine,
    arrival: &Arrival,
    asker: &Asker,
    presented: &Secret<String>,
) -> Result<Option<Introspection>> {
    let app = match asker {
        Asker::Client(id, secret) => tokens::client(engine, arrival, id, secret)?,
        Asker::Token(token) => match access::look(engine, token.expose()) {
            Err(error) if error.code() == Code::InvalidToken => {
                return Err(rate_limits::refused_bearer(engine, arrival).err().unwrap_or(error));
            }
            other => Arc::clone(other?.principal()),
        },
    };
    let scope = admit(engine, arrival, &app)?;
    match find(engine, scope, presented) {
        Ok(found) => Ok(describe(engine, &app, &found)),
        Err(error) if people::is_no_good(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same where both the app and the credential were verified a moment ago and still stand; else nothing,
/// and nothing is counted. Does not block.
pub fn ask_at_once(
    engine: &Engine,
    arrival: &Arrival,
    asker: &Asker,
    presented: &Secret<String>,
) -> Option<Result<Option<Introspection>>> {
    let app = match asker {
        Asker::Client(id, secret) => tokens::recall(engine, id, &TokenDigest::of(secret.expose()))?,
        Asker::Token(token) => Arc::clone(access::recall(engine, token.expose())?.principal()),
    };
    let found = recall(engine, &app, presented)?;
    Some(admit(engine, arrival, &app).map(|_| describe(engine, &app, &found)))
}

/// Counts the request for the app, and opens what it may ask about.
fn admit(engine: &Engine, arrival: &Arrival, app: &Arc<AppPrincipal>) -> Result<TenantScope> {
    engine.count(&arrival.meter, &[(Limit::App, Subject::App(app.id))])?;
    allow(app).map_err(|denied| match denied {
        Denied::TenantSuspended => Error::of(Code::UnauthorizedClient),
        other => other.into(),
    })
}

fn allow(app: &Arc<AppPrincipal>) -> std::result::Result<TenantScope, Denied> {
    Principal::App(Arc::clone(app)).allow(Action::Introspect, app.owner())
}

/// What somebody presented. Its form says which kind it is, and it is looked up among those alone.
enum Shape<'t> {
    Key(Presented),
    Jwt(&'t str),
    /// A session, or a key that another system made.
    Opaque(&'t Secret<String>),
}

impl<'t> Shape<'t> {
    fn of(engine: &Engine, presented: &'t Secret<String>) -> Self {
        let text = presented.expose();
        if KeyText::resembles(text, &engine.settings.prefixes.api_key) {
            Self::Key(Presented::Key(presented.clone()))
        } else if resembles_jwt(text) {
            Self::Jwt(text)
        } else {
            Self::Opaque(presented)
        }
    }
}

fn find(engine: &Engine, scope: TenantScope, presented: &Secret<String>) -> Result<Found> {
    match Shape::of(engine, presented) {
        Shape::Key(key) => people::look(engine, &key).map(Found::Person),
        Shape::Jwt(text) => access::look(engine, text).map(Found::App),
        // Sessions of the platform's directory are not even looked for.
        Shape::Opaque(token) if scope.owner().tenant().is_none() => foreign_key(engine, token),
        Shape::Opaque(token) => match sessions::find_in(engine, scope, token) {
            Err(error) if people::is_no_good(&error) => foreign_key(engine, token),
            found => found.map(Found::EndUser),
        },
    }
}

fn recall(engine: &Engine, app: &Arc<AppPrincipal>, presented: &Secret<String>) -> Option<Found> {
    match Shape::of(engine, presented) {
        Shape::Key(key) => people::recall(engine, &key).map(Found::Person),
        Shape::Jwt(text) => access::recall(engine, text).map(Found::App),
        Shape::Opaque(token) => {
            let session = if app.tenant.is_none() {
                None
            } else {
                sessions::recall_in(engine, allow(app).ok()?, token).map(Found::EndUser)
            };
            session.or_else(|| people::recall(engine, &Presented::Opaque(token.clone())).map(Found::Person))
        }
    }
}

fn foreign_key(engine: &Engine, token: &Secret<String>) -> Result<Found> {
    people::look(engine, &Presented::Opaque(token.clone())).map(Found::Person)
}

fn describe(engine: &Engine, asking: &AppPrincipal, found: &Found) -> Option<Introspection> {
    match found {
        Found::Person(verified) => of_person(engine, asking, verified),
        Found::App(verified) => of_app(asking, verified),
        Found::EndUser(signed_in) => Some(of_end_user(engine, signed_in)),
    }
}

fn of_person(engine: &Engine, asking: &AppPrincipal, verified: &VerifiedPerson) -> Option<Introspection> {
    let person = verified.principal();
    let (seen, key) = (person.seen_by(asking)?, person.key()?);
    people::note_use(engine, verified);
    Some(Introspection {
        kind: CredentialKind::ApiKey,
        subject: person.user.id.to_string(),
        client_id: None,
        scopes: seen.scopes,
        issued_at: verified.issued_at(),
        expires_at: verified.ends_at(engine),
        token_type: None,
        audience: None,
        id: key.id.to_string(),
        tenant: person.user.directory.tenant(),
        organization: seen.standing.map(|standing| Organization {
            id: standing.tenant.id,
            slug: standing.tenant.slug.clone(),
            role: standing.role,
            plan: standing.tenant.plan.clone(),
        }),
        environment: Some(key.environment),
    })
}

fn of_app(asking: &AppPrincipal, verified: &VerifiedApp) -> Option<Introspection> {
    let (bearer, claims) = (verified.principal(), verified.claims());
    asking.sees(bearer).then(|| Introspection {
        kind: CredentialKind::AccessToken,
        subject: claims.sub.clone(),
        client_id: Some(bearer.client_id.to_string()),
        scopes: bearer.scopes.clone(),
        issued_at: Timestamp::from_micros(claims.iat.saturating_mul(1_000_000)),
        expires_at: Some(claims.expires_at()),
        token_type: Some("Bearer"),
        audience: Some(claims.aud.clone()),
        id: claims.jti.clone(),
        tenant: bearer.tenant.as_ref().map(|tenant| tenant.id),
        organization: None,
        environment: None,
    })
}

/// A session of the directory that the app was let into.
fn of_end_user(engine: &Engine, signed_in: &SignedIn) -> Introspection {
    let (session, user) = (signed_in.session(), signed_in.user());
    Introspection {
        kind: CredentialKind::Session,
        subject: user.id.to_string(),
        client_id: None,
        scopes: ScopeSet::default(),
        issued_at: session.created_at,
        expires_at: Some(session.expires_at(engine.settings.session_lifetime)),
        token_type: None,
        audience: None,
        id: session.id.to_string(),
        tenant: session.directory.tenant(),
        organization: None,
        environment: None,
    }
}
