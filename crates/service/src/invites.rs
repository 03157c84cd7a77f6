//! Invitations to a tenant: made, mailed, mailed again, taken back, accepted and declined.
//!
//! A link is mailed to the invited address and to nobody else, so whoever has it has read mail that was sent
//! there. An account that exists still has to sign in, and to have confirmed that address: somebody else may
//! have made it under an address that is not theirs. Where there is no account, the link makes one.

use keystead_crypto::tokens;
use keystead_domain::address_change::Standing;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::{InviteId, MembershipId, TenantId, UserId};
use keystead_domain::invite::{INVITE_LIFETIME, Invite, InviteStatus, MOST_PENDING};
use keystead_domain::limits::INVITES_DAILY;
use keystead_domain::mail::Mail;
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::{Action, Denied, Invited, PersonCredential, Principal, TenantScope};
use keystead_domain::rate_limit::Limit;
use keystead_domain::role::Role;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::outbox::NewMail;
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, audit, counters, invites, locate, memberships, outbox, sessions, users,
};

use crate::audit::Refine as _;
use crate::budgets::{MAILS, within};
use crate::members::{Authority, already_member, authority};
use crate::paging::{PageAsked, Paged};
use crate::people::{self, Presented};
use crate::sessions::NewSession;
use crate::sign_ins::{self, PasswordSignIn, SignIn};
use crate::users::{weak_password, with_free_handle};
use crate::{Arrival, Caller, Code, Engine, Error, Result, address_changes};

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

fn dead() -> Error {
    Error::of(Code::InvalidLink)
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

/// How an invitation is named by the one who answers it.
#[derive(Clone)]
pub enum Named {
    /// By the token of its link.
    Link(Secret<String>),
    /// By its id: only the account of the invited address can.
    Id(InviteId),
}

/// An invitation that somebody answers, and the scope of the tenant that it is to.
struct Answered {
    invite: Invite,
    tenant: Tenant,
    shown: Option<TokenDigest>,
    scope: TenantScope,
    caller: Caller,
}

/// The invitation with this link while it is good. An unknown one, an old one and one that was answered or
/// taken back are refused alike.
fn by_link(engine: &Engine, caller: &Caller, token: &Secret<String>) -> Result<Answered> {
    let (now, digest) = (engine.env.now(), TokenDigest::of(token.expose()));
    let found = engine.store.read(|tx| locate::invite(tx, &digest, now))?;
    answered(caller, found.ok_or_else(dead)?, Some(digest))
}

fn answered(
    caller: &Caller,
    (invite, tenant): (Invite, Tenant),
    shown: Option<TokenDigest>,
) -> Result<Answered> {
    let owner = Owner::Tenant(tenant.id);
    let invited = Invited { invite: invite.clone(), tenant: tenant.clone() };
    let caller = Caller::new(Principal::Invited(Box::new(invited)), caller.origin().clone());
    let scope = caller.allow(Action::AnswerInvite, owner)?;
    Ok(Answered { invite, tenant, shown, scope, caller })
}

/// The invitation that the person who calls names, if it is its own: its address is the invited one, and it
/// has confirmed that it is.
fn own(engine: &Engine, caller: &Caller, named: &Named) -> Result<Answered> {
    caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let user = &caller.as_person()?.user;
    let answered = match named {
        Named::Link(token) => by_link(engine, caller, token)?,
        Named::Id(id) => {
            let now = engine.env.now();
            let found = engine.store.read(|tx| locate::invites_to(tx, &user.email, Some(*id), now))?;
            let found = found.into_iter().next();
            let missing =
                || Error::of(Code::NotFound).saying("There is no such invitation for your address.");
            answered(caller, found.ok_or_else(missing)?, None)?
        }
    };
    if answered.invite.email.key() != user.email.key() {
        return Err(Error::of(Code::AppNotAllowed).saying(
            "The invitation is for another e-mail address. Sign in with the account of that address.",
        ));
    }
    if user.email_verified_at.is_none() {
        return Err(Error::of(Code::EmailNotVerified));
    }
    Ok(answered)
}

/// A membership by invitation.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The invitation, as it is now.
    pub invite: Invite,
    /// The tenant.
    pub tenant: Tenant,
    /// The membership.
    pub membership: Membership,
    /// Whose.
    pub user: User,
}

