//! Users of a directory, and their password hashes.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use keystead_domain::handle::Handle;
use keystead_domain::id::UserId;
use keystead_domain::name::Name;
use keystead_domain::revocation::Revocation;
use keystead_domain::user::{PasswordHash, User, UserStatus};
use keystead_domain::{Email, Timestamp};

use crate::prepared::{KeepPrepared as _, PlanAnew as _};
use crate::row::Reading;
use crate::schema::{deployment, totp, users};
use crate::{StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub(crate) struct UserRow {
    directory: String,
    id: String,
    email: String,
    email_key: String,
    email_verified_at: Option<i64>,
    name: Option<String>,
    status: String,
    operator: bool,
    created_at: i64,
    handle: Option<String>,
    last_login_at: Option<i64>,
    updated_at: Option<i64>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let read = Reading { table: "users", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            directory: read.parse("directory", &row.directory)?,
            email: read.parse("email", &row.email)?,
            email_verified_at: row.email_verified_at.map(Timestamp::from_micros),
            name: read.parse_some("name", row.name.as_deref())?,
            status: read.parse("status", &row.status)?,
            operator: row.operator,
            handle: read.parse_some("handle", row.handle.as_deref())?,
            created_at: Timestamp::from_micros(row.created_at),
            last_login_at: row.last_login_at.map(Timestamp::from_micros),
            updated_at: Timestamp::from_micros(row.updated_at.unwrap_or(row.created_at)),
        })
    }
}

#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
struct NewUserRow<'h> {
    #[diesel(embed)]
    row: UserRow,
    password_hash: Option<&'h str>,
}

impl<'h> NewUserRow<'h> {
    fn of(directory: String, user: &User, password: Option<&'h PasswordHash>) -> Self {
        let row = UserRow {
            directory,
            id: user.id.to_string(),
            email: user.email.to_string(),
            email_key: user.email.key().to_owned(),
            email_verified_at: user.email_verified_at.map(Timestamp::as_micros),
            name: user.name.as_ref().map(ToString::to_string),
            status: user.status.as_str().to_owned(),
            operator: user.operator,
            created_at: user.created_at.as_micros(),
            handle: user.handle.as_ref().map(ToString::to_string),
            last_login_at: user.last_login_at.map(Timestamp::as_micros),
            updated_at: Some(user.updated_at.as_micros()),
        };
        Self { row, password_hash: password.map(PasswordHash::as_stored) }
    }
}

/// Adds a user to the directory. Its address may be [taken](crate::UniqueKey::UserEmail), or its
/// [handle](crate::UniqueKey::UserHandle).
pub fn insert(tx: &mut TenantTx<'_>, user: &User, password: Option<&PasswordHash>) -> Result<(), StoreError> {
    let row = NewUserRow::of(tx.key(), user, password);
    on!(tx, |conn| diesel::insert_into(users::table).values(&row).execute(conn))?;
    Ok(())
}

/// Adds users to the directory, some hundred at most. The address of one may be
/// [taken](crate::UniqueKey::UserEmail), or its [handle](crate::UniqueKey::UserHandle), and then none
/// is added.
pub fn insert_all(tx: &mut TenantTx<'_>, new: &[(User, Option<PasswordHash>)]) -> Result<(), StoreError> {
    let directory = tx.key();
    let rows: Vec<_> =
        new.iter().map(|(user, hash)| NewUserRow::of(directory.clone(), user, hash.as_ref())).collect();
    on!(tx, |conn| diesel::insert_into(users::table).values(&rows).execute(conn))?;
    Ok(())
}

/// Which of these addresses the directory's users have, some hundred at most: their keys.
pub fn taken(tx: &mut TenantTx<'_>, emails: &[Email]) -> Result<HashSet<String>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let keys: Vec<_> = emails.iter().map(Email::key).collect();
    let found: Vec<String> = on!(tx, |conn| users::table
        .filter(directory)
        .filter(users::email_key.eq_any(&keys))
        .select(users::email_key)
        .plan_anew()
        .load(conn))?;
    Ok(found.into_iter().collect())
}

/// The directory's users with these addresses, some hundred at most.
pub fn find_all_by_email(tx: &mut TenantTx<'_>, emails: &[Email]) -> Result<Vec<User>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let keys: Vec<_> = emails.iter().map(Email::key).collect();
    let rows: Vec<UserRow> = on!(tx, |conn| UserRow::query()
        .filter(directory)
        .filter(users::email_key.eq_any(&keys))
        .plan_anew()
        .load(conn))?;
    rows.into_iter().map(User::try_from).collect()
}

