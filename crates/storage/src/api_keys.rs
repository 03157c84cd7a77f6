//! API keys of the people of the platform, and the secrets that they are shown as.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use keystead_domain::api_key::{ApiKey, ImportedStart, KeyStart, Pin};
use keystead_domain::id::{ApiKeyId, SessionId, TenantId, UserId, kind};
use keystead_domain::listing::Listing;
use keystead_domain::name::Name;
use keystead_domain::oauth::ScopeSet;
use keystead_domain::revocation::Revocation;
use keystead_domain::user::User;
use keystead_domain::{Owner, Timestamp, TokenDigest};

use crate::part::lower;
use crate::row::Reading;
use crate::schema::{api_key_bars, api_key_secrets, api_keys, imported_keys, memberships, users};
use crate::users::UserRow;
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = api_keys)]
pub(crate) struct KeyRow {
    directory: String,
    id: String,
    user_id: String,
    tenant_id: Option<String>,
    membership_id: Option<String>,
    name: String,
    environment: String,
    scopes: String,
    session_id: Option<String>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

/// The newest secret of a key is what it is recognized by.
#[derive(HasQuery, Insertable)]
#[diesel(table_name = api_key_secrets)]
pub(crate) struct SecretRow {
    digest: Vec<u8>,
    prefix: Option<String>,
    start: Option<String>,
    directory: String,
    key_id: String,
    created_at: i64,
    ends_at: Option<i64>,
}

/// One secret of a key.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// The digest of the whole key, which it is looked up by.
    pub digest: TokenDigest,
    /// How it begins.
    pub start: KeyStart,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, where another took its place.
    pub ends_at: Option<Timestamp>,
}

impl TryFrom<SecretRow> for KeySecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        let read = Reading { table: "api_key_secrets", row: &row.key_id };
        let digest = TokenDigest::from_bytes(read.bytes("digest", &row.digest)?);
        let minted = read.parse_some("prefix", row.prefix.as_deref())?.map(KeyStart::Minted);
        let imported = read.parse_some("start", row.start.as_deref())?.map(KeyStart::Imported);
        Ok(Self {
            digest,
            start: minted
                .or(imported)
                .unwrap_or_else(|| KeyStart::Imported(ImportedStart::of_digest(&digest))),
            created_at: Timestamp::from_micros(row.created_at),
            ends_at: row.ends_at.map(Timestamp::from_micros),
        })
    }
}

/// Keys, each with its newest secret: the one that no other has taken the place of.
macro_rules! with_newest_secret {
    () => {
        api_keys::table
            .inner_join(
                api_key_secrets::table.on(api_key_secrets::directory
                    .eq(api_keys::directory)
                    .and(api_key_secrets::key_id.eq(api_keys::id))),
            )
            .filter(api_key_secrets::ends_at.is_null())
    };
}

/// A key with its newest secret.
fn recognized((row, secret): (KeyRow, SecretRow)) -> Result<ApiKey, StoreError> {
    let secret = KeySecret::try_from(secret)?;
    key(row, secret.start)
}

/// The key of a row, recognized by how its newest secret begins.
pub(crate) fn key(row: KeyRow, start: KeyStart) -> Result<ApiKey, StoreError> {
    let read = Reading { table: "api_keys", row: &row.id };
    let tenant = read.parse_some("tenant_id", row.tenant_id.as_deref())?;
    let membership = read.parse_some("membership_id", row.membership_id.as_deref())?;
    Ok(ApiKey {
        id: read.parse("id", &row.id)?,
        user: read.parse("user_id", &row.user_id)?,
        pin: tenant.zip(membership).map(|(tenant, membership)| Pin { tenant, membership }),
        name: read.parse("name", &row.name)?,
        environment: read.parse("environment", &row.environment)?,
        scopes: read.parse("scopes", &row.scopes)?,
        start,
        made_in: read.parse_some("session_id", row.session_id.as_deref())?,
        expires_at: row.expires_at.map(Timestamp::from_micros),
        last_used_at: row.last_used_at.map(Timestamp::from_micros),
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
    })
}