/// Makes the person who calls a member, by an invitation of its confirmed address.
pub fn accept(engine: &Engine, caller: &Caller, named: &Named) -> Result<Joined> {
    let Answered { invite, tenant, shown, scope, caller: invited } = own(engine, caller, named)?;
    let people = caller.allow(Action::HandleEndUsers, Owner::Platform)?;
    let person = caller.as_person()?;
    let (user, session) = (
        person.user.clone(),
        match person.credential {
            PersonCredential::Session { id, .. } => Some(id),
            PersonCredential::Key(_) => None,
        },
    );
    let membership = membership(engine, &invite, user.id);
    let events = events(engine, &invited, &invite, &membership);
    let (row, member, seen) = (invite.clone(), membership.clone(), user.clone());
    let joined = engine.store.write(move |tx| {
        // It may have gone, or moved to another address, since it was recognized.
        let held = users::hold(&mut tx.tenant(&people), seen.id)?;
        let same = |held: &User| {
            held.status == UserStatus::Active
                && held.email.key() == row.email.key()
                && held.email_verified_at.is_some()
        };
        if !held.as_ref().is_some_and(same) {
            return Ok(false);
        }
        let mut rows = tx.tenant(&scope);
        if !use_up(&mut rows, &row, shown.as_ref(), member.created_at)? {
            return Ok(false);
        }
        memberships::insert(&mut rows, &member)?;
        if let Some(session) = session {
            sessions::set_active_tenant(&mut tx.tenant(&people), session, Some(row.tenant))?;
        }
        let mut rows = tx.tenant(&scope);
        events.iter().try_for_each(|event| audit::insert(&mut rows, event))?;
        Ok(true)
    });
    let invite = Invite { status: InviteStatus::Accepted, ..invite };
    joined_or(joined, Joined { invite, tenant, membership, user })
}

fn membership(engine: &Engine, invite: &Invite, user: UserId) -> Membership {
    let now = engine.env.now();
    Membership {
        id: MembershipId::mint(now, &*engine.env),
        tenant: invite.tenant,
        user,
        role: invite.role,
        founder: false,
        created_at: now,
    }
}

fn events(
    engine: &Engine,
    invited: &Caller,
    invite: &Invite,
    membership: &Membership,
) -> [keystead_domain::audit::Event; 2] {
    let (owner, by, now) = (Owner::Tenant(invite.tenant), Actor::User(membership.user), engine.env.now());
    [
        engine.event(invited, owner, AuditAction::InviteAccepted, now).by(by).on(invite.id),
        engine.event(invited, owner, AuditAction::MemberAdded, now).by(by).on(membership.id),
    ]
}

/// Uses an invitation up, if it still stands; true for one caller.
fn use_up(
    tx: &mut TenantTx<'_>,
    invite: &Invite,
    shown: Option<&TokenDigest>,
    now: Timestamp,
) -> std::result::Result<bool, StoreError> {
    // Who invited may be losing its role at this moment.
    memberships::hold_owners(tx)?;
    Ok(still_stands(tx, invite)? && invites::finish(tx, invite.id, shown, InviteStatus::Accepted, now)?)
}

/// Whether the one who made the invitation may still make it.
fn still_stands(tx: &mut TenantTx<'_>, invite: &Invite) -> std::result::Result<bool, StoreError> {
    let Some(inviter) = invite.inviter else { return Ok(true) };
    let role = memberships::find_of(tx, inviter)?.map(|membership| membership.role);
    Ok(invite.stands_by(role))
}

