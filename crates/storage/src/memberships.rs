//! Memberships of a tenant: which people of the platform belong to it.

use diesel::dsl::exists;
use diesel::prelude::*;
use keystead_domain::id::{MembershipId, UserId, kind};
use keystead_domain::listing::Listing;
use keystead_domain::membership::Membership;
use keystead_domain::revocation::Revocation;
use keystead_domain::role::Role;
use keystead_domain::tenant::Tenant;
use keystead_domain::user::User;
use keystead_domain::{Email, Owner, Timestamp};

use crate::part::{coalesce, lower};
use crate::row::Reading;
use crate::schema::{memberships, tenants, totp, users};
use crate::tenants::TenantRow;
use crate::users::UserRow;
use crate::{StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = memberships)]
pub(crate) struct MembershipRow {
    tenant_id: String,
    id: String,
    directory: String,
    user_id: String,
    role: String,
    founder: bool,
    created_at: i64,
}

impl TryFrom<MembershipRow> for Membership {
    type Error = StoreError;

    fn try_from(row: MembershipRow) -> Result<Self, StoreError> {
        let read = Reading { table: "memberships", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            tenant: read.parse("tenant_id", &row.tenant_id)?,
            user: read.parse("user_id", &row.user_id)?,
            role: read.parse("role", &row.role)?,
            founder: row.founder,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

/// Adds a member. It may [be one already](crate::UniqueKey::Membership).
pub fn insert(tx: &mut TenantTx<'_>, membership: &Membership) -> Result<(), StoreError> {
    let row = MembershipRow {
        tenant_id: tx.key(),
        id: membership.id.to_string(),
        directory: Owner::Platform.to_string(),
        user_id: membership.user.to_string(),
        role: membership.role.to_string(),
        founder: membership.founder,
        created_at: membership.created_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(memberships::table).values(&row).execute(conn))?;
    // What was verified of the person says where it is a member.
    tx.revoke(Revocation::User(membership.user));
    Ok(())
}

/// The tenant's members, those of longest standing first.
pub fn list(tx: &mut TenantTx<'_>) -> Result<Vec<(Membership, User)>, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    let rows: Vec<(MembershipRow, UserRow)> = on!(tx, |conn| memberships::table
        .inner_join(
            users::table
                .on(users::directory.eq(memberships::directory).and(users::id.eq(memberships::user_id)))
        )
        .filter(tenant)
        .order(memberships::id)
        .select((MembershipRow::as_select(), UserRow::as_select()))
        .load(conn))?;
    rows.into_iter().map(|(membership, user)| Ok((membership.try_into()?, user.try_into()?))).collect()
}

/// A member as others of the tenant see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The membership.
    pub membership: Membership,
    /// Whose.
    pub user: User,
    /// Whether signing in takes a second factor.
    pub second_factor: bool,
}

/// Some of the tenant's members, those of longest standing first.
pub fn page(tx: &mut TenantTx<'_>, offset: i64, limit: i64) -> Result<Vec<Member>, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    let with_totp = exists(
        totp::table
            .filter(totp::directory.eq(users::directory))
            .filter(totp::user_id.eq(users::id))
            .filter(totp::secret.is_not_null()),
    );
    let rows: Vec<(MembershipRow, UserRow, bool)> = on!(tx, |conn| memberships::table
        .inner_join(
            users::table
                .on(users::directory.eq(memberships::directory).and(users::id.eq(memberships::user_id)))
        )
        .filter(tenant)
        .order(memberships::id)
        .offset(offset)
        .limit(limit)
        .select((MembershipRow::as_select(), UserRow::as_select(), with_totp))
        .load(conn))?;
    let member = |(membership, user, second_factor): (MembershipRow, UserRow, bool)| {
        Ok(Member { membership: membership.try_into()?, user: user.try_into()?, second_factor })
    };
    rows.into_iter().map(member).collect()
}

/// How many members the tenant has.
pub fn count(tx: &mut TenantTx<'_>) -> Result<i64, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    Ok(on!(tx, |conn| memberships::table.filter(tenant).count().get_result(conn))?)
}

/// How many of the tenant's members sign in with a second factor.
pub fn count_with_second_factor(tx: &mut TenantTx<'_>) -> Result<i64, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    let with_totp = exists(
        totp::table
            .filter(totp::directory.eq(memberships::directory))
            .filter(totp::user_id.eq(memberships::user_id))
            .filter(totp::secret.is_not_null()),
    );
    Ok(on!(tx, |conn| memberships::table.filter(tenant).filter(with_totp).count().get_result(conn))?)
}

