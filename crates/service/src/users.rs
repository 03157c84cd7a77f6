//! Making, finding and locking users, by operators.

use keystead_domain::audit::AuditAction;
use keystead_domain::handle::Handle;
use keystead_domain::id::UserId;
use keystead_domain::name::Name;
use keystead_domain::password::Password;
use keystead_domain::policy::Action;
use keystead_domain::user::{LastOperator, User, UserStatus};
use keystead_domain::{Email, Owner, Secret};
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, address_changes, address_proofs, audit, former_addresses, registrations,
    reset_codes, reset_links, second_factors, sessions, users,
};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

/// A user to be made.
pub struct NewUser {
    /// In whose directory.
    pub directory: Owner,
    /// Its address.
    pub email: Email,
    /// Its password.
    pub password: Secret<String>,
    /// Its name.
    pub name: Option<Name>,
    /// Whether the address is known to be the user's.
    pub verified: bool,
    /// Whether it runs the platform; only in the platform's directory.
    pub operator: bool,
}

/// Makes a user. Sign-ups that wait for the same address are discarded.
pub fn create(engine: &Engine, caller: &Caller, new: NewUser) -> Result<User> {
    let scope = caller.allow(Action::ManageUsers, new.directory)?;
    if new.operator && new.directory != Owner::Platform {
        return Err(Error::invalid_field("operator", "invalid", "can only be a user of the platform"));
    }
    let name = new.name.as_ref().map_or("", Name::as_str);
    let password = Password::choose(
        new.password.expose(),
        engine.settings.password_policy,
        &[new.email.as_str(), new.email.key(), name],
    )
    .map_err(|weak| weak_password("password", weak))?;
    let hash = engine.hasher.hash(password)?;
    let now = engine.env.now();
    let user = User {
        id: UserId::mint(now, &*engine.env),
        directory: new.directory,
        email: new.email,
        email_verified_at: new.verified.then_some(now),
        name: new.name,
        status: UserStatus::Active,
        operator: new.operator,
        handle: None,
        created_at: now,
        last_login_at: None,
        updated_at: now,
    };
    let event = engine.event(caller, new.directory, AuditAction::UserCreated, now).on(user.id);
    let made = with_free_handle(engine, &user, |user| {
        let (row, hash, event) = (user.clone(), hash.clone(), event.clone());
        engine.store.write(move |tx| {
            let mut tenant = tx.tenant(&scope);
            if former_addresses::is_kept(&mut tenant, &row.email, None, now)? {
                return Ok(None);
            }
            users::insert(&mut tenant, &row, Some(&hash))?;
            registrations::remove_by_email(&mut tenant, &row.email)?;
            audit::insert(&mut tenant, &event)?;
            Ok(Some(row))
        })
    });
    match made {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Error::of(Code::Conflict).saying(
            "A user of this directory had this address less than 72 hours ago, and can still go back to it.",
        )),
        Err(StoreError::Taken(UniqueKey::UserEmail)) => {
            Err(Error::of(Code::Conflict).saying("A user with this address exists in this directory."))
        }
        Err(other) => Err(other.into()),
    }
}

/// How often a handle that is taken gets another number.
const HANDLE_ATTEMPTS: u32 = 8;

/// Makes a user with a handle that nobody has, where its directory is the platform's; the users of tenants
/// have none. A handle that is taken gets a small number, and then a random one.
pub(crate) fn with_free_handle<T>(
    engine: &Engine,
    user: &User,
    make: impl Fn(&User) -> std::result::Result<T, StoreError>,
) -> std::result::Result<T, StoreError> {
    if user.directory != Owner::Platform {
        return make(user);
    }
    let handle = Handle::derive(user.name.as_ref(), &user.email);
    let mut candidate = User { handle: Some(handle.clone()), ..user.clone() };
    for attempt in 2..HANDLE_ATTEMPTS {
        match make(&candidate) {
            Err(StoreError::Taken(UniqueKey::UserHandle)) => {}
            other => return other,
        }
        let number = if attempt < 5 {
            attempt
        } else {
            let mut random = [0; 4];
            engine.env.fill(&mut random);
            u32::from_le_bytes(random) % 1_000_000
        };
        candidate.handle = Some(handle.numbered(number));
    }
    make(&candidate)
}

/// The directory's user with this address.
pub fn show_by_email(engine: &Engine, caller: &Caller, directory: Owner, email: &Email) -> Result<User> {
    let scope = caller.allow(Action::ManageUsers, directory)?;
    let found = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), email))?;
    found.map(|(user, _)| user).ok_or_else(missing)
}