impl KeyRow {
    fn of(directory: String, key: &ApiKey) -> Self {
        Self {
            directory,
            id: key.id.to_string(),
            user_id: key.user.to_string(),
            tenant_id: key.pin.map(|pin| pin.tenant.to_string()),
            membership_id: key.pin.map(|pin| pin.membership.to_string()),
            name: key.name.to_string(),
            environment: key.environment.to_string(),
            scopes: key.scopes.to_string(),
            session_id: key.made_in.map(|session| session.to_string()),
            expires_at: key.expires_at.map(Timestamp::as_micros),
            last_used_at: key.last_used_at.map(Timestamp::as_micros),
            created_at: key.created_at.as_micros(),
            updated_at: key.updated_at.as_micros(),
        }
    }
}

impl SecretRow {
    fn of(directory: String, key: ApiKeyId, start: &KeyStart, digest: &TokenDigest, now: Timestamp) -> Self {
        let (prefix, start) = match start {
            KeyStart::Minted(prefix) => (Some(prefix.to_string()), None),
            KeyStart::Imported(start) => (None, Some(start.as_str().to_owned())),
        };
        Self {
            digest: digest.as_bytes().to_vec(),
            prefix,
            start,
            directory,
            key_id: key.to_string(),
            created_at: now.as_micros(),
            ends_at: None,
        }
    }
}

/// Adds a key of one of the directory's people, with its first secret. Where it is pinned, the membership has
/// to be there.
pub fn insert(tx: &mut TenantTx<'_>, key: &ApiKey, digest: &TokenDigest) -> Result<(), StoreError> {
    let row = KeyRow::of(tx.key(), key);
    on!(tx, |conn| diesel::insert_into(api_keys::table).values(&row).execute(conn))?;
    insert_secret(tx, key.id, &key.start, digest, key.created_at)
}

