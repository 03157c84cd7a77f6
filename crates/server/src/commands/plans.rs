//! `keystead plan`: the plans of the configuration. They are changed there.

use keystead_domain::plan::{Feature, Plan, Plans};
use keystead_domain::tenant::PlanName;
use keystead_service::Engine;
use serde::Serialize;

use crate::cli::{self, Global};
use crate::deployment;
use crate::failure::Failure;
use crate::output::{self, Format, Show};

#[derive(Serialize)]
struct PlanView {
    name: String,
    /// Whether new tenants are on it.
    default: bool,
    /// What it opens.
    entitlements: Vec<&'static str>,
    rate_limits: RateLimitsView,
}

/// What each API key of a tenant may ask.
#[derive(Serialize)]
struct RateLimitsView {
    /// At once.
    burst: String,
    /// Over a longer time.
    sustained: String,
}

impl PlanView {
    fn new(plan: &Plan, default: &PlanName) -> Self {
        let opened = Feature::ALL.into_iter().filter(|feature| plan.opens(*feature));
        Self {
            name: plan.name.to_string(),
            default: plan.name == *default,
            entitlements: opened.map(Feature::as_str).collect(),
            rate_limits: RateLimitsView {
                burst: plan.burst.to_string(),
                sustained: plan.sustained.to_string(),
            },
        }
    }
}

impl Show for PlanView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("default", if self.default { "yes" } else { "no" }.to_owned()),
            (
                "opens",
                if self.entitlements.is_empty() { "-".to_owned() } else { self.entitlements.join(" ") },
            ),
            ("burst", self.rate_limits.burst.clone()),
            ("sustained", self.rate_limits.sustained.clone()),
        ]
    }
}

pub(crate) fn run(global: &Global, format: Format, command: &cli::Plan) -> Result<(), Failure> {
    let config = deployment::load(global, Vec::new())?.config;
    let plans = deployment::plans(&config)?;
    match command {
        cli::Plan::List => {
            let views: Vec<_> = plans.iter().map(|plan| PlanView::new(plan, &config.default_plan)).collect();
            output::list(format, &views)
        }
        cli::Plan::Show { name } => {
            let plan = plans.find(name).ok_or_else(|| unknown(&plans, name))?;
            output::one(format, &PlanView::new(plan, &config.default_plan))
        }
    }
}

/// That a plan that somebody names is one of the configuration. Else the command line makes no sense.
pub(super) fn check(engine: &Engine, name: Option<&PlanName>) -> Result<(), Failure> {
    let plans = &engine.settings().plans;
    match name {
        Some(name) if plans.find(name).is_none() => Err(unknown(plans, name)),
        _ => Ok(()),
    }
}

fn unknown(plans: &Plans, name: &PlanName) -> Failure {
    Failure::usage(format!("there is no plan {name}: it must be one of {}", plans.names()))
}