/// The directory's user with this id.
pub fn show(engine: &Engine, caller: &Caller, directory: Owner, id: UserId) -> Result<User> {
    let scope = caller.allow(Action::ManageUsers, directory)?;
    engine.store.read(|tx| users::find(&mut tx.tenant(&scope), id))?.ok_or_else(missing)
}

fn missing() -> Error {
    Error::of(Code::NotFound).saying("There is no such user in this directory.")
}

/// The directory's users, the oldest first.
pub fn list(engine: &Engine, caller: &Caller, directory: Owner) -> Result<Vec<User>> {
    let scope = caller.allow(Action::ManageUsers, directory)?;
    Ok(engine.store.read(|tx| users::list(&mut tx.tenant(&scope)))?)
}

/// Locks a user: its sessions, its code for a new password and a change of its address that waits end,
/// and it gets no other.
///
/// Nothing tells a stranger: the user is refused like one with a wrong password. The last operator
/// cannot be locked, whoever else is being locked at the same time.
pub fn lock(engine: &Engine, caller: &Caller, user: &User) -> Result<User> {
    let scope = caller.allow(Action::ManageUsers, user.directory)?;
    let event = engine.event(caller, user.directory, AuditAction::UserLocked, engine.env.now()).on(user.id);
    let id = user.id;
    let locked = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        users::hold_operators(&mut tenant)?;
        let Some(user) = users::find(&mut tenant, id)? else { return Ok(Lock::Missing) };
        if let Err(refused) = user.may_be_locked(users::count_other_operators(&mut tenant, id)?) {
            audit::insert(&mut tenant, &event.refused())?;
            return Ok(Lock::Refused(refused));
        }
        if users::set_status(&mut tenant, id, UserStatus::Locked)? {
            audit::insert(&mut tenant, &event)?;
        }
        end_access(&mut tenant, id)?;
        Ok(Lock::Done(User { status: UserStatus::Locked, ..user }))
    })?;
    match locked {
        Lock::Done(user) => Ok(user),
        Lock::Missing => Err(missing()),
        Lock::Refused(last) => Err(Error::of(Code::Conflict).saying(last.to_string())),
    }
}

/// What became of a lock.
enum Lock {
    Done(User),
    Missing,
    Refused(LastOperator),
}

/// Lets a locked user sign in again. What ended when it was locked does not come back.
pub fn unlock(engine: &Engine, caller: &Caller, user: &User) -> Result<User> {
    let scope = caller.allow(Action::ManageUsers, user.directory)?;
    let event = engine.event(caller, user.directory, AuditAction::UserUnlocked, engine.env.now()).on(user.id);
    let id = user.id;
    let unlocked = engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        if users::set_status(&mut tenant, id, UserStatus::Active)? {
            // A sign-in that was under way while the user was locked may have left a session.
            end_access(&mut tenant, id)?;
            audit::insert(&mut tenant, &event)?;
        }
        users::find(&mut tenant, id)
    })?;
    unlocked.ok_or_else(missing)
}

fn end_access(tx: &mut TenantTx<'_>, user: UserId) -> std::result::Result<(), StoreError> {
    sessions::remove_all(tx, user)?;
    reset_codes::consume(tx, user)?;
    reset_links::remove(tx, user)?;
    address_proofs::remove(tx, user)?;
    address_changes::remove(tx, user)
}

/// Removes a user's second factor and recovery codes, for whoever lost both. Whether there was one.
pub fn reset_mfa(engine: &Engine, caller: &Caller, user: &User) -> Result<bool> {
    let scope = caller.allow(Action::ManageUsers, user.directory)?;
    let now = engine.env.now();
    let event = engine.event(caller, user.directory, AuditAction::TotpDisabled, now).on(user.id);
    let id = user.id;
    Ok(engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let had = second_factors::remove(&mut tenant, id)?;
        if had {
            audit::insert(&mut tenant, &event)?;
        }
        Ok(had)
    })?)
}

/// Why a password was not taken, as a field's error.
pub(crate) fn weak_password(field: &'static str, weak: keystead_domain::password::WeakPassword) -> Error {
    use keystead_domain::password::WeakPassword;
    let code = match weak {
        WeakPassword::TooShort { .. } => "too_short",
        WeakPassword::TooLong => "too_long",
        WeakPassword::Common => "too_common",
        WeakPassword::Guessable => "guessable",
    };
    Error::invalid_field(field, code, weak)
}
