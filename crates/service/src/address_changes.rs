//! Changing a user's address: asking for it, confirming it from the new address, and undoing it from
//! the former one.
//!
//! Whoever asks learns nothing about the new address, whether or not somebody has it: the same rows
//! are written, and as many mails. Until a change can no longer be undone, nobody else gets the
//! address that was left. Of several changes the oldest can be undone with all that came after it.

use std::time::Duration;

use keystead_domain::address_change::{AddressChange, FormerAddress, Standing};
use keystead_domain::audit::{Actor, AuditAction};
use keystead_domain::id::UserId;
use keystead_domain::mail::Mail;
use keystead_domain::name::Name;
use keystead_domain::policy::{Action, AddressHolder, Principal, TenantScope};
use keystead_domain::rate_limit::Limit;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::{User, UserStatus};
use keystead_domain::{Email, Owner, Timestamp, TokenDigest};
use keystead_storage::outbox::NewMail;
use keystead_storage::{
    StoreError, TenantTx, UniqueKey, address_changes, address_proofs, api_keys, audit, former_addresses,
    locate, outbox, registrations, reset_codes, reset_links, second_factors, sessions, users,
};

use crate::audit::Refine as _;
use crate::budgets::{MAILS, give_back, within};
use crate::links::mint_link;
use crate::profile::{self, ProfileChange};
use crate::sessions::SignedIn;
use crate::{Caller, Code, Engine, Error, Reauthentication, Result};

/// An account that has another address than a moment ago.
pub struct Readdressed {
    /// Whose product the account is at.
    pub product: Name,
    /// The address that it has now.
    pub email: Email,
}

/// Whether `own`, or somebody new, can get an address of the directory.
pub(crate) fn standing(
    tx: &mut TenantTx<'_>,
    email: &Email,
    own: Option<UserId>,
    now: Timestamp,
) -> std::result::Result<Standing, StoreError> {
    // In this order: an address that is left between the two questions is found by the second.
    let holder = users::find_by_email(tx, email)?.map(|(user, _)| user);
    let is_kept = former_addresses::is_kept(tx, email, own, now)?;
    Ok(match holder {
        Some(holder) if Some(holder.id) != own => Standing::Taken { on_record: holder.email },
        _ if is_kept => Standing::Kept,
        _ => Standing::Free,
    })
}

/// A change that is about to be asked for: its row and its mails.
pub(crate) struct Draft {
    change: AddressChange,
    /// The link for the new address, or why there is none for it.
    to_new: NewMail,
    /// What the present address is told.
    to_present: NewMail,
}

/// Drafts a change, the same way whoever has the new address.
pub(crate) fn draft(
    engine: &Engine,
    scope: TenantScope,
    product: &Name,
    user: &User,
    new: Email,
    now: Timestamp,
) -> Result<Draft> {
    let id = user.id;
    let standing = engine.store.read(|tx| standing(&mut tx.tenant(&scope), &new, Some(id), now))?;
    let (link, digest) = mint_link(engine, "confirm-address");
    let product = || product.clone();
    let confirm = engine.compose(&new, &Mail::ConfirmAddress { product: product(), link }, now);
    let kept = engine.compose(&new, &Mail::AddressKept { product: product() }, now);
    let on_record = match &standing {
        Standing::Taken { on_record } => on_record,
        Standing::Free | Standing::Kept => &new,
    };
    let in_use = engine.compose(on_record, &Mail::AddressInUse { product: product() }, now);
    let to_present = engine.compose(&user.email, &Mail::AddressChangeAsked { product: product() }, now);
    let to_new = match standing {
        Standing::Free => confirm,
        Standing::Taken { .. } => in_use,
        Standing::Kept => kept,
    };
    Ok(Draft { change: AddressChange::asked(user.id, new, digest, now), to_new, to_present })
}

impl Draft {
    /// Stores the change in place of an earlier one, with its mails. Where the new address gets no
    /// mail for now, everything stays as it was.
    pub(crate) fn store(&self, tx: &mut TenantTx<'_>) -> std::result::Result<(), StoreError> {
        let now = self.change.created_at;
        if within(tx, &MAILS, &self.to_new.recipient, now)? {
            address_changes::replace(tx, &self.change)?;
            outbox::insert(tx, &self.to_new)?;
            if within(tx, &MAILS, &self.to_present.recipient, now)? {
                outbox::insert(tx, &self.to_present)?;
            }
        }
        Ok(())
    }
}

