//! Apps and their secrets.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::app::{App, AppSecret};
use keystead_domain::id::{AppId, AppSecretId};
use keystead_domain::revocation::Revocation;

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
            created_at: Timestamp::from_micros(row.created_at),
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
    );
    on!(tx, |conn| diesel::insert_into(app_secrets::table).values(values).execute(conn))?;
    Ok(())
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
    on!(tx, |conn| diesel::update(app_secrets::table)
        .filter(of_owner)
        .filter(app_secrets::id.eq(secret.to_string()))
        .set(app_secrets::last_used_at.eq(now.as_micros()))
        .execute(conn))?;
    Ok(())
}

/// All apps of all owners, the oldest first.
pub fn list(tx: &mut PlatformTx<'_>) -> Result<Vec<App>, StoreError> {
    let rows: Vec<AppRow> = on!(tx, |conn| AppRow::query().order(apps::id).load(conn))?;
    rows.into_iter().map(App::try_from).collect()
}
