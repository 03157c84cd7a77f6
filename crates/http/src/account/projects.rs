//! `/api/user/organizations/{organizationId}/projects`, and how both surfaces of people take and show projects.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::project::{Project, ProjectChange, ProjectStatus, Website};
use keystead_service::Error;
use keystead_service::projects::{self, NewProject};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::call::PersonCall;
use super::query;
use super::views::{Answer, instant};
use crate::body::{Fields, JsonBody};
use crate::error::{Envelope, EnvelopeBody};
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// A project.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectView {
    id: String,
    organization_id: String,
    name: String,
    slug: String,
    #[schema(nullable, required)]
    website: Option<String>,
    /// `active` or `archived`.
    status: &'static str,
    created_at: String,
    updated_at: String,
}

impl From<&Project> for ProjectView {
    fn from(project: &Project) -> Self {
        Self {
            id: project.id.to_ulid(),
            organization_id: project.tenant.to_ulid(),
            name: project.name.to_string(),
            slug: project.slug.to_string(),
            website: project.website.as_ref().map(Website::to_string),
            status: project.status.as_str(),
            created_at: instant(project.created_at),
            updated_at: instant(project.updated_at),
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct NewProjectBody {
    #[schema(value_type = String, required, min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Unique within the organization; made of the name where it is missing.
    slug: Option<String>,
    website: Option<String>,
    /// `active` or `archived`; `active` where it is missing.
    status: Option<String>,
}

impl JsonBody for NewProjectBody {
    type Command = NewProject;

    fn parse(self) -> Result<NewProject, Error> {
        let mut fields = Fields::default();
        let name = fields.required("name", self.name.as_deref());
        let slug = fields.optional("slug", self.slug.as_deref());
        let website = fields.optional("website", self.website.as_deref());
        let status = fields.optional("status", self.status.as_deref()).unwrap_or(ProjectStatus::Active);
        Ok(NewProject { name: fields.finish(name)?, slug, website, status })
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ProjectChangeBody {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    slug: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    website: Option<Option<String>>,
    /// `active` or `archived`.
    status: Option<String>,
}

/// A member that is there, `null` or not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl JsonBody for ProjectChangeBody {
    type Command = ProjectChange;

    fn parse(self) -> Result<ProjectChange, Error> {
        let mut fields = Fields::default();
        let name = fields.optional("name", self.name.as_deref());
        let slug = fields.optional("slug", self.slug.as_deref());
        let website = self.website.map(|website| fields.optional("website", website.as_deref()));
        let status = fields.optional("status", self.status.as_deref());
        fields.finish(Some(ProjectChange { name, slug, website, status }))
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/projects",
    tag = "Projects",
    summary = "The projects of an organization, the oldest first",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of them", body = Answer<Vec<ProjectView>>)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn list(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, PersonCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let page = query::page(&request)?;
    let found = run(&engine, move |engine| projects::list(engine, &caller, tenant, page)).await?;
    let views: Vec<_> = found.items.iter().map(ProjectView::from).collect();
    Ok(Answer::ok("Projects fetched successfully", views).paged(page, found.total).response())
}

#[utoipa::path(
    post,
    path = "/api/user/organizations/{organizationId}/projects",
    tag = "Projects",
    summary = "Make a project; for managers and above",
    params(("organizationId" = String, Path, description = "Its id")),
    request_body = NewProjectBody,
    responses(
        (status = 201, description = "The project", body = Answer<ProjectView>),
        (status = 409, description = "The slug is taken", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn create(request: HttpRequest, call: PersonCall<NewProjectBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, PersonCall { caller, body, engine }) = (path::organization(&request)?, call);
    let project = run(&engine, move |engine| projects::create(engine, &caller, tenant, body)).await?;
    Ok(Answer::created("Project created successfully", ProjectView::from(&project)).response())
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/projects/{projectId}",
    tag = "Projects",
    summary = "One of an organization's projects",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("projectId" = String, Path, description = "The project's id")
    ),
    responses(
        (status = 200, description = "The project", body = Answer<ProjectView>),
        (status = 404, description = "There is no such project in the organization", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn show(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, id) = (path::organization(&request)?, path::record(&request, "projectId")?);
    let PersonCall { caller, engine, .. } = call;
    let project = run(&engine, move |engine| projects::show(engine, &caller, tenant, id)).await?;
    Ok(Answer::ok("Project fetched successfully", ProjectView::from(&project)).response())
}

#[utoipa::path(
    put,
    path = "/api/user/organizations/{organizationId}/projects/{projectId}",
    tag = "Projects",
    summary = "Change a project, what is left out stays; for managers and above",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("projectId" = String, Path, description = "The project's id")
    ),
    request_body = ProjectChangeBody,
    responses(
        (status = 200, description = "The project as it is now", body = Answer<ProjectView>),
        (status = 404, description = "There is no such project in the organization", body = EnvelopeBody),
        (status = 409, description = "The slug is taken", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn change(request: HttpRequest, call: PersonCall<ProjectChangeBody>) -> Result<HttpResponse, Envelope> {
    let (tenant, id) = (path::organization(&request)?, path::record(&request, "projectId")?);
    let PersonCall { caller, body, engine } = call;
    let project = run(&engine, move |engine| projects::change(engine, &caller, tenant, id, body)).await?;
    Ok(Answer::ok("Project updated successfully", ProjectView::from(&project)).response())
}

#[utoipa::path(
    delete,
    path = "/api/user/organizations/{organizationId}/projects/{projectId}",
    tag = "Projects",
    summary = "Delete a project; for managers and above",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("projectId" = String, Path, description = "The project's id")
    ),
    responses(
        (status = 200, description = "The project that was deleted", body = Answer<ProjectView>),
        (status = 404, description = "There is no such project in the organization", body = EnvelopeBody)
    ),
    security(("cookie" = []), ("api_key" = []))
)]
async fn delete(request: HttpRequest, call: PersonCall) -> Result<HttpResponse, Envelope> {
    let (tenant, id) = (path::organization(&request)?, path::record(&request, "projectId")?);
    let PersonCall { caller, engine, .. } = call;
    let removed = run(&engine, move |engine| projects::remove(engine, &caller, tenant, id)).await?;
    Ok(Answer::ok("Project deleted successfully", ProjectView::from(&removed)).response())
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint::<__path_list>(web::to(list)),
        endpoint::<__path_create>(web::to(create)),
        endpoint::<__path_show>(web::to(show)),
        endpoint::<__path_change>(web::to(change)),
        endpoint::<__path_delete>(web::to(delete)),
    ]
}
