//! The only queries without a scope: they find out who is calling, by something that only one
//! row in the deployment can have. What they find still has to pass the gate.
//!
//! Each ends in `get_result`, not in `first`, which adds a `LIMIT`: SQLite prepares a statement anew
//! whenever a limit is bound, and that costs more than the query.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use keystead_domain::address_change::{AddressChange, FormerAddress};
use keystead_domain::api_key::ApiKey;
use keystead_domain::app::{App, AppSecret, ClientId};
use keystead_domain::id::{InviteId, TenantId};
use keystead_domain::invite::{Invite, InviteStatus};
use keystead_domain::membership::Membership;
use keystead_domain::session::Session;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner, Timestamp, TokenDigest};

use crate::address_changes::AddressChangeRow;
use crate::api_keys::{KeyRow, KeySecret, SecretRow as KeySecretRow, key as api_keys_of};
use crate::apps::{AppRow, SecretRow};
use crate::former_addresses::FormerAddressRow;
use crate::invites::InviteRow;
use crate::memberships::MembershipRow;
use crate::schema::{
    address_changes, api_key_bars, api_key_secrets, api_keys, app_secrets, apps, claim_links,
    former_addresses, invites, memberships, sessions, tenants, totp, users,
};
use crate::sessions::SessionRow;
use crate::tenants::TenantRow;
use crate::users::UserRow;
use crate::{Question, StoreError, Tx};

/// Whether the user of the query has a second factor.
macro_rules! has_second_factor {
    () => {
        exists(
            totp::table
                .filter(totp::directory.eq(users::directory))
                .filter(totp::user_id.eq(users::id))
                .filter(totp::secret.is_not_null()),
        )
    };
}

/// What is read of an app.
macro_rules! of_app {
    ($client_id:expr) => {
        one_form!(
            apps::table
                .left_join(tenants::table.on(tenants::id.eq(apps::owner)))
                .filter(apps::client_id.eq($client_id.as_str()))
                .select((AppRow::as_select(), Option::<TenantRow>::as_select()))
        )
    };
}

/// The app with this client id, and the tenant that owns it.
pub fn app(tx: &mut Tx<'_>, client_id: &ClientId) -> Result<Option<(App, Option<Tenant>)>, StoreError> {
    found_app(on!(tx, |conn| of_app!(client_id).get_result(conn).optional())?)
}

fn found_app(row: Option<(AppRow, Option<TenantRow>)>) -> Result<Option<(App, Option<Tenant>)>, StoreError> {
    row.map(|(app, tenant)| Ok((App::try_from(app)?, tenant.map(Tenant::try_from).transpose()?))).transpose()
}

/// Which [`app`] has this client id.
#[derive(Clone)]
pub struct WhichApp(pub ClientId);

impl Question for WhichApp {
    type Answer = Option<(App, Option<Tenant>)>;

