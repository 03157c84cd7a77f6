//! Plans and scopes that the operator adds. Each is a table of the file, `[plan.NAME]` or `[scopes."NAME"]`; what a
//! file declares can be changed by variables, and only a file declares.

use std::borrow::Cow;

use keystead_domain::oauth::{Scope, ScopeCatalogue};
use keystead_domain::rate_limit::Quota;
use keystead_domain::role::Role;
use keystead_domain::tenant::PlanName;

use super::sources::Reader;
use super::values::{QUOTA, ROLE, SENTENCE, SWITCH, Value as _};

/// Things that the operator may add, each under a name of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Family {
    Plan,
    Scope,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::Plan, Self::Scope];

    /// What the keys of all begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Plan => "plan.",
            Self::Scope => "scopes.",
        }
    }

    /// What can be said about each.
    pub(super) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Plan => &["api_access", "burst", "sustained"],
            Self::Scope => &["sentence", "min_role"],
        }
    }

    /// The key of one thing's field.
    pub(super) fn key(self, name: &str, field: &str) -> String {
        format!("{}{name}.{field}", self.prefix())
    }

    /// The family, name and field of a key that could be of one.
    pub(super) fn of(key: &str) -> Option<(Self, &str, &str)> {
        let family = Self::ALL.into_iter().find(|family| key.starts_with(family.prefix()))?;
        // A scope may have dots in it.
        let (name, field) = key.strip_prefix(family.prefix())?.rsplit_once('.')?;
        (!name.is_empty()).then_some((family, name, field))
    }
}

/// What the operator added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// Plans beside those that are always there.
    pub plans: Vec<CustomPlan>,
    /// Scopes beside those that are always there.
    pub scopes: Vec<CustomScope>,
}

/// A plan that the operator added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomPlan {
    /// Its name.
    pub name: PlanName,
    /// Whether it opens the bearer API.
    pub api_access: bool,
    /// Requests of one API key at once.
    pub burst: Quota,
    /// Requests of one API key over a longer time.
    pub sustained: Quota,
}

/// A scope that the operator added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomScope {
    /// The scope.
    pub scope: Scope,
    /// What it opens, as a person is told who is asked for it.
    pub sentence: String,
    /// The least role that its holder needs in a tenant for it to count there.
    pub min_role: Role,
}

impl Custom {
    /// Reads all before giving up on one, so that all problems are found at once.
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let plans: Vec<_> =
            reader.names(Family::Plan).iter().map(|name| CustomPlan::read(reader, name)).collect();
        let scopes: Vec<_> =
            reader.names(Family::Scope).iter().map(|name| CustomScope::read(reader, name)).collect();
        let (plans, scopes): (Option<_>, Option<_>) =
            (plans.into_iter().collect(), scopes.into_iter().collect());
        Some(Self { plans: plans?, scopes: scopes? })
    }

    pub(super) fn show(&self) -> impl Iterator<Item = (Cow<'static, str>, Option<String>)> {
        let plans = self.plans.iter().flat_map(|plan| {
            let values = [plan.api_access.show(), plan.burst.show(), plan.sustained.show()];
            keyed(Family::Plan, plan.name.as_str(), values)
        });
        let scopes = self.scopes.iter().flat_map(|scope| {
            let values = [scope.sentence.show(), scope.min_role.show()];
            keyed(Family::Scope, scope.scope.as_str(), values)
        });
        plans.chain(scopes)
    }
}

/// The values of a thing with their keys, in the order of the fields.
fn keyed<const N: usize>(
    family: Family,
    name: &str,
    values: [Option<String>; N],
) -> Vec<(Cow<'static, str>, Option<String>)> {
    let fields = family.fields().iter();
    fields.zip(values).map(|(field, value)| (family.key(name, field).into(), value)).collect()
}

impl CustomPlan {
    fn read(reader: &mut Reader, name: &str) -> Option<Self> {
        let key = |field| Family::Plan.key(name, field);
        let api_access = reader.read_named(&key("api_access"), &SWITCH, None);
        let burst = reader.read_named(&key("burst"), &QUOTA, None);
        let sustained = reader.read_named(&key("sustained"), &QUOTA, None);
        let parsed = name.parse();
        if let Err(error) = &parsed {
            reader.refuse_name(Family::Plan, name, error);
        }
        Some(Self { name: parsed.ok()?, api_access: api_access?, burst: burst?, sustained: sustained? })
    }
}

impl CustomScope {
    fn read(reader: &mut Reader, name: &str) -> Option<Self> {
        let key = |field| Family::Scope.key(name, field);
        let sentence = reader.read_named(&key("sentence"), &SENTENCE, None);
        let min_role = reader.read_named(&key("min_role"), &ROLE, Some(Role::Member));
        let scope = match name.parse::<Scope>() {
            Err(_) => {
                reader.refuse_name(Family::Scope, name, &"1 to 64 visible ASCII characters but \" and \\");
                None
            }
            Ok(scope) if ScopeCatalogue::is_reserved(&scope) => {
                reader.refuse_name(Family::Scope, name, &"a scope that Keystead gives no meaning to itself");
                None
            }
            Ok(scope) => Some(scope),
        };
        Some(Self { scope: scope?, sentence: sentence?, min_role: min_role? })
    }
}
