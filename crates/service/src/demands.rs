//! What a tenant demands of its members: a second factor, and keys that are pinned to it.

use keystead_domain::Owner;
use keystead_domain::audit::AuditAction;
use keystead_domain::id::TenantId;
use keystead_domain::policy::{Action, Denied};
use keystead_domain::role::Role;
use keystead_domain::tenant::Demands;
use keystead_storage::{audit, memberships, second_factors, tenants};

use crate::audit::Refine as _;
use crate::members::{Authority, Member, authority};
use crate::paging::{PageAsked, Paged};
use crate::{Caller, Code, Engine, Error, Result};

/// How a tenant's members meet what it demands, or would.
pub struct Compliance {
    /// What it demands.
    pub demands: Demands,
    /// How many members have a second factor.
    pub with_second_factor: i64,
    /// A page of the members.
    pub members: Paged<Member>,
}

/// What a tenant demands, and which of its members have what.
pub fn show(engine: &Engine, caller: &Caller, tenant: TenantId, page: PageAsked) -> Result<Compliance> {
    let scope = caller.allow(Action::ChangeDemands, Owner::Tenant(tenant))?;
    let shown = engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let Some(tenant) = tenants::find_own(&mut rows)? else { return Ok(None) };
        let items = memberships::page(&mut rows, page.offset(), page.limit())?;
        Ok(Some(Compliance {
            demands: tenant.demands,
            with_second_factor: memberships::count_with_second_factor(&mut rows)?,
            members: Paged { items, total: memberships::count(&mut rows)? },
        }))
    })?;
    Ok(shown.ok_or(Denied::NotAMember)?)
}

/// What is to be demanded from now on; what is not said stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct DemandsChange {
    /// A second factor.
    pub second_factor: Option<bool>,
    /// Keys that are pinned to the tenant.
    pub pinned_keys: Option<bool>,
}

/// Changes what a tenant demands. Members who do not meet it are refused at their next request; that they
/// are members stays. Who has no second factor cannot demand one: it would lock itself out.
pub fn change(engine: &Engine, caller: &Caller, tenant: TenantId, change: DemandsChange) -> Result<Demands> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ChangeDemands, owner)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let user = caller.as_person()?.user.id;
    let event = engine.event(caller, owner, AuditAction::DemandsChanged, engine.env.now()).on(tenant);
    let by = caller.clone();
    let changed = engine.store.write(move |tx| {
        if let Authority::Lacking(denied) = authority(&mut tx.tenant(&scope), &by, Role::Owner)? {
            return Ok(Change::Denied(denied));
        }
        let enrolled = second_factors::find_totp(&mut tx.tenant(&people), user)?.secret.is_some();
        if change.second_factor == Some(true) && !enrolled {
            return Ok(Change::WouldLockOut);
        }
        let mut rows = tx.tenant(&scope);
        let Some(tenant) = tenants::find_own(&mut rows)? else {
            return Ok(Change::Denied(Denied::NotAMember));
        };
        let demands = Demands {
            second_factor: change.second_factor.unwrap_or(tenant.demands.second_factor),
            pinned_keys: change.pinned_keys.unwrap_or(tenant.demands.pinned_keys),
        };
        if tenants::set_demands(&mut rows, demands)? {
            audit::insert(&mut rows, &event)?;
        }
        Ok(Change::Done(demands))
    })?;
    match changed {
        Change::Done(demands) => Ok(demands),
        Change::Denied(denied) => Err(denied.into()),
        Change::WouldLockOut => Err(Error::of(Code::SecondFactorRequired)
            .saying("Enable a second factor yourself before you require one of all members.")),
    }
}

/// What became of a change.
enum Change {
    Done(Demands),
    Denied(Denied),
    WouldLockOut,
}
