//! Pending registrations of a directory.

use diesel::prelude::*;
use keystead_domain::id::UserId;
use keystead_domain::registration::{CodeMac, PendingCode, Registration};
use keystead_domain::user::PasswordHash;
use keystead_domain::{Email, Timestamp, TokenDigest};

use crate::prepared::KeepPrepared as _;
use crate::row::Reading;
use crate::schema::registrations;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = registrations, treat_none_as_default_value = false)]
struct RegistrationRow {
    directory: String,
    id: String,
    email: String,
    email_key: String,
    name: Option<String>,
    password_hash: String,
    code_mac: Option<Vec<u8>>,
    code_expires_at: Option<i64>,
    code_tries_left: Option<i32>,
    created_at: i64,
    expires_at: i64,
    link_digest: Option<Vec<u8>>,
}

impl TryFrom<RegistrationRow> for Registration {
    type Error = StoreError;

    fn try_from(row: RegistrationRow) -> Result<Self, StoreError> {
        let read = Reading { table: "registrations", row: &row.id };
        let code = match (&row.code_mac, row.code_expires_at, row.code_tries_left) {
            (Some(mac), Some(expires_at), Some(tries_left)) => Some(PendingCode {
                mac: CodeMac::from_bytes(read.bytes("code_mac", mac)?),
                expires_at: Timestamp::from_micros(expires_at),
                tries_left: u8::try_from(tries_left).map_err(|_| read.impossible("code_tries_left"))?,
            }),
            (None, None, None) => None,
            _ => return Err(read.impossible("code_mac")),
        };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            directory: read.parse("directory", &row.directory)?,
            email: read.parse("email", &row.email)?,
            name: read.parse_some("name", row.name.as_deref())?,
            password: PasswordHash::new(row.password_hash),
            code,
            link: row
                .link_digest
                .map(|digest| {
                    Ok::<_, StoreError>(TokenDigest::from_bytes(read.bytes("link_digest", &digest)?))
                })
                .transpose()?,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// Adds a registration.
pub fn insert(tx: &mut TenantTx<'_>, registration: &Registration) -> Result<(), StoreError> {
    let code = registration.code.as_ref();
    let row = RegistrationRow {
        directory: tx.key(),
        id: registration.id.to_string(),
        email: registration.email.to_string(),
        email_key: registration.email.key().to_owned(),
        name: registration.name.as_ref().map(ToString::to_string),
        password_hash: registration.password.as_stored().to_owned(),
        code_mac: code.map(|code| code.mac.as_bytes().to_vec()),
        code_expires_at: code.map(|code| code.expires_at.as_micros()),
        code_tries_left: code.map(|code| i32::from(code.tries_left)),
        created_at: registration.created_at.as_micros(),
        expires_at: registration.expires_at.as_micros(),
        link_digest: registration.link.map(|digest| digest.as_bytes().to_vec()),
    };
    on!(tx, |conn| diesel::insert_into(registrations::table).values(&row).execute(conn))?;
    Ok(())
}

/// What waits for this address, the newest first.
pub fn list_by_email(
    tx: &mut TenantTx<'_>,
    email: &Email,
    now: Timestamp,
) -> Result<Vec<Registration>, StoreError> {
    let directory = registrations::directory.eq(tx.key());
    let rows: Vec<RegistrationRow> = on!(tx, |conn| one_form!(
        RegistrationRow::query()
            .filter(directory)
            .filter(registrations::email_key.eq(email.key()))
            .filter(registrations::expires_at.gt(now.as_micros()))
            .order((registrations::created_at.desc(), registrations::id.desc()))
    )
    .load(conn))?;
    rows.into_iter().map(Registration::try_from).collect()
}

/// The password of the newest registration that waits for this address. Few do, and SQLite prepares a
/// statement anew whenever a limit is bound.
pub fn find_newest_password(
    tx: &mut TenantTx<'_>,
    email: &Email,
    now: Timestamp,
) -> Result<Option<PasswordHash>, StoreError> {
    let directory = registrations::directory.eq(tx.key());
    let hash: Option<String> = on!(tx, |conn| registrations::table
        .filter(directory)
        .filter(registrations::email_key.eq(email.key()))
        .filter(registrations::expires_at.gt(now.as_micros()))
        .order((registrations::created_at.desc(), registrations::id.desc()))
        .select(registrations::password_hash)
        .get_result(conn)
        .optional())?;
    Ok(hash.map(PasswordHash::new))
}

/// Takes one try from every good code of this address, and returns the registrations whose code
/// may now be compared. A try is taken before the comparison, so that concurrent guesses get no
/// more of them than consecutive ones.
pub fn take_try(
    tx: &mut TenantTx<'_>,
    email: &Email,
    now: Timestamp,
) -> Result<Vec<Registration>, StoreError> {
    let directory = registrations::directory.eq(tx.key());
    let rows: Vec<RegistrationRow> = on!(tx, |conn| diesel::update(registrations::table)
        .filter(directory)
        .filter(registrations::email_key.eq(email.key()))
        .filter(registrations::expires_at.gt(now.as_micros()))
        .filter(registrations::code_expires_at.gt(now.as_micros()))
        .filter(registrations::code_tries_left.gt(0))
        .set(registrations::code_tries_left.eq(registrations::code_tries_left - 1))
        .returning(RegistrationRow::as_returning())
        .keep_prepared()
        .get_results(conn))?;
    rows.into_iter().map(Registration::try_from).collect()
}

/// The directory's registration with this link while it waits.
pub fn find_by_link(
    tx: &mut TenantTx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<Registration>, StoreError> {
    let directory = registrations::directory.eq(tx.key());
    let row: Option<RegistrationRow> = on!(tx, |conn| RegistrationRow::query()
        .filter(directory)
        .filter(registrations::link_digest.eq(digest.as_bytes().to_vec()))
        .filter(registrations::expires_at.gt(now.as_micros()))
        .get_result(conn)
        .optional())?;
    row.map(Registration::try_from).transpose()
}

/// Puts a new code, and a new link where there is one, in place of the registration's old ones; whether the
/// registration still waits.
pub fn replace_code(
    tx: &mut TenantTx<'_>,
    id: UserId,
    code: &PendingCode,
    link: Option<&TokenDigest>,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let changed = execute!(
        tx,
        diesel::update(registrations::table.find(key)).set((
            registrations::code_mac.eq(code.mac.as_bytes().to_vec()),
            registrations::code_expires_at.eq(code.expires_at.as_micros()),
            registrations::code_tries_left.eq(i32::from(code.tries_left)),
            registrations::link_digest.eq(link.map(|digest| digest.as_bytes().to_vec())),
        ))
    )?;
    Ok(changed == 1)
}

/// Removes one registration; true for one caller.
pub fn consume(tx: &mut TenantTx<'_>, id: UserId) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let removed = on!(tx, |conn| diesel::delete(registrations::table.find(key)).execute(conn))?;
    Ok(removed == 1)
}

/// Removes all registrations of an address.
pub fn remove_by_email(tx: &mut TenantTx<'_>, email: &Email) -> Result<(), StoreError> {
    let directory = registrations::directory.eq(tx.key());
    on!(tx, |conn| diesel::delete(registrations::table)
        .filter(directory)
        .filter(registrations::email_key.eq(email.key()))
        .execute(conn))?;
    Ok(())
}

/// Discards the sign-ups that wait for any of these addresses, some hundred at most.
pub fn remove_by_emails(tx: &mut TenantTx<'_>, emails: &[Email]) -> Result<(), StoreError> {
    let directory = registrations::directory.eq(tx.key());
    let keys: Vec<_> = emails.iter().map(Email::key).collect();
    on!(tx, |conn| diesel::delete(registrations::table)
        .filter(directory)
        .filter(registrations::email_key.eq_any(&keys))
        .execute(conn))?;
    Ok(())
}

/// Removes at most `limit` registrations that ran out; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| registrations::table
        .filter(registrations::expires_at.le(now.as_micros()))
        .select((registrations::directory, registrations::id))
        .limit(limit)
        .load(conn))?;
    for (directory, id) in &keys {
        let key = (directory, id);
        on!(tx, |conn| diesel::delete(registrations::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Takes its code and its link from every registration of every directory; returns how many had one. The
/// registrations wait on, and can be sent a new one.
pub fn forget_codes(tx: &mut PlatformTx<'_>) -> Result<usize, StoreError> {
    Ok(execute!(
        tx,
        diesel::update(registrations::table).filter(registrations::code_mac.is_not_null()).set((
            registrations::code_mac.eq(None::<Vec<u8>>),
            registrations::code_expires_at.eq(None::<i64>),
            registrations::code_tries_left.eq(None::<i32>),
            registrations::link_digest.eq(None::<Vec<u8>>),
        ))
    )?)
}
