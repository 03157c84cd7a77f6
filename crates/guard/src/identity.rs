//! Who calls, and what is demanded of callers.

use keystead_domain::Timestamp;
use keystead_domain::api_key::Environment;
use keystead_domain::id::TenantId;
use keystead_domain::oauth::{Scope, ScopeSet};
use keystead_domain::policy::CredentialKind;
use keystead_domain::role::Role;

use crate::Refusal;

/// Who shows a credential, as Keystead says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// What it shows.
    pub kind: CredentialKind,
    /// The user (`usr_…`), or the client id of an app that acts for itself.
    pub subject: String,
    /// The app that an access token was issued to.
    pub client_id: Option<String>,
    /// What it may do now.
    pub scopes: ScopeSet,
    /// The tenant whose app or end user it is.
    pub tenant: Option<TenantId>,
    /// The organization that a person acts in.
    pub organization: Option<Organization>,
    /// What an API key is for.
    pub environment: Option<Environment>,
    /// Until when the credential is good.
    pub expires_at: Option<Timestamp>,
    /// The credential's own id, for logs. It authenticates nothing.
    pub credential_id: Option<String>,
}

/// An organization, and what a person is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Organization {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: Option<String>,
    /// The person's role.
    pub role: Option<Role>,
    /// The name of its plan.
    pub plan: Option<String>,
}

impl Identity {
    /// That the credential carries a scope.
    pub fn require_scope(&self, scope: &str) -> Result<(), Refusal> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(Refusal::MissingScope(scope.to_owned())) }
    }

    /// That a person of at least this role calls, in its organization.
    pub fn require_role(&self, least: Role) -> Result<(), Refusal> {
        let role = self.organization.as_ref().and_then(|organization| organization.role);
        if role.is_some_and(|role| role >= least) { Ok(()) } else { Err(Refusal::RoleTooLow(least)) }
    }

    /// That the organization is on one of these plans, the smallest of which comes first.
    pub fn require_plan(&self, plans: &[&str]) -> Result<(), Refusal> {
        let plan = self.organization.as_ref().and_then(|organization| organization.plan.as_deref());
        if plan.is_some_and(|plan| plans.contains(&plan)) {
            return Ok(());
        }
        Err(Refusal::PlanLacks { required: plans.first().map(|plan| (*plan).to_owned()) })
    }

    /// That the credential has not expired meanwhile.
    pub(crate) fn still_live(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.expires_at.is_none_or(|end| now < end) { Ok(()) } else { Err(Refusal::Invalid) }
    }
}

/// What is demanded of whoever calls.
#[derive(Clone, Default, Debug)]
#[must_use]
pub struct Demand {
    scopes: Vec<String>,
    role: Option<Role>,
    plans: Vec<String>,
}

impl Demand {
    /// A good credential, whatever it carries.
    pub fn any() -> Self {
        Self::default()
    }

    /// A credential that carries this scope.
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::any().and_scope(scope)
    }

    /// A person of at least this role in its organization.
    pub fn role(least: Role) -> Self {
        Self::any().and_role(least)
    }

    /// And this scope.
    pub fn and_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// And at least this role.
    pub fn and_role(mut self, least: Role) -> Self {
        self.role = Some(least);
        self
    }

    /// And an organization on one of these plans, the smallest of which comes first.
    pub fn and_plan<P: Into<String>>(mut self, plans: impl IntoIterator<Item = P>) -> Self {
        self.plans.extend(plans.into_iter().map(Into::into));
        self
    }

    /// Whether `identity` meets it: first the plan, as Keystead's own API has it, then role and scopes.
    pub fn check(&self, identity: &Identity) -> Result<(), Refusal> {
        if !self.plans.is_empty() {
            identity.require_plan(&self.plans.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        self.role.map_or(Ok(()), |least| identity.require_role(least))?;
        self.scopes.iter().try_for_each(|scope| identity.require_scope(scope))
    }
}

/// Reads a list of scopes. One that is no scope of RFC 6749 opens nothing.
pub(crate) fn scopes(text: &str) -> ScopeSet {
    text.split(' ').filter_map(|scope| scope.parse::<Scope>().ok()).collect()
}
