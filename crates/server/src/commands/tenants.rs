//! `keystead tenant`.

use keystead_domain::tenant::Tenant;
use keystead_service::Caller;
use keystead_service::tenants::{self, NewTenant};
use serde::Serialize;

use super::{Context, plans};
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
pub(super) struct TenantView {
    id: String,
    pub(super) slug: String,
    name: String,
    plan: String,
    status: &'static str,
    entity_hotkey: Option<String>,
    created_at: String,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            slug: tenant.slug.to_string(),
            name: tenant.name.to_string(),
            plan: tenant.plan.to_string(),
            status: tenant.status.as_str(),
            entity_hotkey: tenant.entity_hotkey.map(|identity| identity.as_str().to_owned()),
            created_at: tenant.created_at.to_rfc3339_seconds(),
        }
    }
}

impl Show for TenantView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("slug", self.slug.clone()),
            ("name", self.name.clone()),
            ("plan", self.plan.clone()),
            ("status", self.status.to_owned()),
        ];
        lines.extend(self.entity_hotkey.clone().map(|identity| ("network identity", identity)));
        lines.push(("created", self.created_at.clone()));
        lines
    }
}

pub(crate) fn run(context: &Context, command: cli::Tenant) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let tenant = match command {
        cli::Tenant::Create { name, slug, plan, network_identity } => {
            plans::check(engine, plan.as_ref())?;
            let new = NewTenant { name, slug, plan, entity_hotkey: network_identity };
            tenants::create(engine, &host, new)?
        }
        cli::Tenant::List => {
            let tenants = tenants::list(engine, &host)?;
            return output::list(
                context.format,
                &tenants.into_iter().map(TenantView::from).collect::<Vec<_>>(),
            );
        }
        cli::Tenant::Show { slug } => tenants::show(engine, &host, &slug)?,
        cli::Tenant::SetPlan { slug, plan } => {
            plans::check(engine, Some(&plan))?;
            tenants::set_plan(engine, &host, &slug, plan)?
        }
        cli::Tenant::Suspend { slug } => tenants::suspend(engine, &host, &slug)?,
        cli::Tenant::Resume { slug } => tenants::resume(engine, &host, &slug)?,
    };
    output::one(context.format, &TenantView::from(tenant))
}
