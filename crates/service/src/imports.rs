//! Bringing along what another system had.

mod keys;

use std::collections::HashSet;

use keystead_crypto::passwords::ImportedHash;
use keystead_domain::audit::{AuditAction, Event};
use keystead_domain::handle::Handle;
use keystead_domain::id::UserId;
use keystead_domain::name::Name;
use keystead_domain::policy::Action;
use keystead_domain::user::{PasswordHash, User, UserStatus};
use keystead_domain::{Email, Owner, Timestamp};
use keystead_storage::{StoreError, TenantTx, UniqueKey, audit, former_addresses, registrations, users};

use crate::audit::Refine as _;
use crate::{Caller, Code, Engine, Error, Result};

pub use self::keys::{ImportedKey, KeyFate, keys};

/// How many users or keys are worth a transaction: more would let others wait for the database.
pub const BATCH: usize = 500;
/// How often a batch is begun anew because somebody else made one of them meanwhile.
const TRIES: usize = 5;

/// A user of another system.
#[derive(Clone)]
pub struct ImportedUser {
    /// Its address.
    pub email: Email,
    /// Whether the other system knew the address to be the user's.
    pub verified: bool,
    /// Its name.
    pub name: Option<Name>,
    /// What the other system kept of its password. Without it the user sets one by mail.
    pub password: Option<ImportedHash>,
    /// When the other system made it.
    pub created_at: Option<Timestamp>,
}

/// What became of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Imported {
    /// It is there now.
    Made,
    /// A user with this address was there, and was left as it is.
    Exists,
    /// A user of the directory had this address and can still go back to it.
    AddressKept,
    /// It would have been made in the future.
    NotYet,
}

/// Makes users, at most a [`BATCH`], all together or, where this fails, none. Passwords are not held
/// to any policy: they were chosen elsewhere. Sign-ups that wait for the addresses are discarded.
pub fn users(
    engine: &Engine,
    caller: &Caller,
    directory: Owner,
    imported: &[ImportedUser],
) -> Result<Vec<Imported>> {
    let scope = caller.allow(Action::ManageUsers, directory)?;
    let now = engine.env.now();
    for _ in 0..TRIES {
        let candidates: Vec<_> =
            imported.iter().map(|user| Candidate::new(engine, caller, directory, user, now)).collect();
        match engine.store.write(move |tx| store(&mut tx.tenant(&scope), candidates, now)) {
            // By a sign-up, or another import: what that made is found next time.
            Err(StoreError::Taken(UniqueKey::UserEmail | UniqueKey::UserHandle)) => {}
            done => return Ok(done?),
        }
    }
    Err(Error::of(Code::Unavailable))
}

struct Candidate {
    user: User,
    password: Option<PasswordHash>,
    event: Event,
    /// What its handle may be, the best first. The users of tenants have none.
    handles: Vec<Handle>,
}

impl Candidate {
    fn new(
        engine: &Engine,
        caller: &Caller,
        directory: Owner,
        imported: &ImportedUser,
        now: Timestamp,
    ) -> Self {
        let user = User {
            id: UserId::mint(now, &*engine.env),
            directory,
            email: imported.email.clone(),
            email_verified_at: imported.verified.then_some(now),
            name: imported.name.clone(),
            status: UserStatus::Active,
            operator: false,
            handle: None,
            created_at: imported.created_at.unwrap_or(now),
            last_login_at: None,
            updated_at: now,
        };
        let event = engine.event(caller, directory, AuditAction::UserImported, now).on(user.id);
        let password = imported.password.as_ref().map(ImportedHash::to_stored);
        let handles = if directory == Owner::Platform { handles(engine, &user) } else { Vec::new() };
        Self { user, password, event, handles }
    }
}

/// Small numbers for what many are called, and two that hardly anybody has.
fn handles(engine: &Engine, user: &User) -> Vec<Handle> {
    let first = Handle::derive(user.name.as_ref(), &user.email);
    let random = || {
        let mut random = [0; 4];
        engine.env.fill(&mut random);
        u32::from_le_bytes(random) % 1_000_000
    };
    let numbers = [2, 3, 4, random(), random()];
    let numbered: Vec<_> = numbers.into_iter().map(|number| first.numbered(number)).collect();
    std::iter::once(first).chain(numbered).collect()
}

fn store(
    tx: &mut TenantTx<'_>,
    candidates: Vec<Candidate>,
    now: Timestamp,
) -> std::result::Result<Vec<Imported>, StoreError> {
    let emails: Vec<_> = candidates.iter().map(|candidate| candidate.user.email.clone()).collect();
    let mut taken = users::taken(tx, &emails)?;
    let kept = former_addresses::kept(tx, &emails, now)?;
    let handles: Vec<_> = candidates.iter().flat_map(|candidate| &candidate.handles).collect();
    let mut taken_handles =
        if handles.is_empty() { HashSet::new() } else { users::taken_handles(tx, &handles)? };
    let (mut outcomes, mut rows, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for Candidate { mut user, password, event, handles } in candidates {
        let key = user.email.key();
        outcomes.push(if taken.contains(key) {
            Imported::Exists
        } else if kept.contains(key) {
            Imported::AddressKept
        } else if user.created_at > now {
            Imported::NotYet
        } else {
            // Also for what comes later in the same batch.
            taken.insert(key.to_owned());
            if !handles.is_empty() {
                let free = handles.into_iter().find(|handle| !taken_handles.contains(handle.as_str()));
                let handle = free.ok_or(StoreError::Taken(UniqueKey::UserHandle))?;
                taken_handles.insert(handle.as_str().to_owned());
                user.handle = Some(handle);
            }
            rows.push((user, password));
            events.push(event);
            Imported::Made
        });
    }
    if rows.is_empty() {
        return Ok(outcomes);
    }
    users::insert_all(tx, &rows)?;
    let made: Vec<_> = rows.into_iter().map(|(user, _)| user.email).collect();
    registrations::remove_by_emails(tx, &made)?;
    audit::insert_all(tx, &events)?;
    Ok(outcomes)
}
