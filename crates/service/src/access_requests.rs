//! Access requests: leaving one, deciding it, and the one-time link that an approval mails.

use keystead_domain::access_request::{
    AccessRequest, IntendedUse, RejectionReason, RequestState, RequestStatus,
};
use keystead_domain::app::{App, Introspect};
use keystead_domain::audit::{AuditAction, Event};
use keystead_domain::id::AccessRequestId;
use keystead_domain::limits::ACCESS_REQUESTS_DAILY;
use keystead_domain::mail::Mail;
use keystead_domain::name::Name;
use keystead_domain::oauth::Scope;
use keystead_domain::policy::{Action, PlatformAction};
use keystead_domain::slug::Slug;
use keystead_domain::tenant::{NetworkIdentity, PlanName, Tenant};
use keystead_domain::{Email, Owner};
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, access_requests, apps, audit, claim_links, counters, outbox, tenants,
};

use crate::apps::NewApp;
use crate::audit::Refine as _;
use crate::budgets::{MAILS, give_back, within};
use crate::claims::mint_link;
use crate::tenants::NewTenant;
use crate::{Caller, Code, Engine, Error, Result};

/// What somebody typed to ask for access.
pub struct NewAccessRequest {
    /// The company.
    pub company: Name,
    /// Who is to be told.
    pub contact: Email,
    /// What for.
    pub intended_use: IntendedUse,
}

/// On which terms a request is approved.
#[derive(Default)]
pub struct Terms {
    /// The tenant's slug; without one it is made of the company's name.
    pub slug: Option<Slug>,
    /// The tenant's plan; without one it is the default plan.
    pub plan: Option<PlanName>,
    /// The tenant's network identity.
    pub entity_hotkey: Option<NetworkIdentity>,
    /// What the app may be given; `api` where nothing is said.
    pub scopes: Vec<Scope>,
}

/// A request as operators see it.
pub struct Reviewed {
    /// The request.
    pub request: AccessRequest,
    /// What was made for it, where it was approved.
    pub granted: Option<(Tenant, App)>,
}

/// Leaves a request. One too many for its address is answered like any other and not stored, since
/// whoever asks has not proved to own the address.
pub fn leave(engine: &Engine, caller: &Caller, new: NewAccessRequest) -> Result<AccessRequestId> {
    let trail = caller.allow(Action::RequestAccess, Owner::Platform)?;
    let platform = caller.allow_platform(PlatformAction::LeaveAccessRequest)?;
    let now = engine.env.now();
    let id = AccessRequestId::mint(now, &*engine.env);
    let request = AccessRequest {
        id,
        company: new.company,
        contact: new.contact,
        intended_use: new.intended_use,
        state: RequestState::Pending,
        created_at: now,
    };
    let event = engine.event(caller, Owner::Platform, AuditAction::AccessRequested, now).on(id);
    engine.store.write(move |tx| {
        let mut rows = tx.tenant(&trail);
        if !counters::take(&mut rows, ACCESS_REQUESTS_DAILY, request.contact.key(), now)? {
            return audit::insert(&mut rows, &event.refused());
        }
        audit::insert(&mut rows, &event)?;
        access_requests::insert(&mut tx.platform(&platform), &request)
    })?;
    Ok(id)
}

/// All requests, or those of one status, the oldest first.
pub fn list(engine: &Engine, caller: &Caller, status: Option<RequestStatus>) -> Result<Vec<Reviewed>> {
    let platform = caller.allow_platform(PlatformAction::DecideAccessRequests)?;
    let found = engine.store.read(|tx| access_requests::list(&mut tx.platform(&platform), status))?;
    Ok(found.into_iter().map(|(request, granted)| Reviewed { request, granted }).collect())
}

/// The request with this id.
pub fn show(engine: &Engine, caller: &Caller, id: AccessRequestId) -> Result<Reviewed> {
    let platform = caller.allow_platform(PlatformAction::DecideAccessRequests)?;
    let found = engine.store.read(|tx| access_requests::find(&mut tx.platform(&platform), id))?;
    let (request, granted) =
        found.ok_or_else(|| Error::of(Code::NotFound).saying(format!("There is no access request {id}.")))?;
    Ok(Reviewed { request, granted })
}

/// What became of the attempt to decide something and to mail it.
enum Attempt {
    Done,
    /// Somebody else decided first.
    Decided,
    /// The address got all the mails that it may get for now.
    NoMailLeft,
}

impl Attempt {
    /// That it was done, or why not.
    fn done(self) -> Result<()> {
        let sentence = match self {
            Self::Done => return Ok(()),
            Self::Decided => "The request was decided already.",
            Self::NoMailLeft => {
                "The contact has been sent as many mails as one address gets in an hour or a day. \
                 Nothing was changed; try again later."
            }
        };
        Err(Error::of(Code::Conflict).saying(sentence))
    }
}