fn joined_or<T>(outcome: std::result::Result<bool, StoreError>, joined: T) -> Result<T> {
    match outcome {
        Ok(true) => Ok(joined),
        Ok(false) => Err(dead()),
        Err(StoreError::Taken(UniqueKey::Membership)) => Err(already_member()),
        Err(other) => Err(other.into()),
    }
}

/// Declines an invitation of the confirmed address of the person who calls.
pub fn decline(engine: &Engine, caller: &Caller, named: &Named) -> Result<Invite> {
    let Answered { invite, shown, scope, caller: invited, .. } = own(engine, caller, named)?;
    let (owner, now) = (Owner::Tenant(invite.tenant), engine.env.now());
    let by = Actor::User(caller.as_person()?.user.id);
    let event = engine.event(&invited, owner, AuditAction::InviteDeclined, now).by(by).on(invite.id);
    let id = invite.id;
    let declined = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        if !invites::finish(&mut rows, id, shown.as_ref(), InviteStatus::Cancelled, now)? {
            return Ok(false);
        }
        audit::insert(&mut rows, &event)?;
        Ok(true)
    });
    joined_or(declined, Invite { status: InviteStatus::Cancelled, ..invite })
}

/// The invitations to the confirmed address of the person who calls that are good, the oldest first.
pub fn list_own(engine: &Engine, caller: &Caller) -> Result<Vec<(Invite, Tenant)>> {
    caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let user = &caller.as_person()?.user;
    if user.email_verified_at.is_none() {
        return Ok(Vec::new());
    }
    let now = engine.env.now();
    Ok(engine.store.read(|tx| locate::invites_to(tx, &user.email, None, now))?)
}

/// What the page of an invitation shows to whoever has its link.
pub struct Preview {
    /// The invitation.
    pub invite: Invite,
    /// To what.
    pub tenant: Tenant,
    /// What the one who invites is called, where it has a name.
    pub inviter: Option<Name>,
    /// Whether the invited address has an account.
    pub has_account: bool,
}

/// Looks at the invitation of a link. It changes nothing.
pub fn preview(engine: &Engine, visitor: &Caller, token: &Secret<String>) -> Result<Preview> {
    let Answered { invite, tenant, scope, .. } = by_link(engine, visitor, token)?;
    let people = visitor.allow(Action::HandleEndUsers, Owner::Platform)?;
    let (stands, inviter, known) = engine.store.read(|tx| {
        let stands = still_stands(&mut tx.tenant(&scope), &invite)?;
        let mut people = tx.tenant(&people);
        let inviter = invite.inviter.map(|id| users::find(&mut people, id)).transpose()?.flatten();
        Ok((stands, inviter, users::find_by_email(&mut people, &invite.email)?))
    })?;
    if !stands {
        return Err(dead());
    }
    let inviter = inviter.and_then(|inviter| inviter.name);
    Ok(Preview { invite, tenant, inviter, has_account: known.is_some() })
}

/// What somebody who has no account typed to become a member.
pub struct NewMember {
    /// The name.
    pub name: Name,
    /// The password.
    pub password: Secret<String>,
}