/// Which of these handles the directory's users have, some thousand at most.
pub fn taken_handles(tx: &mut TenantTx<'_>, handles: &[&Handle]) -> Result<HashSet<String>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let handles: Vec<_> = handles.iter().map(|handle| handle.as_str()).collect();
    let found: Vec<Option<String>> = on!(tx, |conn| users::table
        .filter(directory)
        .filter(users::handle.eq_any(&handles))
        .select(users::handle)
        .plan_anew()
        .load(conn))?;
    Ok(found.into_iter().flatten().collect())
}

/// The directory's user with this id.
pub fn find(tx: &mut TenantTx<'_>, id: UserId) -> Result<Option<User>, StoreError> {
    let key = (tx.key(), id.to_string());
    let row: Option<UserRow> = on!(tx, |conn| UserRow::query().find(key).get_result(conn).optional())?;
    row.map(User::try_from).transpose()
}

/// The directory's user with this address, and its password hash where it has one.
pub fn find_by_email(
    tx: &mut TenantTx<'_>,
    email: &Email,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let row: Option<(UserRow, Option<String>)> = on!(tx, |conn| one_form!(
        users::table
            .filter(directory)
            .filter(users::email_key.eq(email.key()))
            .select((UserRow::as_select(), users::password_hash))
    )
    .get_result(conn)
    .optional())?;
    row.map(|(row, hash)| Ok((User::try_from(row)?, hash.map(PasswordHash::new)))).transpose()
}

/// The directory's user with this address, its password hash, and the sealed secret of its second factor:
/// each where it has one.
pub fn find_signing_in(tx: &mut TenantTx<'_>, email: &Email) -> Result<Option<SigningIn>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let of_user = users::directory.eq(totp::directory).and(users::id.eq(totp::user_id));
    let row: Option<(UserRow, Option<String>, Option<Vec<u8>>)> = on!(tx, |conn| users::table
        .left_join(totp::table.on(of_user))
        .filter(directory)
        .filter(users::email_key.eq(email.key()))
        .select((UserRow::as_select(), users::password_hash, totp::secret.nullable()))
        .get_result(conn)
        .optional())?;
    row.map(|(row, hash, factor)| {
        Ok(SigningIn { user: User::try_from(row)?, password: hash.map(PasswordHash::new), factor })
    })
    .transpose()
}

/// What a sign-in is decided by.
pub struct SigningIn {
    /// Who.
    pub user: User,
    /// The hash of its password.
    pub password: Option<PasswordHash>,
    /// The sealed secret of its authenticator app, where that is in force.
    pub factor: Option<Vec<u8>>,
}

/// The password hash of the directory's user whose id's random end comes first from `place` on,
/// round and round. Nothing where that user has none, or nobody is there.
pub fn find_alike(tx: &mut TenantTx<'_>, place: &str) -> Result<Option<PasswordHash>, StoreError> {
    let hash = match first_from(tx, place)? {
        Some(hash) => hash,
        None => first_from(tx, "")?.flatten(),
    };
    Ok(hash.map(PasswordHash::new))
}

fn first_from(tx: &mut TenantTx<'_>, place: &str) -> Result<Option<Option<String>>, StoreError> {
    // As the index has it: the last twelve characters.
    let end = || sql::<Text>("substr(users.id, 19)");
    let directory = users::directory.eq(tx.key());
    Ok(on!(tx, |conn| one_form!(
        users::table
            .filter(directory)
            .filter(end().ge(place))
            .order(end())
            .select(users::password_hash)
            .limit(1)
    )
    .get_result(conn)
    .optional())?)
}

/// The directory's user with this id, as others have left it, which nobody else changes before the
/// transaction ends.
pub fn hold(tx: &mut TenantTx<'_>, id: UserId) -> Result<Option<User>, StoreError> {
    let key = (tx.key(), id.to_string());
    // Changes nothing, but takes the row's lock.
    let row: Option<UserRow> = on!(tx, |conn| diesel::update(users::table.find(key))
        .set(users::status.eq(users::status))
        .returning(UserRow::as_returning())
        .keep_prepared()
        .get_result(conn)
        .optional())?;
    row.map(User::try_from).transpose()
}

/// The directory's users, the oldest first.
pub fn list(tx: &mut TenantTx<'_>) -> Result<Vec<User>, StoreError> {
    let directory = users::directory.eq(tx.key());
    let rows: Vec<UserRow> = on!(tx, |conn| UserRow::query().filter(directory).order(users::id).load(conn))?;
    rows.into_iter().map(User::try_from).collect()
}

/// Puts a new hash in place of the one that was checked; whether that one still stood.
pub fn replace_password(
    tx: &mut TenantTx<'_>,
    user: UserId,
    checked: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(users::table.find(key))
            .filter(users::password_hash.eq(checked.as_stored()))
            .set(users::password_hash.eq(new.as_stored()))
    )?;
    Ok(changed == 1)
}

