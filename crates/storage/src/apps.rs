//! Apps and their secrets.

use diesel::prelude::*;
use keystead_domain::app::{App, AppSecret, ClientId};
use keystead_domain::id::{AppId, AppSecretId};
use keystead_domain::revocation::Revocation;
use keystead_domain::{Timestamp, TokenDigest};

use crate::row::Reading;
use crate::schema::{app_secrets, apps};
use crate::{PlatformTx, StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = apps)]
pub(crate) struct AppRow {
    owner: String,
    id: String,
    client_id: String,
    name: String,
    allowed_scopes: String,
    first_party: bool,
    active: bool,
    introspect: String,
    created_at: i64,
}

impl TryFrom<AppRow> for App {
    type Error = StoreError;

    fn try_from(row: AppRow) -> Result<Self, StoreError> {
        let read = Reading { table: "apps", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            client_id: read.parse("client_id", &row.client_id)?,
            owner: read.parse("owner", &row.owner)?,
            name: read.parse("name", &row.name)?,
            allowed_scopes: read.parse("allowed_scopes", &row.allowed_scopes)?,
            first_party: row.first_party,
            active: row.active,
            introspect: read.parse("introspect", &row.introspect)?,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

#[derive(HasQuery)]
#[diesel(table_name = app_secrets)]
pub(crate) struct SecretRow {
    id: String,
    digest: Vec<u8>,
    created_at: i64,
    last_used_at: Option<i64>,
    ends_at: Option<i64>,
}

impl TryFrom<SecretRow> for AppSecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        let read = Reading { table: "app_secrets", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            digest: TokenDigest::from_bytes(read.bytes("digest", &row.digest)?),
            created_at: Timestamp::from_micros(row.created_at),
            last_used_at: row.last_used_at.map(Timestamp::from_micros),
            ends_at: row.ends_at.map(Timestamp::from_micros),
        })
    }
}

/// Adds an app to the owner's.
pub fn insert(tx: &mut TenantTx<'_>, app: &App) -> Result<(), StoreError> {
    let row = AppRow {
        owner: tx.key(),
        id: app.id.to_string(),
        client_id: app.client_id.to_string(),
        name: app.name.to_string(),
        allowed_scopes: app.allowed_scopes.to_string(),
        first_party: app.first_party,
        active: app.active,
        introspect: app.introspect.to_string(),
        created_at: app.created_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(apps::table).values(&row).execute(conn))?;
    Ok(())
}

/// Adds a secret to one of the owner's apps.
pub fn insert_secret(tx: &mut TenantTx<'_>, app: &App, secret: &AppSecret) -> Result<(), StoreError> {
    let values = (
        app_secrets::owner.eq(tx.key()),
        app_secrets::app_id.eq(app.id.to_string()),
        app_secrets::id.eq(secret.id.to_string()),
        app_secrets::digest.eq(secret.digest.as_bytes().to_vec()),
        app_secrets::created_at.eq(secret.created_at.as_micros()),
        app_secrets::last_used_at.eq(secret.last_used_at.map(Timestamp::as_micros)),
        app_secrets::ends_at.eq(secret.ends_at.map(Timestamp::as_micros)),
    );
    on!(tx, |conn| diesel::insert_into(app_secrets::table).values(values).execute(conn))?;
    Ok(())
}

/// Lets whoever changes the secrets of an app do so one after the other, until the transaction ends;
/// whether the owner has the app.
pub fn hold(tx: &mut TenantTx<'_>, app: AppId) -> Result<bool, StoreError> {
    let key = (tx.key(), app.to_string());
    // Writing a column of its own value locks the row on PostgreSQL. SQLite has one writer anyway.
    let held = execute!(tx, diesel::update(apps::table.find(key)).set(apps::active.eq(apps::active)))?;
    Ok(held == 1)
}

/// Disables or enables an app; whether that changed it.
pub fn set_active(tx: &mut TenantTx<'_>, app: AppId, active: bool) -> Result<bool, StoreError> {
    let key = (tx.key(), app.to_string());
    let changed = execute!(
        tx,
        diesel::update(apps::table.find(key)).filter(apps::active.ne(active)).set(apps::active.eq(active))
    )?;
    tx.revoke(Revocation::App(app));
    Ok(changed == 1)
}

