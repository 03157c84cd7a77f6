//! Projects of a tenant.

use diesel::prelude::*;
use keystead_domain::Timestamp;
use keystead_domain::id::{ProjectId, kind};
use keystead_domain::listing::Listing;
use keystead_domain::project::{Project, ProjectChange, Website};
use keystead_domain::revocation::Revocation;
use keystead_domain::slug::Slug;

use crate::part::lower;
use crate::row::Reading;
use crate::schema::projects;
use crate::{StoreError, TenantTx};

#[derive(HasQuery, Insertable)]
#[diesel(table_name = projects)]
struct ProjectRow {
    tenant_id: String,
    id: String,
    name: String,
    slug: String,
    website: Option<String>,
    status: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<ProjectRow> for Project {
    type Error = StoreError;

    fn try_from(row: ProjectRow) -> Result<Self, StoreError> {
        let read = Reading { table: "projects", row: &row.id };
        Ok(Self {
            id: read.parse("id", &row.id)?,
            tenant: read.parse("tenant_id", &row.tenant_id)?,
            name: read.parse("name", &row.name)?,
            slug: read.parse("slug", &row.slug)?,
            website: read.parse_some("website", row.website.as_deref())?,
            status: read.parse("status", &row.status)?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

/// What is left out stays.
#[derive(AsChangeset)]
#[diesel(table_name = projects)]
struct ChangeRow {
    name: Option<String>,
    slug: Option<String>,
    website: Option<Option<String>>,
    status: Option<&'static str>,
    updated_at: i64,
}

/// Adds a project. Its slug may be [taken](crate::UniqueKey::ProjectSlug).
pub fn insert(tx: &mut TenantTx<'_>, project: &Project) -> Result<(), StoreError> {
    let row = ProjectRow {
        tenant_id: tx.key(),
        id: project.id.to_string(),
        name: project.name.to_string(),
        slug: project.slug.to_string(),
        website: project.website.as_ref().map(Website::to_string),
        status: project.status.as_str().to_owned(),
        created_at: project.created_at.as_micros(),
        updated_at: project.updated_at.as_micros(),
    };
    on!(tx, |conn| diesel::insert_into(projects::table).values(&row).execute(conn))?;
    tx.revoke(Revocation::Projects(project.tenant));
    Ok(())
}

/// One of the tenant's projects.
pub fn find(tx: &mut TenantTx<'_>, id: ProjectId) -> Result<Option<Project>, StoreError> {
    let key = (tx.key(), id.to_string());
    let row: Option<ProjectRow> = on!(tx, |conn| ProjectRow::query().find(key).get_result(conn).optional())?;
    row.map(Project::try_from).transpose()
}

/// The tenant's project with this slug.
pub fn find_by_slug(tx: &mut TenantTx<'_>, slug: &Slug) -> Result<Option<Project>, StoreError> {
    let tenant = projects::tenant_id.eq(tx.key());
    let row: Option<ProjectRow> = on!(tx, |conn| ProjectRow::query()
        .filter(tenant)
        .filter(projects::slug.eq(slug.as_str()))
        .get_result(conn)
        .optional())?;
    row.map(Project::try_from).transpose()
}

/// The ids of the tenant's projects, the oldest first.
pub fn list_ids(tx: &mut TenantTx<'_>) -> Result<Vec<ProjectId>, StoreError> {
    let tenant = projects::tenant_id.eq(tx.key());
    let ids: Vec<String> =
        on!(tx, |conn| projects::table.filter(tenant).order(projects::id).select(projects::id).load(conn))?;
    ids.iter().map(|id| Reading { table: "projects", row: id }.parse("id", id)).collect()
}

/// The rows of a part of the tenant's projects.
pub fn list_part(
    tx: &mut TenantTx<'_>,
    listing: &Listing<kind::Project>,
) -> Result<Vec<Project>, StoreError> {
    let tenant = tx.key();
    let rows: Vec<ProjectRow> = on!(tx, |conn| {
        let mut query = projects::table.filter(projects::tenant_id.eq(tenant)).into_boxed();
        if let Some(search) = &listing.search {
            let pattern = search.pattern();
            query = query.filter(
                lower(projects::name)
                    .like(lower(pattern.clone()))
                    .escape('\\')
                    .or(projects::slug.like(lower(pattern)).escape('\\')),
            );
        }
        part!(query, listing, projects::id, projects::created_at, projects::name)
            .select(ProjectRow::as_select())
            .load(conn)
    })?;
    rows.into_iter().map(Project::try_from).collect()
}

/// Some of the tenant's projects, the oldest first.
pub fn page(tx: &mut TenantTx<'_>, offset: i64, limit: i64) -> Result<Vec<Project>, StoreError> {
    let tenant = projects::tenant_id.eq(tx.key());
    let rows: Vec<ProjectRow> = on!(tx, |conn| ProjectRow::query()
        .filter(tenant)
        .order(projects::id)
        .offset(offset)
        .limit(limit)
        .load(conn))?;
    rows.into_iter().map(Project::try_from).collect()
}

/// How many projects the tenant has.
pub fn count(tx: &mut TenantTx<'_>) -> Result<i64, StoreError> {
    let tenant = projects::tenant_id.eq(tx.key());
    Ok(on!(tx, |conn| projects::table.filter(tenant).count().get_result(conn))?)
}

/// Changes a project; whether there is one. Its slug may be [taken](crate::UniqueKey::ProjectSlug).
pub fn update(
    tx: &mut TenantTx<'_>,
    id: ProjectId,
    change: &ProjectChange,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let row = ChangeRow {
        name: change.name.as_ref().map(ToString::to_string),
        slug: change.slug.as_ref().map(ToString::to_string),
        website: change.website.as_ref().map(|website| website.as_ref().map(Website::to_string)),
        status: change.status.map(|status| status.as_str()),
        updated_at: now.as_micros(),
    };
    let changed = on!(tx, |conn| diesel::update(projects::table.find(key)).set(&row).execute(conn))?;
    Ok(changed == 1)
}

/// Removes a project; whether there was one.
pub fn remove(tx: &mut TenantTx<'_>, id: ProjectId) -> Result<bool, StoreError> {
    let key = (tx.key(), id.to_string());
    let removed = on!(tx, |conn| diesel::delete(projects::table.find(key)).execute(conn))?;
    if let Some(tenant) = tx.owner().tenant() {
        tx.revoke(Revocation::Projects(tenant));
    }
    Ok(removed == 1)
}
