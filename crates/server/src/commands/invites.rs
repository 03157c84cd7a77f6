//! `keystead invite`.

use keystead_domain::Timestamp;
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_service::invites::{self, NewInvite};
use keystead_service::paging::PageAsked;
use keystead_service::{Caller, tenants};
use serde::Serialize;

use super::Context;
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct InviteView {
    id: String,
    tenant_id: String,
    email: String,
    role: &'static str,
    status: &'static str,
    inviter_id: Option<String>,
    created_at: String,
    expires_at: String,
}

impl InviteView {
    fn new(invite: &Invite, now: Timestamp) -> Self {
        let expired = invite.status == InviteStatus::Pending && !invite.is_good(now);
        Self {
            id: invite.id.to_string(),
            tenant_id: invite.tenant.to_string(),
            email: invite.email.to_string(),
            role: invite.role.as_str(),
            status: if expired { "expired" } else { invite.status.as_str() },
            inviter_id: invite.inviter.map(|inviter| inviter.to_string()),
            created_at: invite.created_at.to_rfc3339_seconds(),
            expires_at: invite.expires_at.to_rfc3339_seconds(),
        }
    }
}

impl Show for InviteView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("tenant", self.tenant_id.clone()),
            ("e-mail", self.email.clone()),
            ("role", self.role.to_owned()),
            ("status", self.status.to_owned()),
        ];
        lines.extend(self.inviter_id.clone().map(|inviter| ("by", inviter)));
        lines.extend([("created", self.created_at.clone()), ("expires", self.expires_at.clone())]);
        lines
    }
}

/// How many invitations are read at once.
const PAGE: u32 = 500;

pub(crate) fn run(context: &Context, command: cli::Invite) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let now = engine.now();
    let invite = match command {
        cli::Invite::Create { tenant, email, role } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            invites::create(engine, &host, tenant, NewInvite { email, role })?
        }
        cli::Invite::List { tenant } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            let mut views: Vec<InviteView> = Vec::new();
            for number in 1.. {
                let page = invites::list(engine, &host, tenant, PageAsked { number, size: PAGE })?.items;
                if page.is_empty() {
                    break;
                }
                views.extend(page.iter().map(|invite| InviteView::new(invite, now)));
            }
            return output::list(context.format, &views);
        }
        cli::Invite::Cancel { tenant, id } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            invites::cancel(engine, &host, tenant, id)?
        }
    };
    output::one(context.format, &InviteView::new(&invite, now))
}
