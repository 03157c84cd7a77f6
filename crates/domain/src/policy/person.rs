//! What people of the platform may do: with what they carry, cut down to what their role allows in the
//! tenant now, cut down to what the tenant's plan allows now.

use std::sync::Arc;

use super::{Action, Denied, TenantScope};
use crate::api_key::Environment;
use crate::id::{ApiKeyId, MembershipId, SessionId, TenantId};
use crate::name::Name;
use crate::oauth::{Scope, ScopeCatalogue, ScopeSet};
use crate::owner::Owner;
use crate::plan::{Feature, Plan};
use crate::role::Role;
use crate::tenant::{Tenant, TenantStatus};
use crate::user::User;

/// A person of the platform's directory, as it is now, with one credential.
#[derive(Clone, Debug)]
pub struct PersonPrincipal {
    /// Who.
    pub user: User,
    /// Whether signing in takes a second factor.
    pub second_factor: bool,
    /// With what.
    pub credential: PersonCredential,
    /// Where it is a member.
    pub standings: Vec<Standing>,
    /// Which scopes there are.
    pub catalogue: Arc<ScopeCatalogue>,
}

/// What a person shows.
#[derive(Clone, Debug)]
pub enum PersonCredential {
    /// A session.
    Session {
        /// Which.
        id: SessionId,
        /// The tenant that the person works in, where it chose one.
        active: Option<TenantId>,
    },
    /// An API key.
    Key(KeyCredential),
}

/// An API key, as far as the gate cares.
#[derive(Clone, Debug)]
pub struct KeyCredential {
    /// Which.
    pub id: ApiKeyId,
    /// What its holder calls it.
    pub name: Name,
    /// What it is for.
    pub environment: Environment,
    /// What it carries.
    pub scopes: ScopeSet,
    /// The one tenant that it reaches.
    pub pin: Option<TenantId>,
    /// The tenants that bar it.
    pub barred_in: Vec<TenantId>,
}

/// What a person is in a tenant, as both are now.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The membership.
    pub membership: MembershipId,
    /// Its role.
    pub role: Role,
    /// Whether the person made the tenant.
    pub founder: bool,
    /// The tenant.
    pub tenant: Tenant,
    /// The tenant's plan; nothing where the configuration has none of that name any more.
    pub plan: Option<Arc<Plan>>,
}

/// What an action takes of a person.
struct Requirement {
    credential: Takes,
    /// In the tenant whose rows these are; of no matter for the person's own.
    role: Role,
}