/// Makes an account with the invited address, which the link proves, and makes it a member, in one
/// transaction. It gets no organization of its own. Where the address has an account, nothing is made.
pub fn accept_as_new(
    engine: &Engine,
    visitor: &Caller,
    token: &Secret<String>,
    typed: NewMember,
) -> Result<(Joined, NewSession)> {
    let directory = Owner::Platform;
    let people = visitor.allow(Action::HandleEndUsers, directory)?;
    let Answered { invite, tenant, shown, scope, caller: invited } = by_link(engine, visitor, token)?;
    let NewMember { name, password } = typed;
    engine.count_for(visitor, Limit::SignUp, directory, &invite.email)?;
    let product = engine.settings.product.as_str();
    let known = [invite.email.as_str(), invite.email.key(), name.as_str(), product, tenant.name.as_str()];
    let password = Password::choose(password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("password", weak))?;
    let hash = engine.hasher.hash(password)?;

    let now = engine.env.now();
    let user = User {
        id: UserId::mint(now, &*engine.env),
        directory,
        email: invite.email.clone(),
        email_verified_at: Some(now),
        name: Some(name),
        status: UserStatus::Active,
        operator: false,
        handle: None,
        created_at: now,
        last_login_at: Some(now),
        updated_at: now,
    };
    let membership = membership(engine, &invite, user.id);
    let by = Actor::User(user.id);
    let made = engine.event(visitor, directory, AuditAction::AccountCreated, now).by(by).on(user.id);
    let joining = events(engine, &invited, &invite, &membership);
    let minted = engine.mint_session(visitor, directory, now);
    let (mut session, session_digest) = (minted.session.of(user.id), minted.digest);
    session.active_tenant = Some(tenant.id);

    let outcome = with_free_handle(engine, &user, |user| {
        let (user, hash, session) = (user.clone(), hash.clone(), session.clone());
        let (invite, member, shown) = (invite.clone(), membership.clone(), shown);
        let (made, joining) = (made.clone(), joining.clone());
        engine.store.write(move |tx| {
            let mut rows = tx.tenant(&people);
            let standing = address_changes::standing(&mut rows, &user.email, None, now)?;
            if !matches!(standing, Standing::Free) {
                return Ok(Entry::AccountExists);
            }
            if !use_up(&mut tx.tenant(&scope), &invite, shown.as_ref(), now)? {
                return Ok(Entry::Dead);
            }
            let mut rows = tx.tenant(&people);
            users::insert(&mut rows, &user, Some(&hash))?;
            sessions::insert(&mut rows, &session, &session_digest)?;
            audit::insert(&mut rows, &made)?;
            let mut rows = tx.tenant(&scope);
            memberships::insert(&mut rows, &member)?;
            joining.iter().try_for_each(|event| audit::insert(&mut rows, event))?;
            Ok(Entry::Made(user))
        })
    });
    match outcome {
        Ok(Entry::Made(user)) => {
            let invite = Invite { status: InviteStatus::Accepted, ..invite };
            Ok((Joined { invite, tenant, membership, user }, minted.shown))
        }
        Ok(Entry::AccountExists) | Err(StoreError::Taken(UniqueKey::UserEmail)) => {
            Err(Error::of(Code::AccountExists)
                .saying("An account with this address exists. Sign in with it."))
        }
        Ok(Entry::Dead) => Err(dead()),
        Err(other) => Err(other.into()),
    }
}

/// What became of the attempt to make an account.
enum Entry {
    Made(User),
    AccountExists,
    Dead,
}

/// How signing in to accept an invitation ends.
pub enum SignedInTo {
    /// With a membership and a session.
    Joined(Box<Joined>, NewSession),
    /// With a session, and why there is no membership.
    Refused(Error, NewSession),
    /// With nothing yet: the account has a second factor, and no code of it was given.
    SecondFactorRequired,
}

/// Signs the account of the invited address in, and makes it a member.
pub fn sign_in_and_accept(
    engine: &Engine,
    visitor: &Caller,
    token: &Secret<String>,
    password: Password,
    second_factor: Option<TypedFactor>,
) -> Result<SignedInTo> {
    let email = by_link(engine, visitor, token)?.invite.email;
    let typed = PasswordSignIn { email, password, second_factor };
    let session = match sign_ins::with_password(engine, visitor, typed)? {
        SignIn::Done(_, session) => session,
        SignIn::SecondFactorRequired(_) => return Ok(SignedInTo::SecondFactorRequired),
    };
    let arrival =
        Arrival { origin: visitor.origin().clone(), end_user_ip: None, meter: visitor.meter().clone() };
    let presented = Presented::Session(session.token.clone());
    let joined = people::verify(engine, &presented, &arrival)
        .and_then(|verified| people::admit(engine, &verified, arrival))
        .and_then(|caller| accept(engine, &caller, &Named::Link(token.clone())));
    Ok(match joined {
        Ok(joined) => SignedInTo::Joined(Box::new(joined), session),
        Err(error) => SignedInTo::Refused(error, session),
    })
}
