//! `keystead member`.

use keystead_domain::membership::Membership;
use keystead_domain::user::User;
use keystead_service::members;
use keystead_service::paging::PageAsked;
use keystead_service::{Caller, tenants};
use serde::Serialize;

use super::Context;
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct MemberView {
    id: String,
    tenant_id: String,
    user_id: String,
    email: String,
    name: Option<String>,
    role: &'static str,
    joined_at: String,
}

impl MemberView {
    fn new(membership: &Membership, user: &User) -> Self {
        Self {
            id: membership.id.to_string(),
            tenant_id: membership.tenant.to_string(),
            user_id: user.id.to_string(),
            email: user.email.to_string(),
            name: user.name.as_ref().map(ToString::to_string),
            role: membership.role.as_str(),
            joined_at: membership.created_at.to_rfc3339_seconds(),
        }
    }
}

impl Show for MemberView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("tenant", self.tenant_id.clone()),
            ("user", self.user_id.clone()),
            ("e-mail", self.email.clone()),
        ];
        lines.extend(self.name.clone().map(|name| ("name", name)));
        lines.extend([("role", self.role.to_owned()), ("since", self.joined_at.clone())]);
        lines
    }
}

/// How many members are read at once.
const PAGE: u32 = 500;

pub(crate) fn run(context: &Context, command: cli::Member) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let (membership, user) = match command {
        cli::Member::Add { tenant, email, role } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            members::add(engine, &host, tenant, &email, role)?
        }
        cli::Member::List { tenant } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            let mut views: Vec<MemberView> = Vec::new();
            for number in 1.. {
                let page = members::list(engine, &host, tenant, PageAsked { number, size: PAGE })?.items;
                if page.is_empty() {
                    break;
                }
                views.extend(page.iter().map(|member| MemberView::new(&member.membership, &member.user)));
            }
            return output::list(context.format, &views);
        }
        cli::Member::Remove { tenant, email } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            let (member, _) = members::show_by_email(engine, &host, tenant, &email)?;
            members::remove(engine, &host, tenant, member.id)?
        }
    };
    output::one(context.format, &MemberView::new(&membership, &user))
}