/// Which credential an action takes.
enum Takes {
    /// Any.
    Any,
    /// A session, or a key or token that carries this scope.
    Scope(&'static str),
    /// A session: never a key or a token.
    Session,
}

/// The one table. Nothing where no person may: only the host, or apps.
const fn requirement(action: Action) -> Option<Requirement> {
    let (credential, role) = match action {
        // One's own.
        Action::ReadProfile => (Takes::Scope(Scope::USER_READ), Role::Member),
        Action::ChangeProfile => (Takes::Scope(Scope::USER_WRITE), Role::Member),
        Action::ManageCredentials | Action::HandleEndUsers => (Takes::Session, Role::Member),
        Action::ReadOwnKeys => (Takes::Scope(Scope::API_KEYS_READ), Role::Member),
        Action::ChangeOwnKeys => (Takes::Scope(Scope::API_KEYS_WRITE), Role::Member),
        Action::RevokeOwnKeys => (Takes::Scope(Scope::API_KEYS_DELETE), Role::Member),
        // A tenant's.
        Action::ReadTenant | Action::ReadMembers => (Takes::Any, Role::Member),
        Action::LeaveTenant => (Takes::Session, Role::Member),
        Action::ReadProjects => (Takes::Scope(Scope::PROJECTS_READ), Role::Member),
        Action::ChangeProjects => (Takes::Scope(Scope::PROJECTS_WRITE), Role::Manager),
        Action::ChangeTenant | Action::ManageMembers | Action::ReadTenantAudit => {
            (Takes::Session, Role::Admin)
        }
        Action::ReadTenantKeys => (Takes::Scope(Scope::API_KEYS_READ), Role::Admin),
        Action::RevokeTenantKeys => (Takes::Scope(Scope::API_KEYS_DELETE), Role::Admin),
        Action::ChangeDemands => (Takes::Session, Role::Owner),
        Action::IssueAppToken
        | Action::ReadOwnApp
        | Action::Introspect
        | Action::ManageApps
        | Action::ManageUsers
        | Action::RequestAccess
        | Action::ClaimSecret
        | Action::MaintainDeployment
        | Action::ChangeAddress
        | Action::AnswerInvite
        | Action::ReadAudit => return None,
    };
    Some(Requirement { credential, role })
}

/// Whether an action is about the person's own rows rather than a tenant's.
const fn is_own(action: Action) -> bool {
    matches!(
        action,
        Action::ReadProfile
            | Action::ChangeProfile
            | Action::ManageCredentials
            | Action::HandleEndUsers
            | Action::ReadOwnKeys
            | Action::ChangeOwnKeys
            | Action::RevokeOwnKeys
    )
}

impl PersonPrincipal {
    /// Whether the person may do `action` to the rows of `owner`.
    pub(super) fn allow(&self, action: Action, owner: Owner) -> Result<TenantScope, Denied> {
        let requirement = requirement(action).ok_or(Denied::Forbidden)?;
        match owner {
            Owner::Platform if is_own(action) => self.allow_own(action, &requirement)?,
            Owner::Tenant(tenant) if !is_own(action) => self.allow_in(action, tenant, &requirement)?,
            Owner::Platform | Owner::Tenant(_) => return Err(Denied::Forbidden),
        }
        Ok(TenantScope { owner })
    }

    fn allow_own(&self, action: Action, requirement: &Requirement) -> Result<(), Denied> {
        let Some(key) = self.key() else { return Ok(()) };
        // What belongs to the person and not to the tenant is beyond a key that is the tenant's.
        if key.pin.is_some() && action == Action::ChangeProfile {
            return Err(Denied::PinnedElsewhere);
        }
        match (key.pin, &requirement.credential) {
            (_, Takes::Session) => Err(Denied::SessionRequired),
            // Its tenant may demand what its holder does not have, or be suspended.
            (Some(pin), Takes::Scope(scope)) => {
                self.reach(pin)?;
                self.carry(scope, Some(pin))
            }
            (None, Takes::Scope(scope)) => self.carry(scope, None),
            (_, Takes::Any) => Ok(()),
        }
    }

    fn allow_in(&self, action: Action, tenant: TenantId, requirement: &Requirement) -> Result<(), Denied> {
        let standing = match self.reach(tenant) {
            // Owners of a suspended tenant can still see and export what is theirs.
            Err(Denied::TenantSuspended) if self.may_look_back(action) => self.standing(tenant),
            reached => Some(reached?),
        };
        let role = standing.map(|standing| standing.role).ok_or(Denied::NotAMember)?;
        match requirement.credential {
            Takes::Any => {}
            Takes::Session if self.key().is_some() => return Err(Denied::SessionRequired),
            Takes::Session => {}
            Takes::Scope(scope) => self.carry(scope, Some(tenant))?,
        }
        if role < requirement.role { Err(Denied::RoleTooLow { needed: requirement.role }) } else { Ok(()) }
    }

    /// What the person is in a tenant that its credential reaches.
    pub(super) fn reach(&self, tenant: TenantId) -> Result<&Standing, Denied> {
        if self.key().and_then(|key| key.pin).is_some_and(|pin| pin != tenant) {
            return Err(Denied::PinnedElsewhere);
        }
        let standing = self.standing(tenant).ok_or(Denied::NotAMember)?;
        if let Some(key) = self.key()
            && key.pin.is_none()
            && (standing.tenant.demands.pinned_keys || key.barred_in.contains(&tenant))
        {
            return Err(Denied::KeyBarred);
        }
        if standing.tenant.status == TenantStatus::Suspended {
            return Err(Denied::TenantSuspended);
        }
        if standing.tenant.demands.second_factor && !self.second_factor {
            return Err(Denied::SecondFactorRequired);
        }
        Ok(standing)
    }

