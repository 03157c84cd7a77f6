//! Invitations to a tenant: made, mailed, mailed again and taken back; and what those who are invited answer.

mod answers;

use keystead_crypto::tokens;
use keystead_domain::audit::AuditAction;
use keystead_domain::id::{InviteId, TenantId, UserId};
use keystead_domain::invite::{INVITE_LIFETIME, Invite, InviteStatus, MOST_PENDING};
use keystead_domain::limits::INVITES_DAILY;
use keystead_domain::mail::Mail;
use keystead_domain::policy::{Action, Denied, TenantScope};
use keystead_domain::role::Role;
use keystead_domain::{Email, Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::outbox::NewMail;
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, audit, counters, invites, memberships, outbox, users,
};

use crate::audit::Refine as _;
use crate::budgets::{MAILS, within};
use crate::members::{Authority, already_member, authority};
use crate::paging::{PageAsked, Paged};
use crate::{Caller, Code, Engine, Error, Result};

pub use answers::{
    Joined, Named, NewMember, Preview, SignedInTo, accept, accept_as_new, decline, list_own, preview,
    sign_in_and_accept,
};

/// What a link's token begins with.
const PREFIX: &str = "link_";

/// Somebody to be invited.
pub struct NewInvite {
    /// The address.
    pub email: Email,
    /// As what.
    pub role: Role,
}

/// Why an invitation is not made or mailed.
enum Refusal {
    Denied(Denied),
    Missing,
    IsMember,
    IsInvited,
    TooMany,
    NoMailLeft,
    EnoughForToday,
    NotPending,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let conflict = |sentence: &'static str| Self::of(Code::Conflict).saying(sentence);
        match refusal {
            Refusal::Denied(denied) => denied.into(),
            Refusal::Missing => missing(),
            Refusal::IsMember => already_member(),
            Refusal::IsInvited => {
                conflict("This address is invited already. Send the invitation again instead.")
            }
            Refusal::TooMany => {
                conflict("Too many invitations of this organization wait. Take some of them back.")
            }
            Refusal::NoMailLeft => {
                conflict("This address got all the mails that it gets for now. Try again later.")
            }
            Refusal::EnoughForToday => conflict("You sent all the invitations that you may for today."),
            Refusal::NotPending => conflict("The invitation does not wait any more."),
        }
    }
}

fn missing() -> Error {
    Error::of(Code::NotFound).saying("There is no such invitation in this organization.")
}

/// That the caller may invite somebody as `role` now.
fn may_invite(
    tx: &mut TenantTx<'_>,
    caller: &Caller,
    role: Role,
) -> std::result::Result<std::result::Result<(), Refusal>, StoreError> {
    Ok(match authority(tx, caller, Role::Admin)? {
        Authority::Lacking(denied) => Err(Refusal::Denied(denied)),
        Authority::Of(own) if own.may_change(None, Some(role)) => Ok(()),
        Authority::Of(_) => Err(Refusal::Denied(Denied::RoleTooLow { needed: role })),
    })
}

/// Invites an address, as nothing above the caller's own role, and mails it the link.
pub fn create(engine: &Engine, caller: &Caller, tenant: TenantId, new: NewInvite) -> Result<Invite> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ManageMembers, owner)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let now = engine.env.now();
    let invite = Invite {
        id: InviteId::mint(now, &*engine.env),
        tenant,
        email: new.email,
        role: new.role,
        inviter: caller.as_person().ok().map(|person| person.user.id),
        status: InviteStatus::Pending,
        created_at: now,
        expires_at: now + INVITE_LIFETIME,
    };
    let (mail, digest) = compose(engine, people, &invite.email)?;
    let event = engine.event(caller, owner, AuditAction::InviteCreated, now).on(invite.id);
    let (by, row) = (caller.clone(), invite.clone());
    let made = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        if let Err(refusal) = may_invite(&mut rows, &by, row.role)? {
            return Ok(Err(refusal));
        }
        if memberships::find_by_email(&mut rows, &row.email)?.is_some() {
            return Ok(Err(Refusal::IsMember));
        }
        if invites::count_pending(&mut rows, now)? >= MOST_PENDING {
            return Ok(Err(Refusal::TooMany));
        }
        if let Err(refusal) = may_mail(&mut tx.tenant(&people), &by, &row.email, now)? {
            return Ok(Err(refusal));
        }
        let mut rows = tx.tenant(&scope);
        invites::cancel_expired(&mut rows, &row.email, now)?;
        invites::insert(&mut rows, &row, &digest)?;
        audit::insert(&mut rows, &event)?;
        outbox::insert(&mut tx.tenant(&people), &mail)?;
        Ok(Ok(()))
    });
    match made {
        Ok(Ok(())) => {
            engine.work.ring();
            Ok(invite)
        }
        Ok(Err(refusal)) => Err(refusal.into()),
        Err(StoreError::Taken(UniqueKey::PendingInvite)) => Err(Refusal::IsInvited.into()),
        Err(other) => Err(other.into()),
    }
}

/// Counts one more mail by the caller to this address.
fn may_mail(
    people: &mut TenantTx<'_>,
    caller: &Caller,
    email: &Email,
    now: Timestamp,
) -> std::result::Result<std::result::Result<(), Refusal>, StoreError> {
    if let Ok(person) = caller.as_person()
        && !counters::take(people, INVITES_DAILY, &person.user.id.to_string(), now)?
    {
        return Ok(Err(Refusal::EnoughForToday));
    }
    Ok(if within(people, &MAILS, email, now)? { Ok(()) } else { Err(Refusal::NoMailLeft) })
}

