//! `keystead request`.

use keystead_domain::Timestamp;
use keystead_domain::access_request::RequestState;
use keystead_service::Caller;
use keystead_service::access_requests::{self, Reviewed, Terms};
use serde::Serialize;

use super::apps::AppView;
use super::tenants::TenantView;
use super::{Context, plans};
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct RequestView {
    id: String,
    company: String,
    contact_email: String,
    status: &'static str,
    intended_use: String,
    created_at: String,
    decided_at: Option<String>,
    /// Only where it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Only where it was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantView>,
    /// Only where it was approved. The app's secret is made by whoever uses the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<AppView>,
}

impl From<Reviewed> for RequestView {
    fn from(Reviewed { request, granted }: Reviewed) -> Self {
        let (tenant, app) = granted.unzip();
        let reason = match &request.state {
            RequestState::Rejected { reason, .. } => Some(reason.to_string()),
            RequestState::Pending | RequestState::Approved { .. } => None,
        };
        Self {
            id: request.id.to_string(),
            company: request.company.to_string(),
            contact_email: request.contact.to_string(),
            status: request.state.status().as_str(),
            intended_use: request.intended_use.to_string(),
            created_at: request.created_at.to_rfc3339_seconds(),
            decided_at: request.state.decided_at().map(Timestamp::to_rfc3339_seconds),
            reason,
            tenant: tenant.map(TenantView::from),
            app: app.map(AppView::from),
        }
    }
}

impl Show for RequestView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("company", self.company.clone()),
            ("contact", self.contact_email.clone()),
            ("status", self.status.to_owned()),
            ("created", self.created_at.clone()),
        ];
        lines.extend(self.decided_at.clone().map(|at| ("decided", at)));
        lines.extend(self.tenant.as_ref().map(|tenant| ("tenant", tenant.slug.clone())));
        lines.extend(self.app.as_ref().map(|app| ("client id", app.client_id.clone())));
        lines.extend(self.reason.iter().flat_map(|reason| prose("reason", reason)));
        lines.extend(prose("intended use", &self.intended_use));
        lines
    }
}

/// Each line of a stranger's text under the same column, so that none can pass for a label.
fn prose<'t>(label: &'static str, text: &'t str) -> impl Iterator<Item = (&'static str, String)> + 't {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    labels.zip(text.lines().map(str::to_owned))
}

pub(crate) fn run(context: &Context, command: cli::Request) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let reviewed = match command {
        cli::Request::List { status } => {
            let requests = access_requests::list(engine, &host, status)?;
            let views: Vec<_> = requests.into_iter().map(RequestView::from).collect();
            return output::list(context.format, &views);
        }
        cli::Request::Show { id } => access_requests::show(engine, &host, id)?,
        cli::Request::Approve { id, network_identity, scopes, plan, slug } => {
            plans::check(engine, plan.as_ref())?;
            let terms = Terms { slug, plan, entity_hotkey: network_identity, scopes };
            access_requests::approve(engine, &host, id, terms)?
        }
        cli::Request::Reject { id, reason } => access_requests::reject(engine, &host, id, reason)?,
        cli::Request::FreshLink { id } => access_requests::send_fresh_link(engine, &host, id)?,
    };
    output::one(context.format, &RequestView::from(reviewed))
}
