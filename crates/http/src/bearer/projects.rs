//! Projects of the organization that the key acts in.

use actix_web::http::StatusCode;
use actix_web::web::{self, Json};
use actix_web::{HttpRequest, HttpResponse};
use keystead_domain::id::ProjectId;
use keystead_domain::idempotency::StoredAnswer;
use keystead_domain::project::Project;
use keystead_service::idempotency::{Once, Outcome};
use keystead_service::{Error, projects};

use super::call::{KeyCall, PostCall};
use super::listing;
use super::views::{Many, Single};
use crate::account::projects::{NewProjectBody, ProjectChangeBody, ProjectView};
use crate::error::{BearerError, BearerErrorBody, stored};
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

#[utoipa::path(
    get,
    path = "/api/v1/projects",
    tag = "Bearer",
    summary = "The organization's projects, part by part",
    params(
        ("limit" = Option<u16>, Query, description = "How many at most", minimum = 1, maximum = 200),
        ("sort" = Option<String>, Query, description = "`id`, `createdAt` or `name`; with a hyphen before it the other way round"),
        ("search" = Option<String>, Query, description = "Only those that have this in their name or slug"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the part before")
    ),
    responses(
        (status = 200, description = "A part of the projects", body = Many<ProjectView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 422, description = "Parameters are wrong; `fields` names each", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn list(call: KeyCall, request: HttpRequest) -> Result<Json<Many<ProjectView>>, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let listing = listing::asked(&request, tenant)?;
    let asked = listing.clone();
    let part = run(&engine, move |engine| projects::list_part(engine, &caller, tenant, &asked)).await?;
    Ok(Json(listing::shown(part, tenant, &listing, |project| ProjectView::from(project))))
}

/// The answer to a project that was made, or was not.
fn answer(made: Result<&Project, &Error>) -> StoredAnswer {
    match made {
        Ok(project) => {
            let body = serde_json::to_string(&Single { data: ProjectView::from(project) });
            StoredAnswer { status: StatusCode::CREATED.as_u16(), body: body.unwrap_or_default() }
        }
        Err(error) => stored(error),
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/projects",
    tag = "Bearer",
    summary = "Make a project, once for each `Idempotency-Key`",
    params(
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters; the same key and body within 24 hours give the first answer again")
    ),
    request_body = NewProjectBody,
    responses(
        (status = 201, description = "The project", body = Single<ProjectView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 409, description = "The slug is taken, or the key was used for another body", body = BearerErrorBody),
        (status = 422, description = "Fields are missing or wrong; `fields` names each", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn create(call: PostCall<NewProjectBody>) -> Result<HttpResponse, BearerError> {
    let PostCall { caller, tenant, body, path, key, digest, engine } = call;
    let once = Once { method: "POST", path, key, body: digest, answer };
    let outcome =
        run(&engine, move |engine| projects::create_once(engine, &caller, tenant, body, &once)).await?;
    let (answer, replayed) = match outcome {
        Outcome::Done(project) => (answer(Ok(&project)), false),
        Outcome::Before(answer) => (answer, true),
    };
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).map_err(Error::internal)?);
    if replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.content_type("application/json").body(answer.body))
}

#[utoipa::path(
    get,
    path = "/api/v1/projects/{projectId}",
    tag = "Bearer",
    summary = "One of the organization's projects",
    params(("projectId" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "The project", body = Single<ProjectView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 404, description = "There is no such project in the organization", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn show(call: KeyCall, request: HttpRequest) -> Result<Json<Single<ProjectView>>, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let id: ProjectId = path::record(&request, "projectId")?;
    let project = run(&engine, move |engine| projects::show(engine, &caller, tenant, id)).await?;
    Ok(Json(Single { data: ProjectView::from(&project) }))
}

#[utoipa::path(
    patch,
    path = "/api/v1/projects/{projectId}",
    tag = "Bearer",
    summary = "Change a project; what is left out stays",
    params(("projectId" = String, Path, description = "The project's id")),
    request_body = ProjectChangeBody,
    responses(
        (status = 200, description = "The project as it is now", body = Single<ProjectView>),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 404, description = "There is no such project in the organization", body = BearerErrorBody),
        (status = 409, description = "The slug is taken", body = BearerErrorBody),
        (status = 422, description = "Fields are wrong; `fields` names each", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn change(
    call: KeyCall<ProjectChangeBody>,
    request: HttpRequest,
) -> Result<Json<Single<ProjectView>>, BearerError> {
    let KeyCall { caller, tenant, body, engine } = call;
    let id: ProjectId = path::record(&request, "projectId")?;
    let project = run(&engine, move |engine| projects::change(engine, &caller, tenant, id, body)).await?;
    Ok(Json(Single { data: ProjectView::from(&project) }))
}

#[utoipa::path(
    delete,
    path = "/api/v1/projects/{projectId}",
    tag = "Bearer",
    summary = "Delete a project",
    params(("projectId" = String, Path, description = "The project's id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 402, description = "The plan of the organization does not open this API", body = BearerErrorBody),
        (status = 404, description = "There is no such project in the organization", body = BearerErrorBody)
    ),
    security(("api_key" = []), ("bearer" = []))
)]
async fn delete(call: KeyCall, request: HttpRequest) -> Result<HttpResponse, BearerError> {
    let KeyCall { caller, tenant, engine, .. } = call;
    let id: ProjectId = path::record(&request, "projectId")?;
    run(&engine, move |engine| projects::remove(engine, &caller, tenant, id)).await?;
    Ok(HttpResponse::NoContent().finish())
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
