//! The one gate: who may do what, to whose rows.
//!
//! Every surface authenticates its caller into a [`Principal`] and asks [`Principal::allow`].
//! The answer is a [`TenantScope`], and without one no row of an owner can be reached, so code
//! that touches a tenant's data shows that it asked.

mod person;
mod sight;

use std::sync::Arc;

use crate::app::{App, ClientId, Introspect};
use crate::audit::Actor;
use crate::id::{AppId, TenantId, UserId};
use crate::invite::Invite;
use crate::name::Name;
use crate::oauth::{Scope, ScopeSet};
use crate::owner::Owner;
use crate::plan::Feature;
use crate::role::Role;
use crate::tenant::{Tenant, TenantStatus};

pub use person::{KeyCredential, PersonCredential, PersonPrincipal, Standing};
pub use sight::{CredentialKind, InvalidKind, InvalidTenantName, Seen, TenantName};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Whoever runs commands on the server's host, or a program that embeds the service.
    Host,
    /// The server's own background work.
    System,
    /// An app with an access token of its own, or with its secret at the token endpoint.
    App(Arc<AppPrincipal>),
    /// A person of the platform, with a session or an API key.
    Person(Arc<PersonPrincipal>),
    /// Somebody who has proved nothing.
    Visitor,
    /// Somebody who holds the one-time link to an app's secret.
    LinkHolder(Box<LinkHolder>),
    /// Somebody who holds a link that changes a user's address, or undoes that.
    AddressHolder(Box<AddressHolder>),
    /// Somebody who is invited to a tenant.
    Invited(Box<Invited>),
}

/// What somebody is invited to, as it is now.
#[derive(Clone, Debug)]
pub struct Invited {
    /// The invitation.
    pub invite: Invite,
    /// The tenant.
    pub tenant: Tenant,
}

impl Invited {
    /// Whether somebody who is invited may do `action` to the rows of `owner`: nothing but answer the
    /// invitation, in the tenant that it is to.
    fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        let here = self.invite.tenant == self.tenant.id && owner == Owner::Tenant(self.tenant.id);
        if action != Action::AnswerInvite || !here {
            return Err(Denied::Forbidden);
        }
        if self.tenant.status == TenantStatus::Suspended {
            return Err(Denied::TenantSuspended);
        }
        Ok(TenantScope { owner })
    }
}

/// Whose address a mailed link is about.
#[derive(Clone, Debug)]
pub struct AddressHolder {
    /// The user.
    pub user: UserId,
    /// The tenant whose user it is, as it is now; nothing for a person of the platform.
    pub tenant: Option<Tenant>,
}

impl AddressHolder {
    /// Whether the holder may do `action` to the rows of `owner`: nothing but to change an address
    /// of the user's own directory.
    fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        let own = self.tenant.as_ref().map_or(Owner::Platform, |tenant| Owner::Tenant(tenant.id));
        if action != Action::ChangeAddress || owner != own {
            return Err(Denied::Forbidden);
        }
        if self.tenant.as_ref().is_some_and(|tenant| tenant.status == TenantStatus::Suspended) {
            return Err(Denied::TenantSuspended);
        }
        Ok(TenantScope { owner })
    }
}

/// What a one-time link leads to, as it is now.
#[derive(Clone, Debug)]
pub struct LinkHolder {
    /// The app.
    pub app: App,
    /// The tenant that owns it; nothing for an app of the platform.
    pub tenant: Option<Tenant>,
}

impl LinkHolder {
    /// Whether the holder may do `action` to the rows of `owner`: nothing but claim, from the link's own app.
    fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        if action != Action::ClaimSecret || owner != self.app.owner {
            return Err(Denied::Forbidden);
        }
        if self.tenant.as_ref().is_some_and(|tenant| tenant.status == TenantStatus::Suspended) {
            return Err(Denied::TenantSuspended);
        }
        Ok(TenantScope { owner })
    }
}