/// How long after it began a session may ask for another address without the password.
const FRESH: Duration = Duration::from_secs(600);

/// Asks for another address of the person that is signed in, with the password, or in a session that began a
/// moment ago. The answer is the same whether or not somebody has the address.
pub fn ask(
    engine: &Engine,
    caller: &Caller,
    signed_in: &SignedIn,
    email: Email,
    proof: Option<Reauthentication>,
) -> Result<()> {
    if let Some(proof) = proof {
        let change = ProfileChange { name: None, email: Some(email) };
        return profile::change(engine, caller, signed_in, proof, change).map(drop);
    }
    let (user, product, now) = (signed_in.user(), engine.product_of(caller)?, engine.env.now());
    let scope = caller.allow(Action::HandleEndUsers, user.directory)?;
    if now.since(signed_in.session().created_at) > FRESH {
        return Err(Error::of(Code::SessionNotFresh));
    }
    if email == user.email {
        return Ok(());
    }
    engine.count_for(caller, Limit::Resend, user.directory, &email)?;
    let draft = draft(engine, scope, &product, user, email, now)?;
    let event = engine
        .event(caller, user.directory, AuditAction::AddressChangeRequested, now)
        .by(Actor::User(user.id))
        .on(user.id);
    engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        draft.store(&mut rows)?;
        audit::insert(&mut rows, &event)
    })?;
    engine.work.ring();
    Ok(())
}

/// Puts a change into force by the link that was mailed to the new address, and mails the former one
/// a link that undoes it. An unknown, an expired and a spent link are refused alike, and so is one to
/// an address that somebody else got in the meantime.
pub fn confirm(engine: &Engine, visitor: &Caller, token: &str) -> Result<Readdressed> {
    let (now, digest) = (engine.env.now(), TokenDigest::of(token));
    let found = engine.store.read(|tx| locate::address_change(tx, &digest, now))?;
    let (change, user, tenant) = found.filter(|(_, user, _)| is_active(user)).ok_or_else(dead)?;
    let (owner, product) = whose(engine, tenant.as_ref());
    let (holder, scope) = holder(visitor, AddressHolder { user: user.id, tenant })?;

    let (link, undo) = mint_link(engine, "restore-address");
    let changed = engine.compose(&user.email, &Mail::AddressChanged { product: product.clone(), link }, now);
    let restored = engine.compose(&user.email, &Mail::AddressRestored { product: product.clone() }, now);
    let event = engine.event(&holder, owner, AuditAction::AddressChanged, now).on(user.id);
    let new = change.email.clone();
    let outcome = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let held = users::hold(&mut rows, user.id)?;
        let Some(user) = held.filter(|held| is_active(held) && held.email == user.email) else {
            return Ok(Confirmation::Refused);
        };
        if !within(&mut rows, &MAILS, &user.email, now)? {
            return Ok(Confirmation::NoMailLeft);
        }
        let is_free = matches!(standing(&mut rows, &change.email, Some(user.id), now)?, Standing::Free);
        if !address_changes::consume(&mut rows, user.id, &digest, now)? {
            give_back(&mut rows, &MAILS, &user.email, now)?;
            return Ok(Confirmation::Refused);
        }
        if !is_free {
            give_back(&mut rows, &MAILS, &user.email, now)?;
            audit::insert(&mut rows, &event.refused())?;
            return Ok(Confirmation::Refused);
        }
        if !users::replace_address(&mut rows, &user, &change.email, now)? {
            return Err(StoreError::Failed("a user that was held has changed".to_owned()));
        }
        // Whoever goes back to an address that it can go back to undoes what came since: what was
        // left for it cannot be gone back to.
        if former_addresses::rejoin(&mut rows, user.id, &change.email, now)? {
            outbox::insert(&mut rows, &restored)?;
        } else {
            let had_second_factor = second_factors::find_totp(&mut rows, user.id)?.secret.is_some();
            let former = FormerAddress::left(user.id, user.email.clone(), had_second_factor, undo, now);
            former_addresses::insert(&mut rows, &former)?;
            outbox::insert(&mut rows, &changed)?;
        }
        // A code for a new password that was mailed to the former address is no longer good, and
        // nobody's sign-up with either address is.
        reset_codes::consume(&mut rows, user.id)?;
        reset_links::remove(&mut rows, user.id)?;
        address_proofs::remove(&mut rows, user.id)?;
        registrations::remove_by_email(&mut rows, &change.email)?;
        registrations::remove_by_email(&mut rows, &user.email)?;
        audit::insert(&mut rows, &event)?;
        Ok(Confirmation::Done)
    });
    match outcome {
        Ok(Confirmation::Done) => {
            engine.work.ring();
            Ok(Readdressed { product, email: new })
        }
        Ok(Confirmation::NoMailLeft) => Err(Error::of(Code::Conflict).saying(
            "The address that the account has so far has to be told, and has been sent as many mails as one \
             address gets in an hour or a day. Nothing was changed, and the link is still good: try again later.",
        )),
        // Somebody got the address in the same moment.
        Ok(Confirmation::Refused) | Err(StoreError::Taken(UniqueKey::UserEmail)) => Err(dead()),
        Err(other) => Err(other.into()),
    }
}