    fn may_look_back(&self, action: Action) -> bool {
        let looks = matches!(
            action,
            Action::ReadTenant | Action::ReadMembers | Action::ReadProjects | Action::ReadTenantAudit
        );
        looks && self.key().is_none()
    }

    /// That a key carries `scope` where it is used. A session carries everything.
    fn carry(&self, scope: &'static str, tenant: Option<TenantId>) -> Result<(), Denied> {
        let Some(key) = self.key() else { return Ok(()) };
        if !key.scopes.contains(scope) {
            return Err(Denied::MissingScope(scope));
        }
        let role = self.role_at(tenant);
        if !key.scopes.iter().any(|scope| self.counts(scope, role)) {
            Err(Denied::NoScopesLeft)
        } else if !self.counts(scope, role) {
            Err(Denied::RoleTooLow { needed: self.catalogue.min_role(scope).unwrap_or(Role::Owner) })
        } else {
            Ok(())
        }
    }

    /// The role that decides which scopes count in `tenant`; without one, the least.
    fn role_at(&self, tenant: Option<TenantId>) -> Option<Role> {
        match tenant {
            Some(tenant) => self.standing(tenant).map(|standing| standing.role),
            None => Some(Role::Member),
        }
    }

    fn counts(&self, scope: &str, role: Option<Role>) -> bool {
        role.zip(self.catalogue.min_role(scope)).is_some_and(|(role, needed)| role >= needed)
    }

    /// What the credential carries in `tenant`, cut down to the role there; without one, to those scopes that
    /// take no more than the least role. A session carries all that its role allows.
    pub fn effective_scopes(&self, tenant: Option<TenantId>) -> ScopeSet {
        let role = self.role_at(tenant);
        match self.key() {
            Some(key) => key.scopes.retaining(|scope| self.counts(scope, role)),
            None => role.map(|role| self.catalogue.for_role(role)).unwrap_or_default(),
        }
    }

    /// Whether the plan of `tenant` opens `feature` now.
    pub fn require(&self, feature: Feature, tenant: TenantId) -> Result<(), Denied> {
        let plan = self.standing(tenant).and_then(|standing| standing.plan.as_ref());
        if plan.is_some_and(|plan| plan.opens(feature)) { Ok(()) } else { Err(Denied::PlanLacks(feature)) }
    }

    /// The tenant that a request without one in its path acts in: the key's pin, else the one asked for, else
    /// the only one that there is.
    pub fn acts_in(&self, asked: Option<TenantId>) -> Result<&Standing, Denied> {
        let pin = self.key().and_then(|key| key.pin);
        let tenant = match (pin, asked, &*self.standings) {
            (Some(pin), Some(asked), _) if pin != asked => return Err(Denied::PinnedElsewhere),
            (Some(pin), _, _) => pin,
            (None, Some(asked), _) => asked,
            (None, None, [only]) => only.tenant.id,
            (None, None, _) => return Err(Denied::TenantNotNamed),
        };
        self.reach(tenant)
    }

    /// Where the person is a member as far as its credential goes: a session shows all, also those that
    /// demand what the person does not have yet; a key those that it reaches.
    pub fn visible(&self) -> impl Iterator<Item = &Standing> {
        let seen = |standing: &&Standing| self.key().is_none() || self.reach(standing.tenant.id).is_ok();
        self.standings.iter().filter(seen)
    }

