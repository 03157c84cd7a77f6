//! What those who are invited answer.
//!
//! A link is mailed to the invited address and to nobody else, so whoever has it has read mail that was sent
//! there. An account that exists still has to sign in, and to have confirmed that address: somebody else may
//! have made it under an address that is not theirs. Where there is no account, the link makes one.

use keystead_domain::address_change::Standing;
use keystead_domain::audit::{Actor, AuditAction, Event};
use keystead_domain::id::{InviteId, MembershipId, UserId};
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::{Action, Invited, PersonCredential, Principal, TenantScope};
use keystead_domain::rate_limit::Limit;
use keystead_domain::second_factor::TypedFactor;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Owner, Secret, Timestamp, TokenDigest};
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, audit, invites, locate, memberships, sessions, users,
};

use crate::audit::Refine as _;
use crate::members::already_member;
use crate::people::{self, Presented};
use crate::sessions::NewSession;
use crate::sign_ins::{self, PasswordSignIn, SignIn};
use crate::users::{weak_password, with_free_handle};
use crate::{Arrival, Caller, Code, Engine, Error, Result, address_changes};

/// That a link is no good, whatever it was.
fn dead() -> Error {
    Error::of(Code::InvalidLink)
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

fn events(engine: &Engine, invited: &Caller, invite: &Invite, membership: &Membership) -> [Event; 2] {
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
    let arrival = Arrival {
        origin: visitor.origin().clone(),
        end_user_ip: None,
        device: visitor.device().copied(),
        meter: visitor.meter().clone(),
    };
    let presented = Presented::Session(session.token.clone());
    let joined = people::verify(engine, &presented, &arrival)
        .and_then(|verified| people::admit(engine, &verified, arrival))
        .and_then(|caller| accept(engine, &caller, &Named::Link(token.clone())));
    Ok(match joined {
        Ok(joined) => SignedInTo::Joined(Box::new(joined), session),
        Err(error) => SignedInTo::Refused(error, session),
    })
}