/// Approves a request that is pending: makes a tenant and its first-party app without a secret, and
/// mails the contact a one-time link to claim one, all or nothing.
pub fn approve(engine: &Engine, caller: &Caller, id: AccessRequestId, terms: Terms) -> Result<Reviewed> {
    let platform = caller.allow_platform(PlatformAction::DecideAccessRequests)?;
    let trail = caller.allow(Action::RequestAccess, Owner::Platform)?;
    let AccessRequest { company, contact, .. } = undecided(show(engine, caller, id)?)?;
    crate::tenants::is_configured(engine, terms.plan.as_ref())?;
    let now = engine.env.now();
    let new =
        NewTenant { name: company, slug: terms.slug, plan: terms.plan, entity_hotkey: terms.entity_hotkey };
    let name = new.name.clone();
    for tenant in crate::tenants::candidates(engine, new, now) {
        let owner = Owner::Tenant(tenant.id);
        let scope = caller.allow(Action::ManageApps, owner)?;
        let new =
            NewApp { owner, name: name.clone(), scopes: terms.scopes.clone(), introspect: Introspect::Own };
        let app = crate::apps::draft(engine, new, now)?;
        let minted = mint_link(engine, app.id, now);
        let approval = engine.event(caller, Owner::Platform, AuditAction::AccessApproved, now).on(id);
        let of_tenant = [
            engine.event(caller, owner, AuditAction::TenantCreated, now).on(tenant.id),
            engine.event(caller, owner, AuditAction::AppCreated, now).on(app.id),
            engine.event(caller, owner, AuditAction::ClaimLinkIssued, now).on(app.id),
        ];
        let server = engine.settings.issuer.clone();
        let mail = engine.compose(&contact, &Mail::AccessApproved { server, link: minted.url }, now);
        let link = minted.link;
        let (tenant_row, app_row) = (tenant, app);
        let attempt = engine.store.write(move |tx| {
            let mut rows = tx.tenant(&trail);
            if !within(&mut rows, &MAILS, &mail.recipient, now)? {
                return Ok(Attempt::NoMailLeft);
            }
            let (tenant, app) = (tenant_row.id, app_row.id);
            if !access_requests::approve(&mut tx.platform(&platform), id, tenant, app, now)? {
                give_back(&mut tx.tenant(&trail), &MAILS, &mail.recipient, now)?;
                return Ok(Attempt::Decided);
            }
            tenants::insert(&mut tx.platform(&platform), &tenant_row)?;
            let mut rows = tx.tenant(&scope);
            apps::insert(&mut rows, &app_row)?;
            claim_links::replace(&mut rows, &link)?;
            record(&mut rows, &of_tenant)?;
            let mut rows = tx.tenant(&trail);
            outbox::insert(&mut rows, &mail)?;
            record(&mut rows, &[approval])?;
            Ok(Attempt::Done)
        });
        match attempt {
            Ok(attempt) => {
                attempt.done()?;
                engine.work.ring();
                return show(engine, caller, id);
            }
            Err(StoreError::Taken(UniqueKey::TenantSlug)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(crate::tenants::slug_taken())
}

/// Rejects a request that is pending, and mails the contact why.
pub fn reject(
    engine: &Engine,
    caller: &Caller,
    id: AccessRequestId,
    reason: RejectionReason,
) -> Result<Reviewed> {
    let platform = caller.allow_platform(PlatformAction::DecideAccessRequests)?;
    let trail = caller.allow(Action::RequestAccess, Owner::Platform)?;
    let AccessRequest { contact, .. } = undecided(show(engine, caller, id)?)?;
    let now = engine.env.now();
    let server = engine.settings.issuer.clone();
    let mail = engine.compose(&contact, &Mail::AccessRejected { server, reason: reason.clone() }, now);
    let event = engine.event(caller, Owner::Platform, AuditAction::AccessRejected, now).on(id);
    let attempt = engine.store.write(move |tx| {
        if !within(&mut tx.tenant(&trail), &MAILS, &mail.recipient, now)? {
            return Ok(Attempt::NoMailLeft);
        }
        let is_ours = access_requests::reject(&mut tx.platform(&platform), id, &reason, now)?;
        let mut rows = tx.tenant(&trail);
        if !is_ours {
            give_back(&mut rows, &MAILS, &mail.recipient, now)?;
            return Ok(Attempt::Decided);
        }
        outbox::insert(&mut rows, &mail)?;
        record(&mut rows, &[event])?;
        Ok(Attempt::Done)
    })?;
    attempt.done()?;
    engine.work.ring();
    show(engine, caller, id)
}

/// Mails the contact of an approved request a fresh link. The link before it is no good from then on.
pub fn send_fresh_link(engine: &Engine, caller: &Caller, id: AccessRequestId) -> Result<Reviewed> {
    let trail = caller.allow(Action::RequestAccess, Owner::Platform)?;
    let reviewed = show(engine, caller, id)?;
    let Some((tenant, app)) = &reviewed.granted else {
        return Err(Error::of(Code::Conflict).saying("The request is not approved, so it has no link."));
    };
    let owner = Owner::Tenant(tenant.id);
    let scope = caller.allow(Action::ManageApps, owner)?;
    let now = engine.env.now();
    let minted = mint_link(engine, app.id, now);
    let server = engine.settings.issuer.clone();
    let mail =
        engine.compose(&reviewed.request.contact, &Mail::AccessApproved { server, link: minted.url }, now);
    let event = engine.event(caller, owner, AuditAction::ClaimLinkIssued, now).on(app.id);
    let link = minted.link;
    let attempt = engine.store.write(move |tx| {
        if !within(&mut tx.tenant(&trail), &MAILS, &mail.recipient, now)? {
            return Ok(Attempt::NoMailLeft);
        }
        let mut rows = tx.tenant(&scope);
        claim_links::replace(&mut rows, &link)?;
        record(&mut rows, &[event])?;
        outbox::insert(&mut tx.tenant(&trail), &mail)?;
        Ok(Attempt::Done)
    })?;
    attempt.done()?;
    engine.work.ring();
    Ok(reviewed)
}

/// The request, if nobody has decided it. The transaction asks again.
fn undecided(reviewed: Reviewed) -> Result<AccessRequest> {
    match &reviewed.request.state {
        RequestState::Pending => Ok(reviewed.request),
        decided => {
            let sentence = format!("The request is {} already.", decided.status().as_str());
            Err(Error::of(Code::Conflict).saying(sentence))
        }
    }
}

fn record(tx: &mut TenantTx<'_>, events: &[Event]) -> std::result::Result<(), StoreError> {
    events.iter().try_for_each(|event| audit::insert(tx, event))
}