/// The tenant's member with this address.
pub fn find_by_email(tx: &mut TenantTx<'_>, email: &Email) -> Result<Option<(Membership, User)>, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    let row: Option<(MembershipRow, UserRow)> = on!(tx, |conn| memberships::table
        .inner_join(
            users::table
                .on(users::directory.eq(memberships::directory).and(users::id.eq(memberships::user_id)))
        )
        .filter(tenant)
        .filter(users::email_key.eq(email.key()))
        .select((MembershipRow::as_select(), UserRow::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(membership, user)| Ok((membership.try_into()?, user.try_into()?))).transpose()
}

/// One of the tenant's memberships, and whose it is.
pub fn find(tx: &mut TenantTx<'_>, id: MembershipId) -> Result<Option<(Membership, User)>, StoreError> {
    let key = (tx.key(), id.to_string());
    let row: Option<(MembershipRow, UserRow)> = on!(tx, |conn| memberships::table
        .find(key)
        .inner_join(
            users::table
                .on(users::directory.eq(memberships::directory).and(users::id.eq(memberships::user_id)))
        )
        .select((MembershipRow::as_select(), UserRow::as_select()))
        .get_result(conn)
        .optional())?;
    row.map(|(membership, user)| Ok((membership.try_into()?, user.try_into()?))).transpose()
}

/// The membership of a person in the tenant.
pub fn find_of(tx: &mut TenantTx<'_>, user: UserId) -> Result<Option<Membership>, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    let row: Option<MembershipRow> = on!(tx, |conn| MembershipRow::query()
        .filter(tenant)
        .filter(memberships::user_id.eq(user.to_string()))
        .get_result(conn)
        .optional())?;
    row.map(Membership::try_from).transpose()
}

/// Lets whoever changes who owns the tenant do so one after the other, until the transaction ends.
pub fn hold_owners(tx: &mut TenantTx<'_>) -> Result<(), StoreError> {
    let tenant = tx.key();
    // Writing a column of its own value locks the row on PostgreSQL. SQLite has one writer anyway.
    execute!(tx, diesel::update(tenants::table.find(tenant)).set(tenants::status.eq(tenants::status)))?;
    Ok(())
}

/// How many owners the tenant has besides this membership.
pub fn count_other_owners(tx: &mut TenantTx<'_>, id: MembershipId) -> Result<i64, StoreError> {
    let tenant = memberships::tenant_id.eq(tx.key());
    Ok(on!(tx, |conn| memberships::table
        .filter(tenant)
        .filter(memberships::role.eq(Role::Owner.as_str()))
        .filter(memberships::id.ne(id.to_string()))
        .count()
        .get_result(conn))?)
}

/// Gives a member another role; whether the one that was seen still stood.
pub fn set_role(tx: &mut TenantTx<'_>, seen: &Membership, role: Role) -> Result<bool, StoreError> {
    let key = (tx.key(), seen.id.to_string());
    let changed = execute!(
        tx,
        diesel::update(memberships::table.find(key))
            .filter(memberships::role.eq(seen.role.as_str()))
            .set(memberships::role.eq(role.as_str()))
    )?;
    tx.revoke(Revocation::User(seen.user));
    Ok(changed == 1)
}

/// Ends a membership, and with it the keys that are pinned to it; whether there was one.
pub fn remove(tx: &mut TenantTx<'_>, seen: &Membership) -> Result<bool, StoreError> {
    let key = (tx.key(), seen.id.to_string());
    let removed = on!(tx, |conn| diesel::delete(memberships::table.find(key)).execute(conn))?;
    tx.revoke(Revocation::User(seen.user));
    Ok(removed == 1)
}

/// The tenants that one of the directory's people is a member of, in the order in which it became one.
pub fn list_of(tx: &mut TenantTx<'_>, user: UserId) -> Result<Vec<(Membership, Tenant)>, StoreError> {
    let directory = memberships::directory.eq(tx.key());
    let rows: Vec<(MembershipRow, TenantRow)> = on!(tx, |conn| memberships::table
        .inner_join(tenants::table.on(tenants::id.eq(memberships::tenant_id)))
        .filter(directory)
        .filter(memberships::user_id.eq(user.to_string()))
        .order(memberships::id)
        .select((MembershipRow::as_select(), TenantRow::as_select()))
        .load(conn))?;
    rows.into_iter().map(|(membership, tenant)| Ok((membership.try_into()?, tenant.try_into()?))).collect()
}

/// Where these of the directory's people, some hundred at most, are members.
pub fn list_of_all(tx: &mut TenantTx<'_>, people: &[UserId]) -> Result<Vec<Membership>, StoreError> {
    let directory = memberships::directory.eq(tx.key());
    let people: Vec<_> = people.iter().map(ToString::to_string).collect();
    let rows: Vec<MembershipRow> = on!(tx, |conn| MembershipRow::query()
        .filter(directory)
        .filter(memberships::user_id.eq_any(&people))
        .load(conn))?;
    rows.into_iter().map(Membership::try_from).collect()
}

/// The rows of a part of the tenant's members. Who has no name is sorted by its address.
pub fn list_part(
    tx: &mut TenantTx<'_>,
    listing: &Listing<kind::Membership>,
) -> Result<Vec<(Membership, User)>, StoreError> {
    let tenant = tx.key();
    let rows: Vec<(MembershipRow, UserRow)> = on!(tx, |conn| {
        let mut query = memberships::table
            .inner_join(
                users::table
                    .on(users::directory.eq(memberships::directory).and(users::id.eq(memberships::user_id))),
            )
            .filter(memberships::tenant_id.eq(tenant))
            .select((MembershipRow::as_select(), UserRow::as_select()))
            .into_boxed();
        if let Some(search) = &listing.search {
            let pattern = search.pattern();
            query = query.filter(
                lower(coalesce(users::name, users::email))
                    .like(lower(pattern.clone()))
                    .escape('\\')
                    .or(lower(users::email).like(lower(pattern)).escape('\\')),
            );
        }
        part!(query, listing, memberships::id, memberships::created_at, coalesce(users::name, users::email))
            .load(conn)
    })?;
    rows.into_iter().map(|(membership, user)| Ok((membership.try_into()?, user.try_into()?))).collect()
}
