//! Which scopes there are, what they open, and the role that it takes for one to count.

use std::collections::BTreeMap;

use crate::oauth::{Scope, ScopeSet};
use crate::role::Role;

/// A scope that a key or a token of a person can carry.
#[derive(Clone, Debug)]
pub struct GrantableScope {
    /// The scope.
    pub scope: Scope,
    /// What it opens, as a person is told.
    pub sentence: String,
    /// The least role that its holder needs in a tenant for it to count there.
    pub min_role: Role,
}

/// The scopes of a deployment.
#[derive(Clone, Debug)]
pub struct ScopeCatalogue(BTreeMap<Scope, GrantableScope>);

/// The scopes that are there in any deployment.
const OWN: [(&str, Role, &str); 10] = [
    (Scope::API, Role::Member, "Use the app API"),
    (Scope::USER_READ, Role::Member, "See your profile"),
    (Scope::USER_WRITE, Role::Member, "Change your profile"),
    (Scope::PROJECTS_READ, Role::Member, "See projects"),
    (Scope::PROJECTS_WRITE, Role::Manager, "Make, change and delete projects"),
    (Scope::API_KEYS_READ, Role::Member, "See API keys"),
    (Scope::API_KEYS_WRITE, Role::Member, "Rename and narrow API keys"),
    (Scope::API_KEYS_DELETE, Role::Member, "Revoke API keys"),
    (Scope::SUBSCRIPTION_READ, Role::Member, "See the plan"),
    (Scope::SUBSCRIPTION_WRITE, Role::Owner, "Change the plan"),
];

/// What OpenID Connect gives a meaning to (OpenID Connect Core §3.1.2.1, §5.4, §11).
const OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// What the names of role checks begin with. They look like scopes, and nobody can be granted one.
const ROLE_CHECKS: &str = "organization:";

/// The scopes that open nothing of Keystead's, for the services behind it, unless the configuration
/// says otherwise.
const BEHIND: [(&str, Role, &str); 4] = [
    ("read", Role::Member, "Read your organization's data"),
    ("write", Role::Member, "Change your organization's data"),
    ("delete", Role::Manager, "Delete your organization's data"),
    ("admin", Role::Admin, "Administer your organization's data"),
];

impl Default for ScopeCatalogue {
    fn default() -> Self {
        let known = OWN.into_iter().chain(BEHIND).filter_map(|(name, min_role, sentence)| {
            let scope: Scope = name.parse().ok()?;
            Some((scope.clone(), GrantableScope { scope, sentence: sentence.to_owned(), min_role }))
        });
        Self(known.collect())
    }
}

impl ScopeCatalogue {
    /// Adds scopes for the services behind Keystead, or puts them in place of those there. One that is Keystead's own
    /// stays what it is.
    #[must_use]
    pub fn with(mut self, custom: impl IntoIterator<Item = GrantableScope>) -> Self {
        let custom = custom.into_iter().filter(|one| OWN.iter().all(|(own, ..)| *own != one.scope.as_str()));
        self.0.extend(custom.map(|one| (one.scope.clone(), one)));
        self
    }

    /// Whether a name has a meaning of its own, so that no scope for the services behind Keystead can have it.
    pub fn is_reserved(scope: &Scope) -> bool {
        let name = scope.as_str();
        let own = OWN.iter().any(|(own, ..)| *own == name);
        own || OPENID.contains(&name) || name.starts_with(ROLE_CHECKS)
    }

    /// What an app can be given: `api`, and what is for the services behind Keystead. The others are for people.
    pub fn for_apps(&self) -> impl Iterator<Item = &Scope> {
        let known = self.iter().map(|known| &known.scope);
        known.filter(|scope| scope.as_str() == Scope::API || !Self::is_reserved(scope))
    }

    /// Every scope, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &GrantableScope> {
        self.0.values()
    }

    /// Whether all of these can be granted.
    pub fn knows(&self, scopes: &ScopeSet) -> bool {
        scopes.iter().all(|scope| self.0.contains_key(scope))
    }

    /// The least role for which a scope counts; none for one that is not known.
    pub fn min_role(&self, scope: &str) -> Option<Role> {
        self.0.get(scope).map(|known| known.min_role)
    }

    /// The scopes that count for a member of this role.
    pub fn for_role(&self, role: Role) -> ScopeSet {
        self.iter().filter(|known| known.min_role <= role).map(|known| known.scope.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_carries_all_that_a_lower_one_does() {
        let catalogue = ScopeCatalogue::default();
        for pair in Role::ALL.windows(2) {
            assert!(catalogue.for_role(pair[0]).is_subset(&catalogue.for_role(pair[1])));
        }
        let of = |role| catalogue.for_role(role);
        assert!(!of(Role::Member).contains("projects:write") && of(Role::Manager).contains("projects:write"));
        assert!(!of(Role::Member).contains("delete") && of(Role::Manager).contains("delete"));
        assert!(!of(Role::Manager).contains("admin") && of(Role::Admin).contains("admin"));
    }

    #[test]
    fn custom_scopes_are_added_and_ours_stay() {
        let custom = |name: &str, min_role| GrantableScope {
            scope: name.parse().unwrap(),
            sentence: "Run reports".to_owned(),
            min_role,
        };
        let catalogue = ScopeCatalogue::default().with([
            custom("reports:run", Role::Admin),
            custom("read", Role::Owner),
            custom("projects:write", Role::Member),
        ]);
        assert!(catalogue.knows(&"reports:run user:read".parse().unwrap()));
        assert!(!catalogue.knows(&"moon".parse().unwrap()));
        let member = catalogue.for_role(Role::Member);
        assert!(!member.contains("reports:run") && !member.contains("read"));
        assert!(!member.contains("projects:write"));
        let for_apps: Vec<_> = catalogue.for_apps().map(Scope::as_str).collect();
        assert_eq!(for_apps, ["admin", "api", "delete", "read", "reports:run", "write"]);
    }

    #[test]
    fn names_with_a_meaning_are_reserved() {
        let is_reserved = |name: &str| ScopeCatalogue::is_reserved(&name.parse().unwrap());
        for name in ["api", "user:read", "openid", "offline_access", "organization:billing"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["read", "reports:run", "organizations", "user:admin"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