/// A mail with a new link. It goes to the address as its account has it, where there is one.
fn compose(engine: &Engine, people: TenantScope, email: &Email) -> Result<(NewMail, TokenDigest)> {
    let known = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&people), email))?;
    let (token, digest) = tokens::mint(PREFIX, &*engine.env);
    let server = engine.settings.issuer.trim_end_matches('/');
    // Built from the server's public URL, never from a request.
    let link = Secret::new(format!("{server}/invite/{}", token.expose()));
    let mail = Mail::Invited { product: engine.settings.product.clone(), link };
    let to = known.as_ref().map_or(email, |(user, _)| &user.email);
    Ok((engine.compose(to, &mail, engine.env.now()), digest))
}

/// A tenant's invitations, the newest first, those that were answered or taken back among them.
pub fn list(engine: &Engine, caller: &Caller, tenant: TenantId, page: PageAsked) -> Result<Paged<Invite>> {
    let scope = caller.allow(Action::ManageMembers, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| {
        let mut rows = tx.tenant(&scope);
        let items = invites::page(&mut rows, page.offset(), page.limit())?;
        Ok(Paged { items, total: invites::count(&mut rows)? })
    })?)
}

/// The tenant's invitation of an address that waits.
pub fn find_waiting(
    engine: &Engine,
    caller: &Caller,
    tenant: TenantId,
    email: &Email,
) -> Result<Option<Invite>> {
    let scope = caller.allow(Action::ManageMembers, Owner::Tenant(tenant))?;
    Ok(engine.store.read(|tx| invites::find_pending(&mut tx.tenant(&scope), email))?)
}

/// Which of the tenants whose members the caller manages an invitation is to.
pub fn tenant_of(engine: &Engine, caller: &Caller, id: InviteId) -> Result<TenantId> {
    for standing in &caller.as_person()?.standings {
        let tenant = standing.tenant.id;
        let Ok(scope) = caller.allow(Action::ManageMembers, Owner::Tenant(tenant)) else { continue };
        if engine.store.read(|tx| invites::find(&mut tx.tenant(&scope), id))?.is_some() {
            return Ok(tenant);
        }
    }
    Err(missing())
}

/// Mails an invitation that waits once more, with another link: the one before is no good from then on.
pub fn resend(engine: &Engine, caller: &Caller, tenant: TenantId, id: InviteId) -> Result<Invite> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ManageMembers, owner)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let found = engine.store.read(|tx| invites::find(&mut tx.tenant(&scope), id))?;
    let email = found.ok_or_else(missing)?.email;
    let now = engine.env.now();
    let (mail, digest) = compose(engine, people, &email)?;
    let event = engine.event(caller, owner, AuditAction::InviteResent, now).on(id);
    let by = caller.clone();
    let resent = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let invite = match waiting(&mut rows, &by, id)? {
            Ok(invite) => invite,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = may_mail(&mut tx.tenant(&people), &by, &invite.email, now)? {
            return Ok(Err(refusal));
        }
        let mut rows = tx.tenant(&scope);
        let expires_at = now + INVITE_LIFETIME;
        if !invites::renew(&mut rows, id, &digest, expires_at)? {
            return Err(StoreError::Failed("an invitation that was held has changed".to_owned()));
        }
        audit::insert(&mut rows, &event)?;
        outbox::insert(&mut tx.tenant(&people), &mail)?;
        Ok(Ok(Invite { expires_at, ..invite }))
    })?;
    engine.work.ring();
    Ok(resent?)
}

/// Takes an invitation back that waits.
pub fn cancel(engine: &Engine, caller: &Caller, tenant: TenantId, id: InviteId) -> Result<Invite> {
    let owner = Owner::Tenant(tenant);
    let scope = caller.allow(Action::ManageMembers, owner)?;
    let event = engine.event(caller, owner, AuditAction::InviteCancelled, engine.env.now()).on(id);
    let by = caller.clone();
    let cancelled = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let invite = match waiting(&mut rows, &by, id)? {
            Ok(invite) => invite,
            Err(refusal) => return Ok(Err(refusal)),
        };
        invites::cancel(&mut rows, id)?;
        audit::insert(&mut rows, &event)?;
        Ok(Ok(Invite { status: InviteStatus::Cancelled, ..invite }))
    })?;
    Ok(cancelled?)
}

/// The tenant's invitation that waits, if the caller may make such a one now. Who else answers it or changes
/// it waits until the transaction ends.
fn waiting(
    tx: &mut TenantTx<'_>,
    caller: &Caller,
    id: InviteId,
) -> std::result::Result<std::result::Result<Invite, Refusal>, StoreError> {
    // The tenant is held from here on.
    if let Authority::Lacking(denied) = authority(tx, caller, Role::Admin)? {
        return Ok(Err(Refusal::Denied(denied)));
    }
    let Some(invite) = invites::find(tx, id)? else { return Ok(Err(Refusal::Missing)) };
    if let Err(refusal) = may_invite(tx, caller, invite.role)? {
        return Ok(Err(refusal));
    }
    Ok(if invite.status == InviteStatus::Pending { Ok(invite) } else { Err(Refusal::NotPending) })
}

/// Takes back what a member invited to that it may not invite to any more, as what it is from now on.
pub(crate) fn retract(
    tx: &mut TenantTx<'_>,
    inviter: UserId,
    role: Option<Role>,
) -> std::result::Result<(), StoreError> {
    for invite in invites::list_pending_by(tx, inviter)? {
        if !invite.stands_by(role) {
            invites::cancel(tx, invite.id)?;
        }
    }
    Ok(())
}
