//! Who calls, and from where.

use std::net::IpAddr;
use std::sync::Arc;

use keystead_domain::audit::{Actor, Origin};
use keystead_domain::id::TenantId;
use keystead_domain::policy::{
    Action, AppPrincipal, Denied, PersonPrincipal, PlatformAction, PlatformScope, Principal, TenantScope,
};
use keystead_domain::{Owner, TokenDigest};

use crate::{Arrival, Meter};

/// An authenticated caller of a use case.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    origin: Origin,
    end_user_ip: Option<IpAddr>,
    device: Option<TokenDigest>,
    meter: Meter,
}

impl Caller {
    /// A caller that was authenticated as `principal`.
    pub fn new(principal: Principal, origin: Origin) -> Self {
        Self { principal, origin, end_user_ip: None, device: None, meter: Meter::default() }
    }

    /// An app that was authenticated by what arrived. A first-party app is believed where its end
    /// user is: that is then where the request came from.
    pub(crate) fn arrived(app: Arc<AppPrincipal>, arrival: Arrival) -> Self {
        let Arrival { mut origin, end_user_ip, device: _, meter } = arrival;
        let end_user_ip = end_user_ip.filter(|_| app.first_party).map(|ip| ip.to_canonical());
        origin.ip = end_user_ip.or(origin.ip);
        Self { principal: Principal::App(app), origin, end_user_ip, device: None, meter }
    }

    /// Whoever runs commands on the server's host, or the program that embeds the service.
    pub fn host() -> Self {
        Self::new(Principal::Host, Origin::default())
    }

    /// Somebody who has proved nothing.
    pub fn visitor(arrival: Arrival) -> Self {
        Self::by_itself(Principal::Visitor, arrival)
    }

    /// A person who was authenticated by what arrived.
    pub(crate) fn person(person: Arc<PersonPrincipal>, arrival: Arrival) -> Self {
        Self::by_itself(Principal::Person(person), arrival)
    }

    /// Somebody whom no app speaks for: what counts is where the request itself came from.
    fn by_itself(principal: Principal, arrival: Arrival) -> Self {
        let Arrival { origin, end_user_ip: _, device, meter } = arrival;
        Self { principal, end_user_ip: origin.ip, origin, device, meter }
    }

    /// The server's own background work.
    pub(crate) fn system() -> Self {
        Self::new(Principal::System, Origin::default())
    }

    /// The app that calls; nobody else may do what only apps do.
    pub fn app(&self) -> Result<&AppPrincipal, Denied> {
        match &self.principal {
            Principal::App(app) => Ok(app),
            Principal::Host
            | Principal::System
            | Principal::Person(_)
            | Principal::Visitor
            | Principal::LinkHolder(_)
            | Principal::AddressHolder(_)
            | Principal::Invited(_) => Err(Denied::Forbidden),
        }
    }

    /// The person that calls.
    pub fn as_person(&self) -> Result<&PersonPrincipal, Denied> {
        match &self.principal {
            Principal::Person(person) => Ok(person),
            Principal::Host
            | Principal::System
            | Principal::App(_)
            | Principal::Visitor
            | Principal::LinkHolder(_)
            | Principal::AddressHolder(_)
            | Principal::Invited(_) => Err(Denied::Forbidden),
        }
    }

    /// The directory whose users the caller signs up and in: an app those of its owner, somebody by itself
    /// the platform's.
    pub(crate) fn directory(&self) -> Result<Owner, Denied> {
        match &self.principal {
            Principal::App(app) => Ok(app.owner()),
            Principal::Person(_) | Principal::Visitor => Ok(Owner::Platform),
            Principal::Host
            | Principal::System
            | Principal::LinkHolder(_)
            | Principal::AddressHolder(_)
            | Principal::Invited(_) => Err(Denied::Forbidden),
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

    /// Opens the rows of a tenant that the caller is making.
    pub(crate) fn found(&self, new: TenantId) -> Result<(PlatformScope, TenantScope), Denied> {
        self.principal.found(new)
    }

    /// Opens the rows of every tenant that the person who calls is a member of, to end its account.
    pub(crate) fn depart(&self) -> Result<Vec<TenantScope>, Denied> {
        self.principal.depart()
    }

    pub(crate) fn actor(&self) -> Actor {
        self.principal.actor()
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where the end user is, if an app that is believed says so.
    pub(crate) const fn end_user_ip(&self) -> Option<IpAddr> {
        self.end_user_ip
    }

    /// The cookie of a browser that has signed somebody in before.
    pub(crate) const fn device(&self) -> Option<&TokenDigest> {
        self.device.as_ref()
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }
}