/// Adds keys that another system made, some hundred at most, each with the digest of its secret, and remembers
/// that they were brought along. Their memberships, where they are pinned, and nobody else with their digests
/// has to be there.
pub fn insert_imported(
    tx: &mut TenantTx<'_>,
    keys: &[(ApiKey, TokenDigest)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let directory = tx.key();
    let rows: Vec<_> = keys.iter().map(|(key, _)| KeyRow::of(directory.clone(), key)).collect();
    let secret = |(key, digest): &(ApiKey, TokenDigest)| {
        SecretRow::of(directory.clone(), key.id, &key.start, digest, key.created_at)
    };
    let secrets: Vec<_> = keys.iter().map(secret).collect();
    let remembered = |(_, digest): &(ApiKey, TokenDigest)| {
        (imported_keys::digest.eq(digest.as_bytes().to_vec()), imported_keys::imported_at.eq(now.as_micros()))
    };
    let remembered: Vec<_> = keys.iter().map(remembered).collect();
    on!(tx, |conn| diesel::insert_into(api_keys::table).values(&rows).execute(conn))?;
    on!(tx, |conn| diesel::insert_into(api_key_secrets::table).values(&secrets).execute(conn))?;
    on!(tx, |conn| diesel::insert_into(imported_keys::table).values(&remembered).execute(conn))?;
    Ok(())
}

/// Whose keys have these digests, some hundred at most.
pub fn holders_of(
    tx: &mut TenantTx<'_>,
    digests: &[TokenDigest],
) -> Result<HashMap<[u8; 32], UserId>, StoreError> {
    let digests: Vec<_> = digests.iter().map(|digest| digest.as_bytes().to_vec()).collect();
    // By the digests alone: SQLite would else go through all secrets of the directory.
    let secrets: Vec<(Vec<u8>, String)> = on!(tx, |conn| api_key_secrets::table
        .filter(api_key_secrets::digest.eq_any(&digests))
        .select((api_key_secrets::digest, api_key_secrets::key_id))
        .load(conn))?;
    let directory = api_keys::directory.eq(tx.key());
    let ids: Vec<_> = secrets.iter().map(|(_, id)| id).collect();
    let users: HashMap<String, String> = on!(tx, |conn| api_keys::table
        .filter(directory)
        .filter(api_keys::id.eq_any(&ids))
        .select((api_keys::id, api_keys::user_id))
        .load::<(String, String)>(conn))?
    .into_iter()
    .collect();
    let found = secrets.iter().filter_map(|(digest, id)| Some((digest, users.get(id)?)));
    let holder = |(digest, user): (&Vec<u8>, &String)| {
        let read = Reading { table: "api_keys", row: user };
        Ok((read.bytes("digest", digest)?, read.parse("user_id", user)?))
    };
    found.map(holder).collect()
}

/// Which of these digests, some hundred at most, are of keys that were brought along before, whatever became
/// of them.
pub fn were_imported(
    tx: &mut TenantTx<'_>,
    digests: &[TokenDigest],
) -> Result<HashSet<[u8; 32]>, StoreError> {
    let digests: Vec<_> = digests.iter().map(|digest| digest.as_bytes().to_vec()).collect();
    let rows: Vec<Vec<u8>> = on!(tx, |conn| imported_keys::table
        .filter(imported_keys::digest.eq_any(&digests))
        .select(imported_keys::digest)
        .load(conn))?;
    let read = Reading { table: "imported_keys", row: "" };
    rows.iter().map(|digest| read.bytes("digest", digest)).collect()
}

/// Adds a secret to a key.
pub fn insert_secret(
    tx: &mut TenantTx<'_>,
    key: ApiKeyId,
    start: &KeyStart,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = SecretRow::of(tx.key(), key, start, digest, now);
    on!(tx, |conn| diesel::insert_into(api_key_secrets::table).values(&row).execute(conn))?;
    Ok(())
}

/// Lets the secrets that a key has now end at `end` at the latest; returns how many live ones there were.
pub fn end_secrets(tx: &mut TenantTx<'_>, key: ApiKeyId, end: Timestamp) -> Result<usize, StoreError> {
    let directory = api_key_secrets::directory.eq(tx.key());
    let ended = execute!(
        tx,
        diesel::update(api_key_secrets::table)
            .filter(directory)
            .filter(api_key_secrets::key_id.eq(key.to_string()))
            .filter(api_key_secrets::ends_at.is_null().or(api_key_secrets::ends_at.gt(end.as_micros())))
            .set(api_key_secrets::ends_at.eq(Some(end.as_micros())))
    )?;
    tx.revoke(Revocation::ApiKey(key));
    Ok(ended)
}

/// The secrets of a key, the newest first.
pub fn list_secrets(tx: &mut TenantTx<'_>, key: ApiKeyId) -> Result<Vec<KeySecret>, StoreError> {
    let directory = api_key_secrets::directory.eq(tx.key());
    let rows: Vec<SecretRow> = on!(tx, |conn| SecretRow::query()
        .filter(directory)
        .filter(api_key_secrets::key_id.eq(key.to_string()))
        .order((api_key_secrets::created_at.desc(), api_key_secrets::digest))
        .load(conn))?;
    rows.into_iter().map(KeySecret::try_from).collect()
}

/// The keys of one of the directory's people, the newest first.
pub fn list(tx: &mut TenantTx<'_>, user: UserId) -> Result<Vec<ApiKey>, StoreError> {
    let directory = api_keys::directory.eq(tx.key());
    let rows: Vec<(KeyRow, SecretRow)> = on!(tx, |conn| with_newest_secret!()
        .filter(directory)
        .filter(api_keys::user_id.eq(user.to_string()))
        .order(api_keys::id.desc())
        .select((KeyRow::as_select(), SecretRow::as_select()))
        .load(conn))?;
    rows.into_iter().map(recognized).collect()
}

/// One of the directory's keys.
pub fn find(tx: &mut TenantTx<'_>, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    let directory = api_keys::directory.eq(tx.key());
    let row: Option<(KeyRow, SecretRow)> = on!(tx, |conn| with_newest_secret!()
        .filter(directory)
        .filter(api_keys::id.eq(id.to_string()))
        .select((KeyRow::as_select(), SecretRow::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(recognized).transpose()
}

/// A key that reaches a tenant.
#[derive(Clone, Debug)]
pub struct ReachingKey {
    /// The key.
    pub key: ApiKey,
    /// Whose it is.
    pub holder: User,
    /// Whether the tenant bars it.
    pub barred: bool,
}

type ReachingRow = (KeyRow, SecretRow, (UserRow, bool));

/// The keys that reach the tenant `$tenant`: those pinned to it, and those of its members that are pinned to
/// none, each with its newest secret and its holder.
macro_rules! reaching {
    ($tenant:expr) => {{
        let platform = Owner::Platform.to_string();
        let reaches = api_keys::tenant_id.eq($tenant).or(api_keys::tenant_id.is_null().and(exists(
            memberships::table
                .filter(memberships::tenant_id.eq($tenant))
                .filter(memberships::user_id.eq(api_keys::user_id)),
        )));
        with_newest_secret!()
            .inner_join(
                users::table
                    .on(users::directory.eq(api_keys::directory).and(users::id.eq(api_keys::user_id))),
            )
            .filter(api_keys::directory.eq(platform))
            .filter(reaches)
    }};
}

/// The same as rows, which also say whether the tenant bars the key.
macro_rules! reaching_rows {
    ($tenant:expr) => {{
        let barred = exists(
            api_key_bars::table
                .filter(api_key_bars::tenant_id.eq($tenant))
                .filter(api_key_bars::key_id.eq(api_keys::id)),
        );
        reaching!($tenant).select((
            KeyRow::as_select(),
            SecretRow::as_select(),
            (UserRow::as_select(), barred),
        ))
    }};
}

fn reaching_key((row, secret, (user, barred)): ReachingRow) -> Result<ReachingKey, StoreError> {
    Ok(ReachingKey { key: recognized((row, secret))?, holder: user.try_into()?, barred })
}

/// The keys that reach the tenant, the newest first.
pub fn list_reaching(tx: &mut TenantTx<'_>) -> Result<Vec<ReachingKey>, StoreError> {
    let tenant = tx.key();
    let rows: Vec<ReachingRow> =
        on!(tx, |conn| reaching_rows!(&tenant).order(api_keys::id.desc()).load(conn))?;
    rows.into_iter().map(reaching_key).collect()
}

/// Some of the keys that reach the tenant, the newest first.
pub fn page_reaching(tx: &mut TenantTx<'_>, offset: i64, limit: i64) -> Result<Vec<ReachingKey>, StoreError> {
    let tenant = tx.key();
    let rows: Vec<ReachingRow> = on!(tx, |conn| reaching_rows!(&tenant)
        .order(api_keys::id.desc())
        .offset(offset)
        .limit(limit)
        .load(conn))?;
    rows.into_iter().map(reaching_key).collect()
}

/// How many keys reach the tenant.
pub fn count_reaching(tx: &mut TenantTx<'_>) -> Result<i64, StoreError> {
    let tenant = tx.key();
    Ok(on!(tx, |conn| reaching!(&tenant).count().get_result(conn))?)
}

/// One of the keys that reach the tenant.
pub fn find_reaching(tx: &mut TenantTx<'_>, id: ApiKeyId) -> Result<Option<ReachingKey>, StoreError> {
    let tenant = tx.key();
    let row: Option<ReachingRow> = on!(tx, |conn| reaching_rows!(&tenant)
        .filter(api_keys::id.eq(id.to_string()))
        .get_result(conn)
        .optional())?;
    row.map(reaching_key).transpose()
}

/// The rows of a part of the keys that reach the tenant: those of `holder`, where one is named, and only those
/// that are pinned, where it is asked.
pub fn list_reaching_part(
    tx: &mut TenantTx<'_>,
    holder: Option<UserId>,
    only_pinned: bool,
    listing: &Listing<kind::ApiKey>,
) -> Result<Vec<ReachingKey>, StoreError> {
    let tenant = tx.key();
    let rows: Vec<ReachingRow> = on!(tx, |conn| {
        let mut query = reaching_rows!(tenant.clone()).into_boxed();
        if let Some(holder) = holder {
            query = query.filter(api_keys::user_id.eq(holder.to_string()));
        }
        if only_pinned {
            query = query.filter(api_keys::tenant_id.is_not_null());
        }
        if let Some(search) = &listing.search {
            query = query.filter(lower(api_keys::name).like(lower(search.pattern())).escape('\\'));
        }
        part!(query, listing, api_keys::id, api_keys::created_at, api_keys::name).load(conn)
    })?;
    rows.into_iter().map(reaching_key).collect()
}

/// All keys there are, the newest first, each with its holder.
pub fn list_all(tx: &mut PlatformTx<'_>) -> Result<Vec<(ApiKey, User)>, StoreError> {
    let rows: Vec<(KeyRow, SecretRow, UserRow)> = on!(tx, |conn| with_newest_secret!()
        .inner_join(
            users::table.on(users::directory.eq(api_keys::directory).and(users::id.eq(api_keys::user_id)))
        )
        .order(api_keys::id.desc())
        .select((KeyRow::as_select(), SecretRow::as_select(), UserRow::as_select()))
        .load(conn))?;
    rows.into_iter().map(|(row, secret, user)| Ok((recognized((row, secret))?, user.try_into()?))).collect()
}

/// Renames a key and narrows it; whether it is there and still carries what was seen.
pub fn update(
    tx: &mut TenantTx<'_>,
    seen: &ApiKey,
    name: &Name,
    scopes: &ScopeSet,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), seen.id.to_string());
    let changed = execute!(
        tx,
        diesel::update(api_keys::table.find(key)).filter(api_keys::scopes.eq(seen.scopes.to_string())).set((
            api_keys::name.eq(name.as_str()),
            api_keys::scopes.eq(scopes.to_string()),
            api_keys::updated_at.eq(now.as_micros()),
        ))
    )?;
    tx.revoke(Revocation::ApiKey(seen.id));
    Ok(changed == 1)
}

/// Says that a key was changed, and lets nobody else change it before the transaction ends; whether there is
/// one.
pub fn hold(tx: &mut TenantTx<'_>, id: ApiKeyId, now: Timestamp) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let changed = execute!(
        tx,
        diesel::update(api_keys::table.find(key)).set(api_keys::updated_at.eq(now.as_micros()))
    )?;
    Ok(changed == 1)
}

/// Revokes one of the directory's keys; whether there was one.
pub fn remove(tx: &mut TenantTx<'_>, id: ApiKeyId) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let removed = on!(tx, |conn| diesel::delete(api_keys::table.find(key)).execute(conn))?;
    tx.revoke(Revocation::ApiKey(id));
    Ok(removed == 1)
}

/// Revokes all keys of one of the directory's people but those made in `kept`; returns how many.
pub fn remove_all(tx: &mut TenantTx<'_>, user: UserId, kept: Option<SessionId>) -> Result<usize, StoreError> {
    let directory = api_keys::directory.eq(tx.key());
    let kept = kept.map(|session| session.to_string()).unwrap_or_default();
    let removed = on!(tx, |conn| diesel::delete(api_keys::table)
        .filter(directory)
        .filter(api_keys::user_id.eq(user.to_string()))
        .filter(api_keys::session_id.is_null().or(not(api_keys::session_id.assume_not_null().eq(kept))))
        .execute(conn))?;
    tx.revoke(Revocation::User(user));
    Ok(removed)
}

/// Revokes the keys that one of the directory's people made since this instant; returns how many.
pub fn remove_since(tx: &mut TenantTx<'_>, user: UserId, since: Timestamp) -> Result<usize, StoreError> {
    let directory = api_keys::directory.eq(tx.key());
    let removed = on!(tx, |conn| diesel::delete(api_keys::table)
        .filter(directory)
        .filter(api_keys::user_id.eq(user.to_string()))
        .filter(api_keys::created_at.ge(since.as_micros()))
        .execute(conn))?;
    tx.revoke(Revocation::User(user));
    Ok(removed)
}

/// Revokes a key that is pinned to the tenant; whether there was one.
pub fn remove_pinned(tx: &mut TenantTx<'_>, id: ApiKeyId) -> Result<bool, StoreError> {
    let tenant = api_keys::tenant_id.eq(Some(tx.key()));
    let platform = Owner::Platform.to_string();
    let removed = on!(tx, |conn| diesel::delete(api_keys::table.find((platform, id.to_string())))
        .filter(tenant)
        .execute(conn))?;
    tx.revoke(Revocation::ApiKey(id));
    Ok(removed == 1)
}

/// Bars a key that is pinned to no tenant from this one, or lets it in again.
pub fn set_barred(
    tx: &mut TenantTx<'_>,
    id: ApiKeyId,
    barred: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tenant = tx.key();
    if barred {
        let values = (
            api_key_bars::tenant_id.eq(tenant),
            api_key_bars::key_id.eq(id.to_string()),
            api_key_bars::directory.eq(Owner::Platform.to_string()),
            api_key_bars::created_at.eq(now.as_micros()),
        );
        on!(tx, |conn| diesel::insert_into(api_key_bars::table)
            .values(values)
            .on_conflict_do_nothing()
            .execute(conn))?;
    } else {
        on!(tx, |conn| diesel::delete(api_key_bars::table.find((tenant, id.to_string()))).execute(conn))?;
    }
    tx.revoke(Revocation::ApiKey(id));
    Ok(())
}

/// The tenants that bar a key.
pub fn list_bars(tx: &mut TenantTx<'_>, id: ApiKeyId) -> Result<Vec<TenantId>, StoreError> {
    let directory = api_key_bars::directory.eq(tx.key());
    let rows: Vec<String> = on!(tx, |conn| api_key_bars::table
        .filter(directory)
        .filter(api_key_bars::key_id.eq(id.to_string()))
        .select(api_key_bars::tenant_id)
        .load(conn))?;
    rows.iter()
        .map(|row| Reading { table: "api_key_bars", row: &id.to_string() }.parse("tenant_id", row))
        .collect()
}

/// Remembers when keys were last used, each at most once in `grain`. A key that is gone is passed over.
pub fn touch(
    tx: &mut PlatformTx<'_>,
    uses: &[(ApiKeyId, Timestamp)],
    grain: Duration,
) -> Result<(), StoreError> {
    for (id, at) in uses {
        let key = (Owner::Platform.to_string(), id.to_string());
        execute!(
            tx,
            diesel::update(api_keys::table.find(key))
                .filter(
                    api_keys::last_used_at.is_null().or(api_keys::last_used_at.le((*at - grain).as_micros()))
                )
                .set(api_keys::last_used_at.eq(Some(at.as_micros())))
        )?;
    }
    Ok(())
}

/// Removes at most `limit` keys that ended before `now`; returns how many.
pub fn remove_expired(tx: &mut PlatformTx<'_>, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let keys: Vec<(String, String)> = on!(tx, |conn| api_keys::table
        .filter(api_keys::expires_at.le(now.as_micros()))
        .select((api_keys::directory, api_keys::id))
        .limit(limit)
        .load(conn))?;
    for (directory, id) in &keys {
        on!(tx, |conn| diesel::delete(api_keys::table.find((directory, id))).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes at most `limit` secrets that ended before `now`; returns how many.
pub fn remove_ended_secrets(
    tx: &mut PlatformTx<'_>,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let digests: Vec<Vec<u8>> = on!(tx, |conn| api_key_secrets::table
        .filter(api_key_secrets::ends_at.le(now.as_micros()))
        .select(api_key_secrets::digest)
        .limit(limit)
        .load(conn))?;
    for digest in &digests {
        on!(tx, |conn| diesel::delete(api_key_secrets::table.find(digest)).execute(conn))?;
    }
    Ok(digests.len())
}