/// The password hash of one of the directory's users.
pub fn find_password(tx: &mut TenantTx<'_>, user: UserId) -> Result<Option<PasswordHash>, StoreError> {
    let key = (tx.key(), user.to_string());
    let hash: Option<Option<String>> =
        on!(tx, |conn| users::table.find(key).select(users::password_hash).get_result(conn).optional())?;
    Ok(hash.flatten().map(PasswordHash::new))
}

/// Sets a password whatever it was, for an address that was just proven to be the user's; whether the
/// user may still have one, that is, is there and not locked.
pub fn reset_password(
    tx: &mut TenantTx<'_>,
    user: UserId,
    new: &PasswordHash,
    verified_at: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(users::table.find(key)).filter(users::status.eq(UserStatus::Active.as_str())).set((
            users::password_hash.eq(new.as_stored()),
            users::email_verified_at.eq(Some(verified_at.as_micros()))
        ))
    )?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Remembers when a user signed in.
pub fn note_sign_in(tx: &mut TenantTx<'_>, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    let key = (tx.key(), user.to_string());
    on!(tx, |conn| diesel::update(users::table.find(key))
        .set(users::last_login_at.eq(Some(now.as_micros())))
        .execute(conn))?;
    // Profiles show it.
    tx.revoke(Revocation::User(user));
    Ok(())
}

/// Remembers that an address was proven to be the user's, if it still has it and is not locked; whether
/// that was so.
pub fn set_verified(
    tx: &mut TenantTx<'_>,
    user: UserId,
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = on!(tx, |conn| diesel::update(users::table.find(key))
        .filter(users::email_key.eq(email.key()))
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .set((
            users::email_verified_at.eq(Some(now.as_micros())),
            users::updated_at.eq(Some(now.as_micros()))
        ))
        .execute(conn))?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Locks or unlocks a user; whether that changed it.
pub fn set_status(tx: &mut TenantTx<'_>, user: UserId, status: UserStatus) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(users::table.find(key))
            .filter(users::status.ne(status.as_str()))
            .set(users::status.eq(status.as_str()))
    )?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Lets whoever changes who is an operator do so one after the other, until the transaction ends.
pub fn hold_operators(tx: &mut TenantTx<'_>) -> Result<(), StoreError> {
    // Writing a column of its own value locks the row on PostgreSQL. SQLite has one writer anyway.
    execute!(
        tx,
        diesel::update(deployment::table)
            .filter(deployment::key.eq(crate::deployment::MASTER_KEY_ID))
            .set(deployment::value.eq(deployment::value))
    )?;
    Ok(())
}

/// How many active operators there are besides `user`.
pub fn count_other_operators(tx: &mut TenantTx<'_>, user: UserId) -> Result<i64, StoreError> {
    let directory = users::directory.eq(tx.key());
    Ok(on!(tx, |conn| users::table
        .filter(directory)
        .filter(users::operator)
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .filter(users::id.ne(user.to_string()))
        .count()
        .get_result(conn))?)
}

/// Puts a new address in place of the one that was found, for a user that may sign in. The new one may
/// be [taken](crate::UniqueKey::UserEmail).
pub fn replace_address(
    tx: &mut TenantTx<'_>,
    found: &User,
    new: &Email,
    verified_at: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), found.id.to_string());
    let changed = execute!(
        tx,
        diesel::update(users::table.find(key))
            .filter(users::email.eq(found.email.as_str()))
            .filter(users::status.eq(UserStatus::Active.as_str()))
            .set((
                users::email.eq(new.as_str()),
                users::email_key.eq(new.key()),
                users::email_verified_at.eq(Some(verified_at.as_micros())),
            ))
    )?;
    tx.revoke(Revocation::User(found.id));
    Ok(changed == 1)
}

/// Takes a user's password away: it cannot sign in with one before it has set a new one by mail.
pub fn remove_password(tx: &mut TenantTx<'_>, user: UserId) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed =
        execute!(tx, diesel::update(users::table.find(key)).set(users::password_hash.eq(None::<&str>)))?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Changes what a user calls itself.
pub fn rename(
    tx: &mut TenantTx<'_>,
    user: UserId,
    name: Option<&Name>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let changed = execute!(
        tx,
        diesel::update(users::table.find(key))
            .set((users::name.eq(name.map(Name::as_str)), users::updated_at.eq(Some(now.as_micros()))))
    )?;
    tx.revoke(Revocation::User(user));
    Ok(changed == 1)
}

/// Removes a user with its sessions and credentials, if the password that was checked still stands.
pub fn remove(tx: &mut TenantTx<'_>, user: UserId, checked: &PasswordHash) -> Result<bool, StoreError> {
    let key = (tx.key(), user.to_string());
    let removed = on!(tx, |conn| diesel::delete(users::table.find(key))
        .filter(users::password_hash.eq(checked.as_stored()))
        .execute(conn))?;
    tx.revoke(Revocation::User(user));
    Ok(removed == 1)
}
