//! Plans: what a tenant pays for, and what that opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::rate_limit::Quota;
use crate::tenant::PlanName;

/// Something that a plan may or may not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// The bearer API, `/api/v1`.
    ApiAccess,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 1] = [Self::ApiAccess];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiAccess => "apiAccess",
        }
    }
}

/// A named set of entitlements and limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Its name.
    pub name: PlanName,
    /// Whether it opens the bearer API.
    pub api_access: bool,
    /// How often a key may ask at once.
    pub burst: Quota,
    /// How often a key may ask over a longer time.
    pub sustained: Quota,
}

impl Plan {
    /// Whether the plan opens `feature`.
    pub const fn opens(&self, feature: Feature) -> bool {
        match feature {
            Feature::ApiAccess => self.api_access,
        }
    }
}

/// The plans of a deployment, from the smallest to the largest.
#[derive(Clone, Debug)]
pub struct Plans {
    in_order: Vec<Arc<Plan>>,
    by_name: BTreeMap<String, Arc<Plan>>,
}

/// The plans that are there unless the configuration says otherwise.
impl Default for Plans {
    fn default() -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        let plan = |name: &str, api_access, burst, sustained| {
            let name = name.parse().ok()?;
            let (burst, sustained) = (Quota::new(burst, SECOND * 10), Quota::new(sustained, MINUTE));
            Some(Plan { name, api_access, burst, sustained })
        };
        let plans =
            [plan("free", false, 10, 300), plan("studio", true, 30, 600), plan("agency", true, 60, 1200)];
        Self::new(plans.into_iter().flatten().collect())
    }
}

impl Plans {
    /// These plans. Of two, the smaller one is that whose keys may ask less often over a longer time; where that is
    /// the same, the one that comes first.
    pub fn new(mut plans: Vec<Plan>) -> Self {
        plans.sort_by_key(|plan| plan.sustained.per_hour());
        let in_order: Vec<_> = plans.into_iter().map(Arc::new).collect();
        let by_name = in_order.iter().map(|plan| (plan.name.to_string(), Arc::clone(plan))).collect();
        Self { in_order, by_name }
    }

    /// The plan of this name; nothing for one that is not configured any more, which opens nothing.
    pub fn find(&self, name: &PlanName) -> Option<&Arc<Plan>> {
        self.by_name.get(name.as_str())
    }

    /// Every plan, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.in_order.iter().map(|plan| &**plan)
    }

    /// The names of all, the smallest first, with commas between them.
    pub fn names(&self) -> String {
        self.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The smallest plan that opens `feature`.
    pub fn smallest_with(&self, feature: Feature) -> Option<&Arc<Plan>> {
        self.in_order.iter().find(|plan| plan.opens(feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_plan_is_the_one_that_asks_least() {
        let gold = Plan {
            name: "gold".parse().unwrap(),
            api_access: true,
            burst: Quota::new(5, Duration::from_secs(10)),
            sustained: Quota::new(400, Duration::from_secs(60)),
        };
        let plans = Plans::new(Plans::default().iter().cloned().chain([gold]).collect());
        assert_eq!(plans.names(), "free, gold, studio, agency");
        assert_eq!(plans.smallest_with(Feature::ApiAccess).unwrap().name.as_str(), "gold");
        assert!(plans.find(&"silver".parse().unwrap()).is_none());
    }
}