/// An authenticated app, as it is now.
#[derive(Clone, Debug)]
pub struct AppPrincipal {
    /// The app.
    pub id: AppId,
    /// Its client id.
    pub client_id: ClientId,
    /// The app's own name.
    pub name: Name,
    /// The tenant that owns it; nothing for an app of the platform.
    pub tenant: Option<Tenant>,
    /// The most that it may be given.
    pub allowed_scopes: ScopeSet,
    /// What it carries: what its token says, cut down to what the app is allowed now.
    pub scopes: ScopeSet,
    /// Whether it is its owner's own product.
    pub first_party: bool,
    /// Whose credentials it may ask about.
    pub introspect: Introspect,
}

impl AppPrincipal {
    /// The principal of an app that proved itself with its secret.
    pub fn by_secret(app: App, tenant: Option<Tenant>) -> Self {
        let scopes = app.allowed_scopes.clone();
        Self::carrying(app, tenant, scopes)
    }

    /// The principal of an app that showed an access token with `token_scopes`.
    pub fn by_token(app: App, tenant: Option<Tenant>, token_scopes: &ScopeSet) -> Self {
        let scopes = token_scopes.intersection(&app.allowed_scopes);
        Self::carrying(app, tenant, scopes)
    }

    fn carrying(app: App, tenant: Option<Tenant>, scopes: ScopeSet) -> Self {
        Self {
            id: app.id,
            client_id: app.client_id,
            name: app.name,
            tenant,
            allowed_scopes: app.allowed_scopes,
            scopes,
            first_party: app.first_party,
            introspect: app.introspect,
        }
    }

    /// Whose app it is.
    pub fn owner(&self) -> Owner {
        self.tenant.as_ref().map_or(Owner::Platform, |tenant| Owner::Tenant(tenant.id))
    }

    /// What the app's end users know it by: the tenant's name.
    pub fn product(&self) -> &Name {
        self.tenant.as_ref().map_or(&self.name, |tenant| &tenant.name)
    }
}

/// What a principal may want to do with one owner's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Get an access token for itself.
    IssueAppToken,
    /// See itself.
    ReadOwnApp,
    /// Ask what a credential is that somebody presented to it.
    Introspect,
    /// Sign the users of a directory up and in, and change what they sign in with: an app does so for its
    /// end users, who hand it their passwords, people of the platform do so for themselves.
    HandleEndUsers,
    /// Make, see, disable and enable apps, and rotate their secrets.
    ManageApps,
    /// Make, see, lock and unlock users.
    ManageUsers,
    /// Ask for access; what is counted and audited of it is the platform's.
    RequestAccess,
    /// Make an app's secret by its one-time link.
    ClaimSecret,
    /// Put the deployment's keys and backups in order; what is audited of it is the platform's.
    MaintainDeployment,
    /// Put a user's new address into force, or its former one, by a mailed link.
    ChangeAddress,
    /// Become a member of a tenant that one is invited to, or decline.
    AnswerInvite,
    /// Read the audit trail.
    ReadAudit,
    /// See one's own profile, and where one signed in.
    ReadProfile,
    /// Change one's own name.
    ChangeProfile,
    /// Change what one signs in with: password, address, second factor, sessions; make keys and tenants; end
    /// the account.
    ManageCredentials,
    /// See one's own API keys.
    ReadOwnKeys,
    /// Rename and narrow one's own API keys.
    ChangeOwnKeys,
    /// Revoke one's own API keys.
    RevokeOwnKeys,
    /// See a tenant that one is a member of.
    ReadTenant,
    /// See a tenant's members.
    ReadMembers,
    /// End one's own membership.
    LeaveTenant,
    /// See a tenant's projects.
    ReadProjects,
    /// Make, change and delete a tenant's projects.
    ChangeProjects,
    /// Rename a tenant.
    ChangeTenant,
    /// Invite, remove and change the roles of members.
    ManageMembers,
    /// Read a tenant's own audit trail.
    ReadTenantAudit,
    /// See all API keys that reach a tenant.
    ReadTenantKeys,
    /// Revoke the API keys that are pinned to a tenant, and bar others there.
    RevokeTenantKeys,
    /// Change what a tenant demands of its members.
    ChangeDemands,
}

