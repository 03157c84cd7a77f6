//! Projects, as both surfaces of people take and show them.

use keystead_domain::project::{Project, ProjectChange, ProjectStatus, Website};
use keystead_service::Error;
use keystead_service::projects::NewProject;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::views::instant;
use crate::body::{Fields, JsonBody};

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
