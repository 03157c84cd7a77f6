//! What services that rely on Keystead learn of a credential that somebody showed them.

use std::fmt;
use std::str::FromStr;

use super::{AppPrincipal, Denied, PersonPrincipal, Standing};
use crate::app::Introspect;
use crate::id::TenantId;
use crate::oauth::ScopeSet;
use crate::slug::Slug;
use crate::tenant::TenantStatus;

/// What kind of thing a credential is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CredentialKind {
    /// An access token.
    AccessToken,
    /// A session.
    Session,
    /// An API key.
    ApiKey,
}

impl CredentialKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::Session => "session",
            Self::ApiKey => "api_key",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CredentialKind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let all = [Self::AccessToken, Self::Session, Self::ApiKey];
        all.into_iter().find(|kind| kind.as_str() == text).ok_or(InvalidKind)
    }
}

/// A text that is no kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of credential")]
pub struct InvalidKind;

/// A tenant as others name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TenantName {
    /// By its id.
    Id(TenantId),
    /// By its slug.
    Slug(Slug),
}

/// A text that names no tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an id nor a slug of a tenant")]
pub struct InvalidTenantName;

impl FromStr for TenantName {
    type Err = InvalidTenantName;

    /// What can be read as an id is one: a slug that somebody chose to look like the id of another tenant
    /// does not stand for it.
    fn from_str(text: &str) -> Result<Self, InvalidTenantName> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Slug)).map_err(|_| InvalidTenantName)
    }
}

/// What a person's credential is good for, and where.
#[derive(Clone, Debug)]
pub struct Seen<'p> {
    /// What the person is in the tenant where the credential acts; nothing where it could act in several.
    pub standing: Option<&'p Standing>,
    /// What it may do: what it carries, cut down to the role. Where it could act in several tenants, what
    /// takes no more than the least role.
    pub scopes: ScopeSet,
}

impl PersonPrincipal {
    /// What `asking` learns of this credential; nothing where it is none of its business, or where it is good
    /// for nothing that is. Sessions of the platform's directory are nobody's business.
    pub fn seen_by(&self, asking: &AppPrincipal) -> Option<Seen<'_>> {
        let key = self.key()?;
        let tenant = match (asking.introspect, &asking.tenant) {
            (Introspect::Own, None) => return None,
            (Introspect::Own, Some(tenant)) => tenant.id,
            (Introspect::Platform, _) => match (key.pin, &*self.standings) {
                (Some(pin), _) => pin,
                (None, [only]) => only.tenant.id,
                (None, several) => {
                    // A key that reaches no tenant is good for nothing that a service could offer.
                    several.iter().find(|standing| self.reach(standing.tenant.id).is_ok())?;
                    return Some(Seen { standing: None, scopes: self.effective_scopes(None) });
                }
            },
        };
        self.seen_in(tenant).ok()
    }

    /// What the credential is good for in the tenant that a service names, or else in the one where it acts by
    /// itself. The one that a person chose to work in is a matter of what its browser shows, and opens nothing.
    pub fn seen_at(&self, asked: Option<&TenantName>) -> Result<Seen<'_>, Denied> {
        let asked = match asked {
            Some(TenantName::Id(id)) => Some(*id),
            Some(TenantName::Slug(slug)) => {
                let named = self.standings.iter().find(|standing| standing.tenant.slug == *slug);
                Some(named.ok_or(Denied::NotAMember)?.tenant.id)
            }
            None => None,
        };
        self.seen_in(self.acts_in(asked)?.tenant.id)
    }

    fn seen_in(&self, tenant: TenantId) -> Result<Seen<'_>, Denied> {
        let standing = self.reach(tenant)?;
        Ok(Seen { standing: Some(standing), scopes: self.effective_scopes(Some(tenant)) })
    }
}

impl AppPrincipal {
    /// Whether this app learns anything of an access token that `bearer` got for itself.
    pub fn sees(&self, bearer: &Self) -> bool {
        let own = || {
            // Apps of the platform may be anybody's who registered one: they are not each other's business.
            self.id == bearer.id
                || self.tenant.as_ref().zip(bearer.tenant.as_ref()).is_some_and(|(a, b)| a.id == b.id)
        };
        !bearer.is_suspended() && (self.introspect == Introspect::Platform || own())
    }

    /// Whether a token that this app got for itself is good in the tenant that a service names, or anywhere
    /// if it names none.
    pub fn acts_at(&self, asked: Option<&TenantName>) -> Result<(), Denied> {
        if self.is_suspended() {
            return Err(Denied::TenantSuspended);
        }
        let own = match (asked, &self.tenant) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(TenantName::Id(id)), Some(tenant)) => tenant.id == *id,
            (Some(TenantName::Slug(slug)), Some(tenant)) => tenant.slug == *slug,
        };
        if own { Ok(()) } else { Err(Denied::NotAMember) }
    }

    fn is_suspended(&self) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant.status == TenantStatus::Suspended)
    }
}