    fn ask(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, StoreError> {
        app(tx, &self.0)
    }

    async fn ask_on(&self, mut line: &AsyncPgConnection) -> Result<Self::Answer, StoreError> {
        found_app(diesel_async::RunQueryDsl::get_result(of_app!(self.0), &mut line).await.optional()?)
    }
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

/// What is read of an app and its secrets.
macro_rules! of_client {
    ($client_id:expr) => {
        one_form!(
            apps::table
                .left_join(tenants::table.on(tenants::id.eq(apps::owner)))
                .left_join(
                    app_secrets::table
                        .on(app_secrets::owner.eq(apps::owner).and(app_secrets::app_id.eq(apps::id)))
                )
                .filter(apps::client_id.eq($client_id.as_str()))
                .select((
                    AppRow::as_select(),
                    Option::<TenantRow>::as_select(),
                    Option::<SecretRow>::as_select(),
                ))
        )
    };
}

/// The app with this client id, with its secrets: one query, whether or not there is one.
pub fn client(tx: &mut Tx<'_>, client_id: &ClientId) -> Result<Option<LocatedClient>, StoreError> {
    found_client(on!(tx, |conn| of_client!(client_id).load(conn))?)
}

/// Which [`client`] has this id.
#[derive(Clone)]
pub struct WhichClient(pub ClientId);

impl Question for WhichClient {
    type Answer = Option<LocatedClient>;

    fn ask(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, StoreError> {
        client(tx, &self.0)
    }

    async fn ask_on(&self, mut line: &AsyncPgConnection) -> Result<Self::Answer, StoreError> {
        found_client(diesel_async::RunQueryDsl::load(of_client!(self.0), &mut line).await?)
    }
}

fn found_client(
    rows: Vec<(AppRow, Option<TenantRow>, Option<SecretRow>)>,
) -> Result<Option<LocatedClient>, StoreError> {
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

/// The invitation with this link while that is good, and the tenant that it is to.
pub fn invite(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(Invite, Tenant)>, StoreError> {
    let row: Option<(InviteRow, TenantRow)> = on!(tx, |conn| invites::table
        .inner_join(tenants::table.on(tenants::id.eq(invites::tenant_id)))
        .filter(invites::digest.eq(digest.as_bytes().as_slice()))
        .filter(invites::status.eq(InviteStatus::Pending.as_str()))
        .filter(invites::expires_at.gt(now.as_micros()))
        .select((InviteRow::as_select(), TenantRow::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(invite, tenant)| Ok((invite.try_into()?, tenant.try_into()?))).transpose()
}

/// The invitations to this address that are good, and the tenants that they are to, the oldest first; only
/// that with the id where one is given.
pub fn invites_to(
    tx: &mut Tx<'_>,
    email: &Email,
    id: Option<InviteId>,
    now: Timestamp,
) -> Result<Vec<(Invite, Tenant)>, StoreError> {
    let rows: Vec<(InviteRow, TenantRow)> = on!(tx, |conn| {
        let mut query = invites::table
            .inner_join(tenants::table.on(tenants::id.eq(invites::tenant_id)))
            .filter(invites::email_key.eq(email.key()))
            .filter(invites::status.eq(InviteStatus::Pending.as_str()))
            .filter(invites::expires_at.gt(now.as_micros()))
            .order(invites::id)
            .select((InviteRow::as_select(), TenantRow::as_select()))
            .into_boxed();
        if let Some(id) = id {
            query = query.filter(invites::id.eq(id.to_string()));
        }
        query.load(conn)
    })?;
    rows.into_iter().map(|(invite, tenant)| Ok((invite.try_into()?, tenant.try_into()?))).collect()
}

/// A change of address that waits for its link while that is good, whose it is, and the tenant whose
/// user that is, where it is one's.
pub fn address_change(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(AddressChange, User, Option<Tenant>)>, StoreError> {
    let row: Option<(AddressChangeRow, UserRow, Option<TenantRow>)> =
        on!(tx, |conn| address_changes::table
            .inner_join(users::table.on(
                users::directory.eq(address_changes::directory).and(users::id.eq(address_changes::user_id))
            ))
            .left_join(tenants::table.on(tenants::id.eq(address_changes::directory)))
            .filter(address_changes::digest.eq(digest.as_bytes().as_slice()))
            .filter(address_changes::expires_at.gt(now.as_micros()))
            .select((AddressChangeRow::as_select(), UserRow::as_select(), Option::<TenantRow>::as_select()))
            .get_result(conn)
            .optional())?;
    row.map(|(change, user, tenant)| {
        Ok((change.try_into()?, user.try_into()?, tenant.map(Tenant::try_from).transpose()?))
    })
    .transpose()
}

/// An address that a user had while the link to go back to it is good, whose it is, and the tenant
/// whose user that is, where it is one's.
pub fn former_address(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<Option<(FormerAddress, User, Option<Tenant>)>, StoreError> {
    let row: Option<(FormerAddressRow, UserRow, Option<TenantRow>)> =
        on!(tx, |conn| former_addresses::table
            .inner_join(users::table.on(
                users::directory.eq(former_addresses::directory).and(users::id.eq(former_addresses::user_id))
            ))
            .left_join(tenants::table.on(tenants::id.eq(former_addresses::directory)))
            .filter(former_addresses::digest.eq(digest.as_bytes().as_slice()))
            .filter(former_addresses::expires_at.gt(now.as_micros()))
            .select((FormerAddressRow::as_select(), UserRow::as_select(), Option::<TenantRow>::as_select()))
            .get_result(conn)
            .optional())?;
    row.map(|(former, user, tenant)| {
        Ok((former.try_into()?, user.try_into()?, tenant.map(Tenant::try_from).transpose()?))
    })
    .transpose()
}

/// A person of the platform, as it is now.
pub struct LocatedPerson {
    /// Who.
    pub user: User,
    /// Whether signing in takes a second factor.
    pub second_factor: bool,
    /// Where it is a member, those of longest standing first.
    pub memberships: Vec<(Membership, Tenant)>,
}

/// A key with one of its secrets, its holder, and which tenants bar it.
pub struct LocatedKey {
    /// The key.
    pub key: ApiKey,
    /// The secret that was looked up.
    pub secret: KeySecret,
    /// The tenants of its holder that bar it.
    pub barred_in: Vec<TenantId>,
    /// Its holder.
    pub holder: LocatedPerson,
}

/// A user's memberships and their tenants, beside the user. SQLite would make the whole of a join in parentheses
/// before it looks at a row of it, so these are joined one after the other; no membership is without its tenant.
macro_rules! with_memberships {
    ($users:expr) => {
        $users
            .left_join(
                memberships::table
                    .on(memberships::directory.eq(users::directory).and(memberships::user_id.eq(users::id))),
            )
            .left_join(tenants::table.on(tenants::id.eq(memberships::tenant_id)))
    };
}

/// What is read of a key.
macro_rules! of_key {
    ($digest:expr) => {
        with_memberships!(
            api_key_secrets::table
                .inner_join(
                    api_keys::table.on(api_keys::directory
                        .eq(api_key_secrets::directory)
                        .and(api_keys::id.eq(api_key_secrets::key_id)))
                )
                .inner_join(
                    users::table
                        .on(users::directory.eq(api_keys::directory).and(users::id.eq(api_keys::user_id)))
                )
        )
        .filter(api_key_secrets::digest.eq($digest.as_bytes().as_slice()))
        .order(memberships::id)
        .select((
            KeyRow::as_select(),
            KeySecretRow::as_select(),
            UserRow::as_select(),
            has_second_factor!(),
            (
                Option::<MembershipRow>::as_select(),
                Option::<TenantRow>::as_select(),
                exists(
                    api_key_bars::table
                        .filter(api_key_bars::tenant_id.eq(memberships::tenant_id))
                        .filter(api_key_bars::key_id.eq(api_keys::id)),
                ),
            ),
        ))
    };
}

/// What is read of a session of a person.
macro_rules! of_session {
    ($digest:expr) => {
        with_memberships!(sessions::table.inner_join(
            users::table.on(users::directory.eq(sessions::directory).and(users::id.eq(sessions::user_id)))
        ))
        .filter(sessions::digest.eq($digest.as_bytes().as_slice()))
        .filter(sessions::directory.eq(Owner::Platform.to_string()))
        .order(memberships::id)
        .select((
            SessionRow::as_select(),
            UserRow::as_select(),
            has_second_factor!(),
            Option::<MembershipRow>::as_select(),
            Option::<TenantRow>::as_select(),
        ))
    };
}

/// The key with this secret: one query, whether or not there is one.
pub fn api_key(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<LocatedKey>, StoreError> {
    type Row = (KeyRow, KeySecretRow, UserRow, bool, (Option<MembershipRow>, Option<TenantRow>, bool));
    let rows: Vec<Row> = on!(tx, |conn| of_key!(digest).load(conn))?;
    let mut located: Option<LocatedKey> = None;
    for (key, secret, user, second_factor, (membership, tenant, barred)) in rows {
        let found = match &mut located {
            Some(found) => found,
            None => {
                let secret = KeySecret::try_from(secret)?;
                located.insert(LocatedKey {
                    key: api_keys_of(key, secret.start.clone())?,
                    secret,
                    barred_in: Vec::new(),
                    holder: LocatedPerson { user: user.try_into()?, second_factor, memberships: Vec::new() },
                })
            }
        };
        if let (Some(membership), Some(tenant)) = (membership, tenant) {
            let tenant = Tenant::try_from(tenant)?;
            found.barred_in.extend(barred.then_some(tenant.id));
            found.holder.memberships.push((membership.try_into()?, tenant));
        }
    }
    Ok(located)
}

/// The session of a person of the platform with this token, and the person: one query.
pub fn person_session(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
) -> Result<Option<(Session, LocatedPerson)>, StoreError> {
    type Row = (SessionRow, UserRow, bool, Option<MembershipRow>, Option<TenantRow>);
    let rows: Vec<Row> = on!(tx, |conn| of_session!(digest).load(conn))?;
    let mut located: Option<(Session, LocatedPerson)> = None;
    for (session, user, second_factor, membership, tenant) in rows {
        let (_, person) = match &mut located {
            Some(found) => found,
            None => located.insert((
                session.try_into()?,
                LocatedPerson { user: user.try_into()?, second_factor, memberships: Vec::new() },
            )),
        };
        if let (Some(membership), Some(tenant)) = (membership, tenant) {
            person.memberships.push((membership.try_into()?, tenant.try_into()?));
        }
    }
    Ok(located)
}

/// Whether the database answers.
pub fn ping(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    on!(tx, |conn| diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"))
        .get_result::<i32>(conn))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection as _;
    use diesel::sql_types::Text;
    use diesel::sqlite::{Sqlite, SqliteConnection};
    use diesel_migrations::MigrationHarness as _;

    use super::*;
    use crate::migrations;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// How SQLite goes about a query of which it knows nothing but the schema.
    fn plan(sql: &str) -> Vec<String> {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.run_pending_migrations(migrations::SQLITE).unwrap();
        conn.batch_execute("PRAGMA foreign_keys = ON").unwrap();
        let sql = sql.split(" -- binds").next().unwrap();
        let steps: Vec<Step> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(&mut conn).unwrap();
        steps.into_iter().map(|step| step.detail).collect()
    }

    #[test]
    fn sqlite_looks_nobody_up_by_going_through_all() {
        let digest = TokenDigest::of("a secret");
        let key = diesel::debug_query::<Sqlite, _>(&of_key!(digest)).to_string();
        let session = diesel::debug_query::<Sqlite, _>(&of_session!(digest)).to_string();
        for sql in [key, session] {
            let steps = plan(&sql);
            let goes_through = |step: &&String| step.starts_with("SCAN") || step.starts_with("MATERIALIZE");
            assert_eq!(steps.iter().find(goes_through), None, "{steps:#?}");
            let users = steps.iter().find(|step| step.starts_with("SEARCH users ")).unwrap();
            assert!(users.contains("directory=? AND id=?"), "{steps:#?}");
            let theirs = steps.iter().find(|step| step.starts_with("SEARCH memberships ")).unwrap();
            assert!(theirs.contains("directory=? AND user_id=?"), "{steps:#?}");
        }
    }
}