/// What a principal may want to do with the deployment as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlatformAction {
    /// Make, see, change, suspend and resume tenants, and find one by its slug.
    ManageTenants,
    /// Leave a request for access.
    LeaveAccessRequest,
    /// Report keys that turned up where they do not belong.
    ReportLeaks,
    /// See and decide requests for access.
    DecideAccessRequests,
    /// See the keys that sign tokens, and let another one sign.
    ManageSigningKeys,
    /// Put another master key in place of the present one.
    RotateMasterKey,
    /// End what a restored backup would bring back to life.
    SettleRestored,
    /// Read and check the whole audit trail.
    ReadAudit,
    /// Seal the audit trail, send what waits in the outbox, do what waits as a job, forget what has expired.
    RunBackgroundWork,
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The tenant is suspended.
    TenantSuspended,
    /// The credential lacks this scope.
    MissingScope(&'static str),
    /// Only a tenant's own first-party app may.
    NotFirstParty,
    /// The tenant is not one that the person is a member of, whether or not it exists.
    NotAMember,
    /// The key is pinned to another tenant, or to any where it is about the person itself.
    PinnedElsewhere,
    /// The tenant does not let this key in.
    KeyBarred,
    /// The person's role in the tenant is too low.
    RoleTooLow {
        /// The least that would do.
        needed: Role,
    },
    /// Nothing of what the key carries is left after its holder's role.
    NoScopesLeft,
    /// The tenant demands a second factor that the person does not have.
    SecondFactorRequired,
    /// It takes a session, not a key or a token.
    SessionRequired,
    /// The tenant's plan does not open this.
    PlanLacks(Feature),
    /// The person has several tenants, or none, and did not say which.
    TenantNotNamed,
    /// Nobody of this kind may.
    Forbidden,
}

/// Opens the rows of one owner. Made by [`Principal::allow`] alone.
#[derive(Clone, Copy, Debug)]
pub struct TenantScope {
    owner: Owner,
}

impl TenantScope {
    /// Whose rows.
    pub const fn owner(&self) -> Owner {
        self.owner
    }
}

/// Opens what belongs to no owner, or to all of them. Made by [`Principal::allow_platform`] alone.
#[derive(Clone, Copy, Debug)]
pub struct PlatformScope(());

