//! `keystead project`.

use keystead_domain::project::{Project, ProjectChange, Website};
use keystead_service::paging::PageAsked;
use keystead_service::projects::{self, NewProject};
use keystead_service::{Caller, Engine, tenants};
use serde::Serialize;

use super::Context;
use crate::cli::{self, NamedProject};
use crate::failure::Failure;
use crate::output::{self, Show};

#[derive(Serialize)]
struct ProjectView {
    id: String,
    tenant_id: String,
    slug: String,
    name: String,
    website: Option<String>,
    status: &'static str,
    created_at: String,
    updated_at: String,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.to_string(),
            tenant_id: project.tenant.to_string(),
            slug: project.slug.to_string(),
            name: project.name.to_string(),
            website: project.website.as_ref().map(Website::to_string),
            status: project.status.as_str(),
            created_at: project.created_at.to_rfc3339_seconds(),
            updated_at: project.updated_at.to_rfc3339_seconds(),
        }
    }
}

impl Show for ProjectView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("id", self.id.clone()),
            ("tenant", self.tenant_id.clone()),
            ("slug", self.slug.clone()),
            ("name", self.name.clone()),
        ];
        lines.extend(self.website.clone().map(|website| ("website", website)));
        lines.extend([
            ("status", self.status.to_owned()),
            ("created", self.created_at.clone()),
            ("updated", self.updated_at.clone()),
        ]);
        lines
    }
}

/// How many projects are read at once.
const PAGE: u32 = 500;

pub(crate) fn run(context: &Context, command: cli::Project) -> Result<(), Failure> {
    let (engine, host) = (&context.engine, Caller::host());
    let project = match command {
        cli::Project::Create { tenant, name, slug, website, status } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            projects::create(engine, &host, tenant, NewProject { name, slug, website, status })?
        }
        cli::Project::List { tenant } => {
            let tenant = tenants::show(engine, &host, &tenant)?.id;
            let mut views: Vec<ProjectView> = Vec::new();
            for number in 1.. {
                let page = projects::list(engine, &host, tenant, PageAsked { number, size: PAGE })?.items;
                if page.is_empty() {
                    break;
                }
                views.extend(page.into_iter().map(ProjectView::from));
            }
            return output::list(context.format, &views);
        }
        cli::Project::Show { tenant, project } => find(engine, &host, &tenant, &project)?,
        cli::Project::Update { tenant, project, name, slug, website, no_website, status } => {
            let seen = find(engine, &host, &tenant, &project)?;
            let website = if no_website { Some(None) } else { website.map(Some) };
            let change = ProjectChange { name, slug, website, status };
            projects::change(engine, &host, seen.tenant, seen.id, change)?
        }
        cli::Project::Delete { tenant, project } => {
            let seen = find(engine, &host, &tenant, &project)?;
            projects::remove(engine, &host, seen.tenant, seen.id)?
        }
    };
    output::one(context.format, &ProjectView::from(project))
}

fn find(
    engine: &Engine,
    host: &Caller,
    tenant: &keystead_domain::slug::Slug,
    project: &NamedProject,
) -> Result<Project, Failure> {
    let tenant = tenants::show(engine, host, tenant)?.id;
    Ok(match project {
        NamedProject::Id(id) => projects::show(engine, host, tenant, *id)?,
        NamedProject::Slug(slug) => projects::show_by_slug(engine, host, tenant, slug)?,
    })
}