    /// What the person is in `tenant`, whatever its credential reaches.
    pub fn standing(&self, tenant: TenantId) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.tenant.id == tenant)
    }

    /// The key, where it is one.
    pub const fn key(&self) -> Option<&KeyCredential> {
        match &self.credential {
            PersonCredential::Key(key) => Some(key),
            PersonCredential::Session { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::id::Id;
    use crate::plan::Plans;
    use crate::tenant::Demands;
    use crate::user::UserStatus;
    use uuid::Uuid;

    /// Which credential a row of the table is about.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Shows {
        Session,
        /// A key that is pinned to no tenant.
        Unpinned,
        /// A key that is pinned to the tenant that is asked.
        Pinned,
        /// A key that is pinned to another tenant of its holder.
        PinnedElsewhere,
    }

    const SHOWS: [Shows; 4] = [Shows::Session, Shows::Unpinned, Shows::Pinned, Shows::PinnedElsewhere];
    const HERE: u128 = 1;
    const ELSEWHERE: u128 = 2;

    /// Each action of a person: whether it is about a tenant's rows, the scope that a key needs (`*` where any
    /// key will do, nothing where none does), and the least role.
    const TABLE: [(Action, bool, Option<&str>, Role); 18] = [
        (Action::ReadProfile, false, Some("user:read"), Role::Member),
        (Action::ChangeProfile, false, Some("user:write"), Role::Member),
        (Action::ManageCredentials, false, None, Role::Member),
        (Action::HandleEndUsers, false, None, Role::Member),
        (Action::ReadOwnKeys, false, Some("api-keys:read"), Role::Member),
        (Action::ChangeOwnKeys, false, Some("api-keys:write"), Role::Member),
        (Action::RevokeOwnKeys, false, Some("api-keys:delete"), Role::Member),
        (Action::ReadTenant, true, Some("*"), Role::Member),
        (Action::ReadMembers, true, Some("*"), Role::Member),
        (Action::LeaveTenant, true, None, Role::Member),
        (Action::ReadProjects, true, Some("projects:read"), Role::Member),
        (Action::ChangeProjects, true, Some("projects:write"), Role::Manager),
        (Action::ChangeTenant, true, None, Role::Admin),
        (Action::ManageMembers, true, None, Role::Admin),
        (Action::ReadTenantAudit, true, None, Role::Admin),
        (Action::ReadTenantKeys, true, Some("api-keys:read"), Role::Admin),
        (Action::RevokeTenantKeys, true, Some("api-keys:delete"), Role::Admin),
        (Action::ChangeDemands, true, None, Role::Owner),
    ];

    fn tenant(id: u128) -> TenantId {
        Id::from_uuid(Uuid::from_u128(id))
    }

    fn standing(id: u128, role: Role, plan: &str) -> Standing {
        let plan_name: crate::tenant::PlanName = plan.parse().unwrap();
        Standing {
            membership: Id::from_uuid(Uuid::from_u128(id)),
            role,
            founder: false,
            plan: Plans::default().find(&plan_name).cloned(),
            tenant: Tenant {
                id: tenant(id),
                slug: "acme".parse().unwrap(),
                name: "Acme".parse().unwrap(),
                plan: plan_name,
                status: TenantStatus::Active,
                entity_hotkey: None,
                demands: Demands::default(),
                created_at: Timestamp::from_micros(0),
            },
        }
    }

    fn person(shows: Shows, scopes: &str, role: Role, plan: &str) -> PersonPrincipal {
        let pin = match shows {
            Shows::Session | Shows::Unpinned => None,
            Shows::Pinned => Some(tenant(HERE)),
            Shows::PinnedElsewhere => Some(tenant(ELSEWHERE)),
        };
        let credential = if shows == Shows::Session {
            PersonCredential::Session { id: Id::from_uuid(Uuid::nil()), active: None }
        } else {
            PersonCredential::Key(KeyCredential {
                id: Id::from_uuid(Uuid::nil()),
                name: "CI".parse().unwrap(),
                environment: Environment::Live,
                scopes: scopes.parse().unwrap(),
                pin,
                barred_in: Vec::new(),
            })
        };
        PersonPrincipal {
            user: User {
                id: Id::from_uuid(Uuid::nil()),
                directory: Owner::Platform,
                email: "ada@example.com".parse().unwrap(),
                email_verified_at: None,
                name: None,
                status: UserStatus::Active,
                operator: true,
                handle: None,
                created_at: Timestamp::from_micros(0),
                last_login_at: None,
                updated_at: Timestamp::from_micros(0),
            },
            second_factor: false,
            credential,
            standings: vec![standing(HERE, role, plan), standing(ELSEWHERE, Role::Owner, plan)],
            catalogue: Arc::default(),
        }
    }

    /// What the table says, told in another way than the code does.
    fn expected(
        row: (Action, bool, Option<&'static str>, Role),
        role: Role,
        carried: &str,
        shows: Shows,
    ) -> Result<(), Denied> {
        let (action, of_tenant, scope, least) = row;
        let by_key = shows != Shows::Session;
        if of_tenant && shows == Shows::PinnedElsewhere
            || action == Action::ChangeProfile && matches!(shows, Shows::Pinned | Shows::PinnedElsewhere)
        {
            return Err(Denied::PinnedElsewhere);
        }
        if by_key {
            match scope {
                None => return Err(Denied::SessionRequired),
                Some("*") => {}
                Some(needed) => {
                    if carried != needed {
                        return Err(Denied::MissingScope(needed));
                    }
                    // The only scope of these that a plain member's role takes away.
                    if needed == "projects:write" && role < Role::Manager {
                        return Err(Denied::NoScopesLeft);
                    }
                }
            }
        }
        if of_tenant && role < least { Err(Denied::RoleTooLow { needed: least }) } else { Ok(()) }
    }

    #[test]
    fn every_role_scope_credential_pin_and_plan() {
        let catalogue = ScopeCatalogue::default();
        let scopes: Vec<String> = catalogue.iter().map(|known| known.scope.as_str().to_owned()).collect();
        let mut tried = 0;
        for row in TABLE {
            let owner = if row.1 { Owner::Tenant(tenant(HERE)) } else { Owner::Platform };
            for role in Role::ALL {
                for carried in &scopes {
                    for shows in SHOWS {
                        for plan in ["free", "studio", "agency"] {
                            let person = person(shows, carried, role, plan);
                            let (found, wanted) =
                                (person.allow(row.0, owner).map(drop), expected(row, role, carried, shows));
                            assert_eq!(found, wanted, "{:?} {role} {carried} {shows:?} {plan}", row.0);
                            let opens = person.require(Feature::ApiAccess, tenant(HERE)).is_ok();
                            assert_eq!(opens, plan != "free", "{plan}");
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(tried, TABLE.len() * 4 * scopes.len() * 4 * 3);
    }

    #[test]
    fn nobody_reaches_what_is_not_theirs() {
        for shows in SHOWS {
            let person = person(shows, "projects:read user:read", Role::Owner, "studio");
            for (action, of_tenant, ..) in TABLE {
                if of_tenant {
                    let strange = person.allow(action, Owner::Tenant(tenant(3))).unwrap_err();
                    assert!(matches!(strange, Denied::NotAMember | Denied::PinnedElsewhere), "{strange:?}");
                }
                let swapped = if of_tenant { Owner::Platform } else { Owner::Tenant(tenant(HERE)) };
                assert_eq!(person.allow(action, swapped).unwrap_err(), Denied::Forbidden, "{action:?}");
            }
            // What only apps and operators' tools do, a person does not, an operator included.
            for action in [Action::ManageApps, Action::ManageUsers, Action::ReadAudit, Action::ReadOwnApp] {
                for owner in [Owner::Platform, Owner::Tenant(tenant(HERE))] {
                    assert_eq!(person.allow(action, owner).unwrap_err(), Denied::Forbidden);
                }
            }
        }
    }

    #[test]
    fn a_tenant_may_demand_a_second_factor_and_pinned_keys_and_bar_keys() {
        let here = Owner::Tenant(tenant(HERE));
        let with = |shows, change: &dyn Fn(&mut PersonPrincipal)| {
            let mut person = person(shows, "projects:read", Role::Owner, "studio");
            change(&mut person);
            person.allow(Action::ReadProjects, here).map(drop)
        };
        let demand_factor = |person: &mut PersonPrincipal| {
            person.standings[0].tenant.demands.second_factor = true;
        };
        for shows in [Shows::Session, Shows::Unpinned, Shows::Pinned] {
            assert_eq!(with(shows, &demand_factor), Err(Denied::SecondFactorRequired));
            let satisfied = |person: &mut PersonPrincipal| {
                demand_factor(person);
                person.second_factor = true;
            };
            assert_eq!(with(shows, &satisfied), Ok(()));
            let suspended = |person: &mut PersonPrincipal| {
                person.standings[0].tenant.status = TenantStatus::Suspended;
            };
            let may_look = if shows == Shows::Session { Ok(()) } else { Err(Denied::TenantSuspended) };
            assert_eq!(with(shows, &suspended), may_look, "{shows:?}");
        }
        let demand_pins = |person: &mut PersonPrincipal| {
            person.standings[0].tenant.demands.pinned_keys = true;
        };
        assert_eq!(with(Shows::Unpinned, &demand_pins), Err(Denied::KeyBarred));
        assert_eq!(with(Shows::Pinned, &demand_pins), Ok(()));
        assert_eq!(with(Shows::Session, &demand_pins), Ok(()));
        let bar = |person: &mut PersonPrincipal| {
            if let PersonCredential::Key(key) = &mut person.credential {
                key.barred_in.push(tenant(HERE));
            }
        };
        assert_eq!(with(Shows::Unpinned, &bar), Err(Denied::KeyBarred));
    }

    #[test]
    fn a_key_acts_in_its_pin_or_where_it_is_told_or_in_the_only_tenant() {
        let acts = |shows, asked: Option<u128>| {
            let person = person(shows, "user:read", Role::Member, "studio");
            person.acts_in(asked.map(tenant)).map(|standing| standing.tenant.id)
        };
        assert_eq!(acts(Shows::Pinned, None), Ok(tenant(HERE)));
        assert_eq!(acts(Shows::Pinned, Some(ELSEWHERE)), Err(Denied::PinnedElsewhere));
        assert_eq!(acts(Shows::Unpinned, Some(ELSEWHERE)), Ok(tenant(ELSEWHERE)));
        assert_eq!(acts(Shows::Unpinned, None), Err(Denied::TenantNotNamed));
        assert_eq!(acts(Shows::Unpinned, Some(3)), Err(Denied::NotAMember));
        let mut alone = person(Shows::Unpinned, "user:read", Role::Member, "studio");
        alone.standings.truncate(1);
        assert_eq!(alone.acts_in(None).map(|standing| standing.tenant.id), Ok(tenant(HERE)));
        alone.standings.clear();
        assert_eq!(alone.acts_in(None).map(|standing| standing.tenant.id), Err(Denied::TenantNotNamed));
    }

    #[test]
    fn what_a_key_carries_shrinks_with_the_role() {
        let scopes = |role| {
            let person = person(Shows::Pinned, "projects:read projects:write admin", role, "studio");
            person.effective_scopes(Some(tenant(HERE))).to_string()
        };
        assert_eq!(scopes(Role::Member), "projects:read");
        assert_eq!(scopes(Role::Manager), "projects:read projects:write");
        assert_eq!(scopes(Role::Admin), "admin projects:read projects:write");
        let unpinned = person(Shows::Unpinned, "projects:write user:read", Role::Owner, "studio");
        assert_eq!(unpinned.effective_scopes(None).to_string(), "user:read");
        assert!(unpinned.effective_scopes(Some(tenant(3))).is_empty());
    }
}
