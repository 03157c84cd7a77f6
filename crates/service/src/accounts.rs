//! Accounts of people: users of the platform's own directory, who own and join tenants.

use keystead_crypto::codes::CodePurpose;
use keystead_domain::address_change::Standing;
use keystead_domain::address_proof::AddressProof;
use keystead_domain::api_key::ApiKey;
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::UserId;
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY, SIGN_UP_CODES_HOURLY};
use keystead_domain::mail::Mail;
use keystead_domain::membership::Membership;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::{Action, PersonPrincipal};
use keystead_domain::rate_limit::Limit;
use keystead_domain::registration::PendingCode;
use keystead_domain::role::Role;
use keystead_domain::session::Session;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::{AddressRule, User};
use keystead_domain::{Email, Owner, Secret, Timestamp};
use keystead_storage::{
    StoreError, UniqueKey, address_proofs, api_keys, audit, memberships, outbox, registrations, sessions,
    tenants, users,
};

use crate::audit::Refine as _;
use crate::budgets::within;
use crate::founding::{Founder, Founding};
use crate::links::mint_link_onto;
use crate::paging::{PageAsked, Paged};
use crate::reauthentication::{Outcome, prove_password, still_proven};
use crate::sessions::{NewSession, SignedIn};
use crate::sign_ups::{self, SignUp};
use crate::users::weak_password;
use crate::{Caller, Code, Engine, Error, Reauthentication, Result, address_changes};

/// What somebody typed to get an account.
pub struct NewAccount {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Secret<String>,
    /// The name.
    pub name: Name,
    /// Where the page that confirms the address leads on to.
    pub onward: Option<String>,
}

/// Somebody who got an account.
pub enum SignedUp {
    /// It is there, and its user signed in.
    Done(User, NewSession),
    /// It will be there when the address is confirmed, if nobody has one with this address: this is the user
    /// as it will be then.
    Waiting(User),
}

impl SignedUp {
    /// Its session, if it is there.
    pub fn session(self) -> Option<NewSession> {
        match self {
            Self::Done(_, session) => Some(session),
            Self::Waiting(_) => None,
        }
    }
}

/// Makes a user with an organization that it owns, signs it in, and mails what confirms its address. Where
/// addresses have to be confirmed first, the sign-up waits for that, and nothing tells whether the address has
/// an account.
pub fn sign_up(engine: &Engine, caller: &Caller, typed: NewAccount) -> Result<SignedUp> {
    match engine.settings.address_rule(Owner::Platform) {
        AddressRule::Any => open(engine, caller, typed),
        AddressRule::Verified => wait(engine, caller, typed),
    }
}

fn wait(engine: &Engine, caller: &Caller, typed: NewAccount) -> Result<SignedUp> {
    let NewAccount { email, password, name, onward } = typed;
    let now = engine.env.now();
    let sign_up = SignUp { email: email.clone(), password, name: Some(name.clone()) };
    let pending = sign_ups::sign_up_onto(engine, caller, sign_up, onward.as_deref())?;
    let founder = Founder { id: pending.user_id, email, name, password: None, verified_at: None };
    Ok(SignedUp::Waiting(Founding::of(engine, caller, founder, now)?.user))
}