/// The secrets of an app, the oldest first.
pub fn list_secrets(tx: &mut TenantTx<'_>, app: AppId) -> Result<Vec<AppSecret>, StoreError> {
    let of_owner = app_secrets::owner.eq(tx.key());
    let rows: Vec<SecretRow> = on!(tx, |conn| SecretRow::query()
        .filter(of_owner)
        .filter(app_secrets::app_id.eq(app.to_string()))
        .order(app_secrets::id)
        .load(conn))?;
    rows.into_iter().map(AppSecret::try_from).collect()
}

/// Gives the secrets of an app an end, but for those that end before it anyway.
pub fn end_secrets(tx: &mut TenantTx<'_>, app: AppId, end: Timestamp) -> Result<(), StoreError> {
    let of_owner = app_secrets::owner.eq(tx.key());
    let later = app_secrets::ends_at.is_null().or(app_secrets::ends_at.gt(end.as_micros()));
    execute!(
        tx,
        diesel::update(app_secrets::table)
            .filter(of_owner)
            .filter(app_secrets::app_id.eq(app.to_string()))
            .filter(later)
            .set(app_secrets::ends_at.eq(end.as_micros()))
    )?;
    tx.revoke(Revocation::App(app));
    Ok(())
}

/// Removes at most `limit` secrets that ended before `before`; returns how many.
pub fn remove_ended_secrets(
    tx: &mut PlatformTx<'_>,
    before: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let keys: Vec<(String, String, String)> = on!(tx, |conn| app_secrets::table
        .filter(app_secrets::ends_at.le(before.as_micros()))
        .select((app_secrets::owner, app_secrets::app_id, app_secrets::id))
        .limit(limit)
        .load(conn))?;
    for (owner, app, id) in &keys {
        let key = (owner, app, id);
        on!(tx, |conn| diesel::delete(app_secrets::table.find(key)).execute(conn))?;
    }
    Ok(keys.len())
}

/// Removes the secrets of an app that never authenticated it.
pub fn remove_unused_secrets(tx: &mut TenantTx<'_>, app: AppId) -> Result<(), StoreError> {
    let of_owner = app_secrets::owner.eq(tx.key());
    on!(tx, |conn| diesel::delete(app_secrets::table)
        .filter(of_owner)
        .filter(app_secrets::app_id.eq(app.to_string()))
        .filter(app_secrets::last_used_at.is_null())
        .execute(conn))?;
    tx.revoke(Revocation::App(app));
    Ok(())
}

/// Remembers that a secret was used.
pub fn touch_secret(tx: &mut TenantTx<'_>, secret: AppSecretId, now: Timestamp) -> Result<(), StoreError> {
    let of_owner = app_secrets::owner.eq(tx.key());
    execute!(
        tx,
        diesel::update(app_secrets::table)
            .filter(of_owner)
            .filter(app_secrets::id.eq(secret.to_string()))
            .set(app_secrets::last_used_at.eq(now.as_micros()))
    )?;
    Ok(())
}

/// All apps of all owners, the oldest first.
pub fn list(tx: &mut PlatformTx<'_>) -> Result<Vec<App>, StoreError> {
    let rows: Vec<AppRow> = on!(tx, |conn| AppRow::query().order(apps::id).load(conn))?;
    rows.into_iter().map(App::try_from).collect()
}

/// A secret of an app, as lists show it.
pub struct ListedSecret {
    /// The app's client id.
    pub client_id: ClientId,
    /// The secret's id.
    pub id: AppSecretId,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// The secrets of all apps of all owners that are good at `now`, the oldest first.
pub fn list_all_secrets(tx: &mut PlatformTx<'_>, now: Timestamp) -> Result<Vec<ListedSecret>, StoreError> {
    type Row = (String, String, i64, Option<i64>);
    let of_app = app_secrets::owner.eq(apps::owner).and(app_secrets::app_id.eq(apps::id));
    let rows: Vec<Row> = on!(tx, |conn| app_secrets::table
        .inner_join(apps::table.on(of_app))
        .filter(app_secrets::ends_at.is_null().or(app_secrets::ends_at.gt(now.as_micros())))
        .order(app_secrets::id)
        .select((apps::client_id, app_secrets::id, app_secrets::created_at, app_secrets::last_used_at))
        .load(conn))?;
    let listed = rows.into_iter().map(|(client_id, id, created_at, last_used_at)| {
        let read = Reading { table: "app_secrets", row: &id };
        Ok(ListedSecret {
            client_id: read.parse("client_id", &client_id)?,
            id: read.parse("id", &id)?,
            created_at: Timestamp::from_micros(created_at),
            last_used_at: last_used_at.map(Timestamp::from_micros),
        })
    });
    listed.collect()
}