impl Principal {
    /// Whether the principal may do `action` to the rows of `owner`.
    pub fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        match self {
            Self::Host | Self::System => Ok(TenantScope { owner }),
            Self::App(app) => app.allow(action, owner),
            Self::Person(person) => person.allow(action, owner),
            Self::LinkHolder(holder) => holder.allow(action, owner),
            Self::AddressHolder(holder) => holder.allow(action, owner),
            Self::Invited(invited) => invited.allow(action, owner),
            // People of the platform sign themselves up and in.
            Self::Visitor
                if matches!(action, Action::RequestAccess | Action::HandleEndUsers)
                    && owner == Owner::Platform =>
            {
                Ok(TenantScope { owner })
            }
            Self::Visitor => Err(Denied::Forbidden),
        }
    }

    /// Whether the principal may do `action` to the deployment as a whole.
    pub fn allow_platform(&self, action: PlatformAction) -> Result<PlatformScope, Denied> {
        match (self, action) {
            (Self::Host, _)
            | (Self::System, PlatformAction::RunBackgroundWork)
            | (Self::Visitor, PlatformAction::LeaveAccessRequest | PlatformAction::ReportLeaks) => {
                Ok(PlatformScope(()))
            }
            (
                Self::System
                | Self::App(_)
                | Self::Person(_)
                | Self::Visitor
                | Self::LinkHolder(_)
                | Self::AddressHolder(_)
                | Self::Invited(_),
                _,
            ) => Err(Denied::Forbidden),
        }
    }

    /// Opens the rows of a tenant that the principal is making: a person who signs up gets one, and one who is
    /// signed in may make more. `new` is an id that was just minted.
    pub fn found(&self, new: TenantId) -> Result<(PlatformScope, TenantScope), Denied> {
        match self {
            Self::Host | Self::Visitor => {}
            Self::Person(person) => {
                person.allow(Action::ManageCredentials, Owner::Platform)?;
            }
            Self::System | Self::App(_) | Self::LinkHolder(_) | Self::AddressHolder(_) | Self::Invited(_) => {
                return Err(Denied::Forbidden);
            }
        }
        Ok((PlatformScope(()), TenantScope { owner: Owner::Tenant(new) }))
    }

    /// Opens the rows of every tenant that the principal is a member of, to end its account. Nobody is kept by
    /// what a tenant demands of its members, or by its being suspended.
    pub fn depart(&self) -> Result<Vec<TenantScope>, Denied> {
        let Self::Person(person) = self else { return Err(Denied::Forbidden) };
        person.allow(Action::ManageCredentials, Owner::Platform)?;
        let owners = person.standings.iter().map(|standing| Owner::Tenant(standing.tenant.id));
        Ok(owners.map(|owner| TenantScope { owner }).collect())
    }

    /// Who the audit trail says it was.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Host => Actor::Host,
            Self::System => Actor::System,
            Self::App(app) => Actor::App(app.id),
            Self::Person(person) => Actor::User(person.user.id),
            Self::Visitor | Self::LinkHolder(_) | Self::AddressHolder(_) | Self::Invited(_) => Actor::Visitor,
        }
    }
}

