//! The only queries without a scope: they find out who is calling, by something that only one
//! row in the deployment can have. What they find still has to pass the gate.
//!
//! Each ends in `get_result`, not in `first`, which adds a `LIMIT`: SQLite prepares a statement anew
//! whenever a limit is bound, and that costs more than the query.

use diesel::prelude::*;
use keystead_domain::address_change::{AddressChange, FormerAddress};
use keystead_domain::app::{App, AppSecret, ClientId};
use keystead_domain::tenant::Tenant;
use keystead_domain::user::User;
use keystead_domain::{Timestamp, TokenDigest};

use crate::address_changes::AddressChangeRow;
use crate::apps::{AppRow, SecretRow};
use crate::former_addresses::FormerAddressRow;
use crate::schema::{address_changes, app_secrets, apps, claim_links, former_addresses, tenants, users};
use crate::tenants::TenantRow;
use crate::users::UserRow;
use crate::{StoreError, Tx};

/// The app with this client id, and the tenant that owns it.
pub fn app(tx: &mut Tx<'_>, client_id: &ClientId) -> Result<Option<(App, Option<Tenant>)>, StoreError> {
    let row: Option<(AppRow, Option<TenantRow>)> = on!(tx, |conn| apps::table
        .left_join(tenants::table.on(tenants::id.eq(apps::owner)))
        .filter(apps::client_id.eq(client_id.as_str()))
        .select((AppRow::as_select(), Option::<TenantRow>::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(app, tenant)| Ok((App::try_from(app)?, tenant.map(Tenant::try_from).transpose()?))).transpose()
}

/// An app, the tenant that owns it, and its secrets.
pub struct LocatedClient {
    /// The app.
    pub app: App,
    /// Its tenant, where a tenant owns it.
    pub tenant: Option<Tenant>,
    /// Its secrets.
    pub secrets: Vec<AppSecret>,
}

/// The app with this client id, with its secrets: one query, whether or not there is one.
pub fn client(tx: &mut Tx<'_>, client_id: &ClientId) -> Result<Option<LocatedClient>, StoreError> {
    let rows: Vec<(AppRow, Option<TenantRow>, Option<SecretRow>)> = on!(tx, |conn| apps::table
        .left_join(tenants::table.on(tenants::id.eq(apps::owner)))
        .left_join(
            app_secrets::table.on(app_secrets::owner.eq(apps::owner).and(app_secrets::app_id.eq(apps::id))),
        )
        .filter(apps::client_id.eq(client_id.as_str()))
        .select((AppRow::as_select(), Option::<TenantRow>::as_select(), Option::<SecretRow>::as_select(),))
        .load(conn))?;
    let mut located: Option<LocatedClient> = None;
    for (app, tenant, secret) in rows {
        let client = match &mut located {
            Some(client) => client,
            None => located.insert(LocatedClient {
                app: App::try_from(app)?,
                tenant: tenant.map(Tenant::try_from).transpose()?,
                secrets: Vec::new(),
            }),
        };
        client.secrets.extend(secret.map(AppSecret::try_from).transpose()?);
    }
    Ok(located)
}

/// The app that a one-time link leads to while it is good, and the tenant that owns it.
pub fn claim_link(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(App, Option<Tenant>)>, StoreError> {
    let row: Option<(AppRow, Option<TenantRow>)> = on!(tx, |conn| claim_links::table
        .inner_join(apps::table.on(apps::owner.eq(claim_links::owner).and(apps::id.eq(claim_links::app_id))))
        .left_join(tenants::table.on(tenants::id.eq(claim_links::owner)))
        .filter(claim_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(claim_links::expires_at.gt(now.as_micros()))
        .select((AppRow::as_select(), Option::<TenantRow>::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(app, tenant)| Ok((App::try_from(app)?, tenant.map(Tenant::try_from).transpose()?))).transpose()
}

/// A change of address that waits for its link while that is good, whose it is, and the tenant whose
/// user that is.
pub fn address_change(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(AddressChange, User, Tenant)>, StoreError> {
    let row: Option<(AddressChangeRow, UserRow, TenantRow)> =
        on!(tx, |conn| address_changes::table
            .inner_join(users::table.on(
                users::directory.eq(address_changes::directory).and(users::id.eq(address_changes::user_id))
            ))
            .inner_join(tenants::table.on(tenants::id.eq(address_changes::directory)))
            .filter(address_changes::digest.eq(digest.as_bytes().as_slice()))
            .filter(address_changes::expires_at.gt(now.as_micros()))
            .select((AddressChangeRow::as_select(), UserRow::as_select(), TenantRow::as_select()))
            .get_result(conn)
            .optional())?;
    row.map(|(change, user, tenant)| Ok((change.try_into()?, user.try_into()?, tenant.try_into()?)))
        .transpose()
}

/// An address that a user had while the link to go back to it is good, whose it is, and the tenant
/// whose user that is.
pub fn former_address(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(FormerAddress, User, Tenant)>, StoreError> {
    let row: Option<(FormerAddressRow, UserRow, TenantRow)> = on!(tx, |conn| former_addresses::table
        .inner_join(users::table.on(
            users::directory.eq(former_addresses::directory).and(users::id.eq(former_addresses::user_id))
        ))
        .inner_join(tenants::table.on(tenants::id.eq(former_addresses::directory)))
        .filter(former_addresses::digest.eq(digest.as_bytes().as_slice()))
        .filter(former_addresses::expires_at.gt(now.as_micros()))
        .select((FormerAddressRow::as_select(), UserRow::as_select(), TenantRow::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(former, user, tenant)| Ok((former.try_into()?, user.try_into()?, tenant.try_into()?)))
        .transpose()
}

/// Whether the database answers.
pub fn ping(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    on!(tx, |conn| diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"))
        .get_result::<i32>(conn))?;
    Ok(())
}