fn open(engine: &Engine, caller: &Caller, typed: NewAccount) -> Result<SignedUp> {
    let directory = Owner::Platform;
    let scope = caller.allow(Action::HandleEndUsers, directory)?;
    let NewAccount { email, password, name, onward } = typed;
    engine.count_for(caller, Limit::AccountSignUp, directory, &email)?;
    let product = engine.settings.product.clone();
    let known = [email.as_str(), email.key(), name.as_str(), product.as_str()];
    let password = Password::choose(password.expose(), engine.settings.password_policy, &known)
        .map_err(|weak| weak_password("password", weak))?;
    let hash = engine.hasher.hash(password)?;

    let (now, env) = (engine.env.now(), &*engine.env);
    let id = UserId::mint(now, env);
    let founder = Founder { id, email: email.clone(), name, password: Some(hash), verified_at: None };
    let founding = Founding::of(engine, caller, founder, now)?;
    let (code, mac) = engine.codes.mint(CodePurpose::ProveAddress, id, env);
    let (link, link_digest) = mint_link_onto(engine, "verify", onward.as_deref());
    let mail = engine.compose(&email, &Mail::VerifyAddress { product, code, link }, now);
    let proof = AddressProof::sent(id, email, PendingCode::sent(mac, now), link_digest, now);
    let minted = engine.mint_session(caller, directory, now);
    let (mut session, digest) = (minted.session.of(id), minted.digest);
    session.active_tenant = Some(founding.tenant.id);
    let signed_in =
        engine.event(caller, directory, AuditAction::SignIn, now).by(Actor::User(id)).on(session.id);

    let made = founding.with_free_names(engine, |founding| {
        let (proof, mail) = (proof.clone(), mail.clone());
        let (session, signed_in) = (session.clone(), signed_in.clone());
        engine.store.write(move |tx| {
            let mut people = tx.tenant(&scope);
            let standing = address_changes::standing(&mut people, &founding.user.email, None, now)?;
            if !matches!(standing, Standing::Free) {
                return Ok(None);
            }
            founding.insert(tx)?;
            let mut people = tx.tenant(&scope);
            sessions::insert(&mut people, &session, &digest)?;
            users::note_sign_in(&mut people, id, now)?;
            audit::insert(&mut people, &signed_in)?;
            let budgets = [SIGN_UP_CODES_HOURLY, MAILS_HOURLY, MAILS_DAILY];
            if within(&mut people, &budgets, &proof.email, now)? {
                address_proofs::replace(&mut people, &proof)?;
                outbox::insert(&mut people, &mail)?;
            }
            Ok(Some(founding.user))
        })
    });
    engine.work.ring();
    match made {
        Ok(Some(user)) => Ok(SignedUp::Done(user, minted.shown)),
        Ok(None) | Err(StoreError::Taken(UniqueKey::UserEmail)) => Err(Error::of(Code::AccountExists)),
        Err(other) => Err(other.into()),
    }
}

/// Changes what the person that calls is called. Its handle stays.
pub fn rename(engine: &Engine, caller: &Caller, name: Name) -> Result<PersonPrincipal> {
    let person = caller.as_person()?;
    let scope = caller.allow(Action::ChangeProfile, Owner::Platform)?;
    let (user, now) = (person.user.id, engine.env.now());
    let event = engine.event(caller, Owner::Platform, AuditAction::ProfileChanged, now).on(user);
    let new = name.clone();
    engine.store.write(move |tx| {
        let mut people = tx.tenant(&scope);
        if users::rename(&mut people, user, Some(&new), now)? {
            audit::insert(&mut people, &event)?;
        }
        Ok(())
    })?;
    let user = User { name: Some(name), updated_at: now, ..person.user.clone() };
    Ok(PersonPrincipal { user, ..person.clone() })
}

