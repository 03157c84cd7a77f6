//! Who calls, and from where.

use keystead_domain::Owner;
use keystead_domain::audit::{Actor, Origin};
use keystead_domain::policy::{
    Action, AppPrincipal, Denied, PlatformAction, PlatformScope, Principal, TenantScope,
};

/// An authenticated caller of a use case.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    origin: Origin,
}

impl Caller {
    /// A caller that was authenticated as `principal`.
    pub const fn new(principal: Principal, origin: Origin) -> Self {
        Self { principal, origin }
    }

    /// Whoever runs commands on the server's host, or the program that embeds the service.
    pub fn host() -> Self {
        Self::new(Principal::Host, Origin::default())
    }

    /// Somebody who has proved nothing.
    pub const fn visitor(origin: Origin) -> Self {
        Self::new(Principal::Visitor, origin)
    }

    /// The server's own background work.
    pub(crate) fn system() -> Self {
        Self::new(Principal::System, Origin::default())
    }

    /// The app that calls; nobody else may do what only apps do.
    pub fn app(&self) -> Result<&AppPrincipal, Denied> {
        match &self.principal {
            Principal::App(app) => Ok(app),
            Principal::Host | Principal::System | Principal::Visitor | Principal::LinkHolder(_) => {
                Err(Denied::Forbidden)
            }
        }
    }

    /// Opens the rows of `owner` for `action`.
    pub fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        self.principal.allow(action, owner)
    }

    /// Opens what belongs to no owner for `action`.
    pub fn allow_platform(&self, action: PlatformAction) -> Result<PlatformScope, Denied> {
        self.principal.allow_platform(action)
    }

    pub(crate) fn actor(&self) -> Actor {
        self.principal.actor()
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }
}