impl AppPrincipal {
    /// Whether the app may do `action` to the rows of `owner`: never to another's.
    fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        if owner != self.owner() {
            return Err(Denied::Forbidden);
        }
        if self.tenant.as_ref().is_some_and(|tenant| tenant.status == TenantStatus::Suspended) {
            return Err(Denied::TenantSuspended);
        }
        match action {
            Action::IssueAppToken | Action::Introspect => {}
            Action::ReadOwnApp => self.require_api()?,
            Action::HandleEndUsers => {
                self.require_api()?;
                // The platform's people sign in on the platform's own pages, never through an app.
                if !self.first_party || self.tenant.is_none() {
                    return Err(Denied::NotFirstParty);
                }
            }
            Action::ManageApps
            | Action::ManageUsers
            | Action::RequestAccess
            | Action::ClaimSecret
            | Action::MaintainDeployment
            | Action::ChangeAddress
            | Action::AnswerInvite
            | Action::ReadAudit
            | Action::ReadProfile
            | Action::ChangeProfile
            | Action::ManageCredentials
            | Action::ReadOwnKeys
            | Action::ChangeOwnKeys
            | Action::RevokeOwnKeys
            | Action::ReadTenant
            | Action::ReadMembers
            | Action::LeaveTenant
            | Action::ReadProjects
            | Action::ChangeProjects
            | Action::ChangeTenant
            | Action::ManageMembers
            | Action::ReadTenantAudit
            | Action::ReadTenantKeys
            | Action::RevokeTenantKeys
            | Action::ChangeDemands => return Err(Denied::Forbidden),
        }
        Ok(TenantScope { owner })
    }

    fn require_api(&self) -> Result<(), Denied> {
        if self.scopes.contains(Scope::API) { Ok(()) } else { Err(Denied::MissingScope(Scope::API)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::id::Id;
    use uuid::Uuid;

    const ACTIONS: [Action; 29] = [
        Action::IssueAppToken,
        Action::Introspect,
        Action::ReadOwnApp,
        Action::HandleEndUsers,
        Action::ManageApps,
        Action::ManageUsers,
        Action::RequestAccess,
        Action::ClaimSecret,
        Action::MaintainDeployment,
        Action::ChangeAddress,
        Action::AnswerInvite,
        Action::ReadAudit,
        Action::ReadProfile,
        Action::ChangeProfile,
        Action::ManageCredentials,
        Action::ReadOwnKeys,
        Action::ChangeOwnKeys,
        Action::RevokeOwnKeys,
        Action::ReadTenant,
        Action::ReadMembers,
        Action::LeaveTenant,
        Action::ReadProjects,
        Action::ChangeProjects,
        Action::ChangeTenant,
        Action::ManageMembers,
        Action::ReadTenantAudit,
        Action::ReadTenantKeys,
        Action::RevokeTenantKeys,
        Action::ChangeDemands,
    ];

    fn tenant(id: u128, status: TenantStatus) -> Tenant {
        Tenant {
            id: Id::from_uuid(Uuid::from_u128(id)),
            slug: "acme".parse().unwrap(),
            name: "Acme".parse().unwrap(),
            plan: "free".parse().unwrap(),
            status,
            entity_hotkey: None,
            demands: Default::default(),
            created_at: Timestamp::from_micros(0),
        }
    }

    fn app(tenant: Option<Tenant>, allowed: &str, first_party: bool) -> AppPrincipal {
        let app = App {
            id: Id::from_uuid(Uuid::nil()),
            client_id: "ksc_x".parse().unwrap(),
            owner: tenant.as_ref().map_or(Owner::Platform, |t| Owner::Tenant(t.id)),
            name: "Web".parse().unwrap(),
            allowed_scopes: allowed.parse().unwrap(),
            first_party,
            active: true,
            introspect: Introspect::Own,
            created_at: Timestamp::from_micros(0),
        };
        AppPrincipal::by_secret(app, tenant)
    }

    #[test]
    fn an_app_never_reaches_another_owners_rows() {
        let app = app(Some(tenant(1, TenantStatus::Active)), "api", true);
        let other = Owner::Tenant(Id::from_uuid(Uuid::from_u128(2)));
        for action in ACTIONS {
            assert_eq!(app.allow(action, other).unwrap_err(), Denied::Forbidden);
            assert_eq!(app.allow(action, Owner::Platform).unwrap_err(), Denied::Forbidden);
        }
    }

    #[test]
    fn what_each_app_may_do_to_its_own_rows() {
        let active = || Some(tenant(1, TenantStatus::Active));
        let missing = Err(Denied::MissingScope("api"));
        let not_first = Err(Denied::NotFirstParty);
        #[rustfmt::skip]
        let table = [
            (app(active(), "api", true),  [Ok(()), Ok(()), Ok(()), Ok(())]),
            (app(active(), "api", false), [Ok(()), Ok(()), Ok(()), not_first]),
            (app(active(), "read", true), [Ok(()), Ok(()), missing, missing]),
            (app(None, "api", true),      [Ok(()), Ok(()), Ok(()), not_first]),
        ];
        for (app, first) in table {
            // All that comes after what is for apps is for others.
            let expected = first.into_iter().chain(std::iter::repeat(Err(Denied::Forbidden)));
            for (action, expected) in ACTIONS.into_iter().zip(expected) {
                assert_eq!(app.allow(action, app.owner()).map(|_| ()), expected, "{action:?} {app:?}");
            }
        }
        let suspended = app(Some(tenant(1, TenantStatus::Suspended)), "api", true);
        for action in ACTIONS {
            assert_eq!(suspended.allow(action, suspended.owner()).unwrap_err(), Denied::TenantSuspended);
        }
    }

    #[test]
    fn a_visitor_may_ask_for_access_and_sign_in_to_the_platform() {
        for action in ACTIONS {
            let allowed = Principal::Visitor.allow(action, Owner::Platform).is_ok();
            let free = matches!(action, Action::RequestAccess | Action::HandleEndUsers);
            assert_eq!(allowed, free, "{action:?}");
            let tenants = Owner::Tenant(Id::from_uuid(Uuid::from_u128(1)));
            assert_eq!(Principal::Visitor.allow(action, tenants).unwrap_err(), Denied::Forbidden);
        }
        for (action, allowed) in [
            (PlatformAction::ManageTenants, false),
            (PlatformAction::LeaveAccessRequest, true),
            (PlatformAction::ReportLeaks, true),
            (PlatformAction::DecideAccessRequests, false),
            (PlatformAction::ManageSigningKeys, false),
            (PlatformAction::RotateMasterKey, false),
            (PlatformAction::SettleRestored, false),
            (PlatformAction::ReadAudit, false),
            (PlatformAction::RunBackgroundWork, false),
        ] {
            assert_eq!(Principal::Visitor.allow_platform(action).is_ok(), allowed, "{action:?}");
        }
    }

    #[test]
    fn a_link_opens_its_own_app_while_the_tenant_is_active() {
        let holder = |status| {
            let tenant = tenant(1, status);
            let app = App {
                id: Id::from_uuid(Uuid::nil()),
                client_id: "ksc_x".parse().unwrap(),
                owner: Owner::Tenant(tenant.id),
                name: "Web".parse().unwrap(),
                allowed_scopes: "api".parse().unwrap(),
                first_party: true,
                active: true,
                introspect: Introspect::Own,
                created_at: Timestamp::from_micros(0),
            };
            (app.owner, Principal::LinkHolder(Box::new(LinkHolder { app, tenant: Some(tenant) })))
        };
        let (owner, good) = holder(TenantStatus::Active);
        for action in ACTIONS {
            assert_eq!(good.allow(action, owner).is_ok(), action == Action::ClaimSecret, "{action:?}");
            assert_eq!(good.allow(action, Owner::Platform).unwrap_err(), Denied::Forbidden);
        }
        assert!(good.allow_platform(PlatformAction::DecideAccessRequests).is_err());
        let (owner, suspended) = holder(TenantStatus::Suspended);
        assert_eq!(suspended.allow(Action::ClaimSecret, owner).unwrap_err(), Denied::TenantSuspended);
    }

    #[test]
    fn a_link_about_an_address_opens_its_own_directory_while_the_tenant_is_active() {
        let holder = |status| {
            let (user, tenant) = (Id::from_uuid(Uuid::nil()), tenant(1, status));
            Principal::AddressHolder(Box::new(AddressHolder { user, tenant: Some(tenant) }))
        };
        let owner = Owner::Tenant(Id::from_uuid(Uuid::from_u128(1)));
        let other = Owner::Tenant(Id::from_uuid(Uuid::from_u128(2)));
        let (good, suspended) = (holder(TenantStatus::Active), holder(TenantStatus::Suspended));
        for action in ACTIONS {
            assert_eq!(good.allow(action, owner).is_ok(), action == Action::ChangeAddress, "{action:?}");
            for stranger in [other, Owner::Platform] {
                assert_eq!(good.allow(action, stranger).unwrap_err(), Denied::Forbidden);
            }
        }
        let user = Id::from_uuid(Uuid::nil());
        let person = Principal::AddressHolder(Box::new(AddressHolder { user, tenant: None }));
        assert!(person.allow(Action::ChangeAddress, Owner::Platform).is_ok());
        assert_eq!(person.allow(Action::ChangeAddress, owner).unwrap_err(), Denied::Forbidden);
        assert!(good.allow_platform(PlatformAction::LeaveAccessRequest).is_err());
        assert_eq!(suspended.allow(Action::ChangeAddress, owner).unwrap_err(), Denied::TenantSuspended);
    }

    #[test]
    fn a_token_carries_no_more_than_the_app_may_have_now() {
        let mut principal = app(None, "read", true);
        let app = App {
            id: principal.id,
            client_id: principal.client_id.clone(),
            owner: Owner::Platform,
            name: principal.name.clone(),
            allowed_scopes: "read".parse().unwrap(),
            first_party: true,
            active: true,
            introspect: Introspect::Own,
            created_at: Timestamp::from_micros(0),
        };
        principal = AppPrincipal::by_token(app, None, &"api read".parse().unwrap());
        assert_eq!(principal.scopes.to_string(), "read");
    }
}