/// What became of a link.
enum Confirmation {
    Done,
    Refused,
    NoMailLeft,
}

/// Gives a user an address back that it had, by the link that was mailed there when it was changed.
/// All that whoever changed it may have, or may have made since, ends: sessions, the password, which
/// was asked for, codes, later changes, API keys made since, and a second factor where there was none. A new password is
/// set by mail.
pub fn undo(engine: &Engine, visitor: &Caller, token: &str) -> Result<Readdressed> {
    let (now, digest) = (engine.env.now(), TokenDigest::of(token));
    let found = engine.store.read(|tx| locate::former_address(tx, &digest, now))?;
    let (former, user, tenant) = found.filter(|(_, user, _)| is_active(user)).ok_or_else(dead)?;
    let (owner, product) = whose(engine, tenant.as_ref());
    let (holder, scope) = holder(visitor, AddressHolder { user: user.id, tenant })?;

    let restored = engine.compose(&user.email, &Mail::AddressRestored { product: product.clone() }, now);
    let event = engine.event(&holder, owner, AuditAction::AddressRestored, now).on(user.id);
    let email = former.email.clone();
    let outcome = engine.store.write(move |tx| {
        let mut rows = tx.tenant(&scope);
        let held = users::hold(&mut rows, user.id)?;
        let Some(user) = held.filter(is_active) else { return Ok(false) };
        if !former_addresses::consume(&mut rows, user.id, &digest, now)? {
            return Ok(false);
        }
        if !users::replace_address(&mut rows, &user, &former.email, now)? {
            return Err(StoreError::Failed("a user that was held has changed".to_owned()));
        }
        users::remove_password(&mut rows, user.id)?;
        if !former.had_second_factor {
            second_factors::remove(&mut rows, user.id)?;
        }
        api_keys::remove_since(&mut rows, user.id, former.changed_at)?;
        sessions::remove_all(&mut rows, user.id)?;
        reset_codes::consume(&mut rows, user.id)?;
        reset_links::remove(&mut rows, user.id)?;
        address_proofs::remove(&mut rows, user.id)?;
        address_changes::remove(&mut rows, user.id)?;
        registrations::remove_by_email(&mut rows, &former.email)?;
        // The mail was composed for the address that was found at first.
        if restored.recipient == user.email && within(&mut rows, &MAILS, &user.email, now)? {
            outbox::insert(&mut rows, &restored)?;
        }
        audit::insert(&mut rows, &event)?;
        Ok(true)
    });
    match outcome {
        Ok(true) => {
            engine.work.ring();
            Ok(Readdressed { product, email })
        }
        Ok(false) | Err(StoreError::Taken(UniqueKey::UserEmail)) => Err(dead()),
        Err(other) => Err(other.into()),
    }
}

fn is_active(user: &User) -> bool {
    user.status == UserStatus::Active
}

/// The directory, and what its users know their product by.
fn whose(engine: &Engine, tenant: Option<&Tenant>) -> (Owner, Name) {
    match tenant {
        Some(tenant) => (Owner::Tenant(tenant.id), tenant.name.clone()),
        None => (Owner::Platform, engine.settings.product.clone()),
    }
}

fn dead() -> Error {
    Error::of(Code::InvalidLink)
}

/// Whoever holds a link, and the rows that it opens.
fn holder(visitor: &Caller, holder: AddressHolder) -> Result<(Caller, TenantScope)> {
    let owner = holder.tenant.as_ref().map_or(Owner::Platform, |tenant| Owner::Tenant(tenant.id));
    let holder = Caller::new(Principal::AddressHolder(Box::new(holder)), visitor.origin().clone());
    let scope = holder.allow(Action::ChangeAddress, owner)?;
    Ok((holder, scope))
}