/// Ends the account of the person that is signed in, with all that belongs to it, and with each tenant that has
/// no other member. Where it is the last owner among others, nothing is done.
pub fn end(engine: &Engine, caller: &Caller, signed_in: &SignedIn, proof: Reauthentication) -> Result<()> {
    let (user, now) = (signed_in.user(), engine.env.now());
    let event = engine.event(caller, user.directory, AuditAction::UserDeleted, now);
    let departures: Vec<_> = caller
        .depart()?
        .into_iter()
        .map(|scope| {
            let owner = scope.owner();
            let dissolved = engine.event(caller, owner, AuditAction::TenantDeleted, now);
            (scope, dissolved)
        })
        .collect();
    let proven = prove_password(engine, caller, signed_in, &proof.password, &event)?;
    let event = event.by(Actor::User(user.id)).on(user.id);
    let (factor, signed_in) = (engine.factor_check(now), signed_in.clone());
    let outcome = engine.store.write(move |tx| {
        let user = signed_in.user();
        let mut people = tx.tenant(&proven.scope);
        let typed = proof.second_factor.as_ref();
        if let Some(refusal) = still_proven(&mut people, &signed_in, &proven, &factor, typed)? {
            audit::insert(&mut people, &event.refused())?;
            return Ok(Outcome::Refused(refusal));
        }
        users::hold_operators(&mut people)?;
        if user.operator && users::count_other_operators(&mut people, user.id)? == 0 {
            return Ok(Outcome::Done(End::LastOperator));
        }
        // All are looked at before anything is removed.
        let mut dissolved = Vec::new();
        let mut left = memberships::list_of(&mut people, user.id)?.len();
        for (scope, event) in departures {
            let mut rows = tx.tenant(&scope);
            memberships::hold_owners(&mut rows)?;
            let Some(own) = memberships::find_of(&mut rows, user.id)? else { continue };
            left -= 1;
            if memberships::list(&mut rows)?.len() == 1 {
                dissolved.push((scope, own.tenant, event));
            } else if own.role == Role::Owner && memberships::count_other_owners(&mut rows, own.id)? == 0 {
                return Ok(Outcome::Done(End::LastOwner));
            }
        }
        if left > 0 {
            // It became a member of another tenant since it was recognized.
            return Ok(Outcome::Done(End::Joined));
        }
        for (scope, tenant, event) in dissolved {
            let mut rows = tx.tenant(&scope);
            tenants::remove(&mut rows, tenant)?;
            audit::insert(&mut rows, &event.on(tenant))?;
        }
        let mut people = tx.tenant(&proven.scope);
        if !users::remove(&mut people, user.id, &proven.password)? {
            return Err(StoreError::Unavailable("the password was changed at the same moment".to_owned()));
        }
        registrations::remove_by_email(&mut people, &user.email)?;
        audit::insert(&mut people, &event)?;
        Ok(Outcome::Done(End::Done))
    })?;
    let conflict = |why| Err(Error::of(Code::Conflict).saying(why));
    match outcome.into_result()? {
        End::Done => Ok(()),
        End::LastOwner => conflict(
            "You are the last owner of an organization that has other members. Make another member its owner \
             first.",
        ),
        End::LastOperator => conflict("You are the last operator. Make another one first."),
        End::Joined => conflict("You became a member of another organization a moment ago. Try again."),
    }
}

/// What became of an account that was to end.
enum End {
    Done,
    LastOwner,
    LastOperator,
    Joined,
}

/// A sign-in, or a try of one.
pub struct PastSignIn {
    /// The id of its event.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// From where, if that is known.
    pub ip: Option<String>,
    /// What the device called itself.
    pub user_agent: Option<String>,
}

/// A page of the sign-ins of the person that calls, those that failed too, the newest first.
pub fn sign_ins(engine: &Engine, caller: &Caller, page: PageAsked) -> Result<Paged<PastSignIn>> {
    let user = caller.as_person()?.user.id;
    let scope = caller.allow(Action::ReadProfile, Owner::Platform)?;
    let (events, total) = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        let events = audit::list_sign_ins(&mut people, user, page.offset(), page.limit())?;
        Ok((events, audit::count_sign_ins(&mut people, user)?))
    })?;
    let past = events.into_iter().map(|event| {
        let record = event.record;
        PastSignIn {
            succeeded: record.outcome == keystead_domain::audit::Outcome::Done.as_str(),
            id: record.id,
            at: Timestamp::from_micros(record.at),
            ip: record.ip,
            user_agent: record.user_agent,
        }
    });
    Ok(Paged { items: past.collect(), total })
}

/// What belongs to a person.
pub struct Export {
    /// Its sessions, each with when it ends if it is not used again.
    pub sessions: Vec<(Session, Timestamp)>,
    /// Its API keys.
    pub keys: Vec<ApiKey>,
    /// Where it is a member.
    pub memberships: Vec<(Membership, Tenant)>,
    /// Its last sign-ins.
    pub sign_ins: Vec<PastSignIn>,
}

/// The sign-ins that an export has at most.
const EXPORTED_SIGN_INS: PageAsked = PageAsked { number: 1, size: 10_000 };

/// All that belongs to the person that is signed in.
pub fn export(engine: &Engine, caller: &Caller, signed_in: &SignedIn) -> Result<Export> {
    let user = signed_in.user().id;
    let scope = caller.allow(Action::ManageCredentials, Owner::Platform)?;
    let sign_ins = sign_ins(engine, caller, EXPORTED_SIGN_INS)?.items;
    let sessions = crate::sessions::list(engine, caller, signed_in)?;
    let (keys, memberships) = engine.store.read(|tx| {
        let mut people = tx.tenant(&scope);
        Ok((api_keys::list(&mut people, user)?, memberships::list_of(&mut people, user)?))
    })?;
    Ok(Export { sessions, keys, memberships, sign_ins })
}
