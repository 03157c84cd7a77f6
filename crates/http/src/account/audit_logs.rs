//! `/api/user/organizations/{organizationId}/audit-logs`: what was done in an organization.

use std::str::FromStr;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::try_unfold;
use keystead_domain::Timestamp;
use keystead_domain::audit::AuditAction;
use keystead_domain::audit::record::StoredEvent;
use keystead_domain::id::{TenantId, UserId};
use keystead_service::tenant_trail::{self, Filter, Period};
use keystead_service::{Caller, Engine};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::SessionCall;
use super::query::Query;
use super::views::{Answer, instant};
use crate::error::Envelope;
use crate::resource::{Endpoint, endpoint};
use crate::{path, run};

/// An event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEventView {
    id: String,
    /// What was done, such as `member.removed`.
    action: String,
    /// `done` or `refused`.
    outcome: String,
    actor: AuditActorView,
    /// To what, by id.
    #[schema(nullable, required)]
    target: Option<String>,
    #[schema(nullable, required)]
    ip_address: Option<String>,
    #[schema(nullable, required)]
    user_agent: Option<String>,
    created_at: String,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
struct AuditActorView {
    /// `user`, `app`, `host`, `system` or `visitor`.
    r#type: String,
    #[schema(nullable, required)]
    id: Option<String>,
}

/// An id as this surface shows it: those of users, tenants, members and projects without their prefix.
fn shown(id: &str) -> String {
    match id.split_once('_') {
        Some(("usr" | "ten" | "mbr" | "prj", bare)) => bare.to_ascii_uppercase(),
        _ => id.to_owned(),
    }
}

impl From<&StoredEvent> for AuditEventView {
    fn from(event: &StoredEvent) -> Self {
        let record = &event.record;
        Self {
            id: record.id.clone(),
            action: record.action.clone(),
            outcome: record.outcome.clone(),
            actor: AuditActorView {
                r#type: record.actor_kind.clone(),
                id: record.actor_id.as_deref().map(shown),
            },
            target: record.target.as_deref().map(shown),
            ip_address: record.ip.clone(),
            user_agent: record.user_agent.clone(),
            created_at: instant(Timestamp::from_micros(record.at)),
        }
    }
}

/// What the query of a request lets through.
fn filter(query: &mut Query) -> Filter {
    let action: Option<AuditAction> = query.optional("action");
    let actor: Option<String> = query.optional("actor");
    let (since, until) = (query.optional("from"), query.optional("to"));
    // Users are known by both forms of their ids.
    let actor = actor.map(|text| text.parse::<UserId>().map_or(text, |id| id.to_string()));
    Filter { action, actor, period: Period { since, until } }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/audit-logs",
    tag = "Organizations",
    summary = "What was done in an organization, the newest first; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("action" = Option<String>, Query, description = "Only this action, such as `member.removed`"),
        ("actor" = Option<String>, Query, description = "Only what the user or app with this id did"),
        ("from" = Option<String>, Query, description = "Only from this instant on (RFC 3339)"),
        ("to" = Option<String>, Query, description = "Only before this instant (RFC 3339)"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1),
        ("limit" = Option<u32>, Query, description = "20 where it is missing", minimum = 1, maximum = 100)
    ),
    responses(
        (status = 200, description = "A page of events", body = Answer<Vec<AuditEventView>>)
    ),
    security(("cookie" = []))
)]
async fn list(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let mut query = Query::read(&request)?;
    let (filter, page) = (filter(&mut query), query.page());
    let page = query.finish(page)?;
    let found =
        run(&engine, move |engine| tenant_trail::list(engine, &caller, tenant, &filter, page)).await?;
    let views: Vec<_> = found.items.iter().map(AuditEventView::from).collect();
    Ok(Answer::ok("Audit logs fetched successfully", views).paged(page, found.total).response())
}

/// How an export is written.
#[derive(Clone, Copy)]
enum Format {
    /// A JSON document a line.
    Lines,
    /// RFC 4180, with a line of names.
    Csv,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jsonl" => Ok(Self::Lines),
            "csv" => Ok(Self::Csv),
            _ => Err("must be jsonl or csv"),
        }
    }
}

const COLUMNS: &str = "id,createdAt,action,outcome,actorType,actorId,target,ipAddress,userAgent\r\n";

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Lines => "attachment; filename=\"audit-logs.jsonl\"",
            Self::Csv => "attachment; filename=\"audit-logs.csv\"",
        }
    }

    const fn head(self) -> &'static str {
        match self {
            Self::Lines => "",
            Self::Csv => COLUMNS,
        }
    }

    fn write(self, event: &AuditEventView, into: &mut String) {
        match self {
            Self::Lines => {
                // A struct of strings always serializes.
                into.push_str(&serde_json::to_string(event).unwrap_or_default());
                into.push('\n');
            }
            Self::Csv => {
                let cells = [
                    Some(&event.id),
                    Some(&event.created_at),
                    Some(&event.action),
                    Some(&event.outcome),
                    Some(&event.actor.r#type),
                    event.actor.id.as_ref(),
                    event.target.as_ref(),
                    event.ip_address.as_ref(),
                    event.user_agent.as_ref(),
                ];
                let cells = cells.map(|cell| cell.map(|text| quoted(text)).unwrap_or_default());
                into.push_str(&cells.join(","));
                into.push_str("\r\n");
            }
        }
    }
}

/// A cell of a CSV file (RFC 4180 §2). One that a spreadsheet would take for a formula begins with a quote
/// mark, which makes it text: devices name themselves as they like.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// An export that is under way.
struct Export {
    engine: Data<Engine>,
    caller: Caller,
    tenant: TenantId,
    filter: Filter,
    format: Format,
    /// The id of the last event that was written.
    after: String,
}

impl Export {
    async fn next(&self) -> keystead_service::Result<Vec<StoredEvent>> {
        let (caller, tenant) = (self.caller.clone(), self.tenant);
        let (filter, after) = (self.filter.clone(), self.after.clone());
        run(&self.engine, move |engine| tenant_trail::export(engine, &caller, tenant, &filter, &after)).await
    }

    fn write(&mut self, part: &[StoredEvent], into: &mut String) {
        for event in part {
            self.format.write(&event.into(), into);
        }
        if let Some(last) = part.last() {
            self.after.clone_from(&last.record.id);
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/user/organizations/{organizationId}/audit-logs/export",
    tag = "Organizations",
    summary = "The same as a file, the oldest first; for admins and owners",
    params(
        ("organizationId" = String, Path, description = "Its id"),
        ("format" = Option<String>, Query, description = "`jsonl`, which it is where it is missing, or `csv`"),
        ("action" = Option<String>, Query, description = "Only this action, such as `member.removed`"),
        ("actor" = Option<String>, Query, description = "Only what the user or app with this id did"),
        ("from" = Option<String>, Query, description = "Only from this instant on (RFC 3339)"),
        ("to" = Option<String>, Query, description = "Only before this instant (RFC 3339)")
    ),
    responses(
        (status = 200, description = "An event a line", content(
            (String = "application/x-ndjson"),
            (String = "text/csv")
        ))
    ),
    security(("cookie" = []))
)]
async fn export(request: HttpRequest, call: SessionCall) -> Result<HttpResponse, Envelope> {
    let (tenant, SessionCall { caller, engine, .. }) = (path::organization(&request)?, call);
    let mut query = Query::read(&request)?;
    let (filter, format) = (filter(&mut query), query.optional("format"));
    query.finish(Some(()))?;
    let format = format.unwrap_or(Format::Lines);
    let mut export = Export { engine, caller, tenant, filter, format, after: String::new() };
    // The first part is read before the answer begins, so that a refusal is an answer of its own.
    let first = export.next().await?;
    let mut text = format.head().to_owned();
    export.write(&first, &mut text);
    let parts = try_unfold((export, Some(text)), async |(mut export, text)| {
        let text = match text {
            Some(text) => text,
            None => {
                let part = export.next().await?;
                let mut text = String::new();
                export.write(&part, &mut text);
                text
            }
        };
        let part = (!text.is_empty()).then(|| (Bytes::from(text), (export, None)));
        Ok::<_, keystead_service::Error>(part)
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format.media_type()))
        .insert_header((CONTENT_DISPOSITION, format.file_name()))
        .streaming(parts))
}

pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![endpoint::<__path_list>(web::to(list)), endpoint::<__path_export>(web::to(export))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_ends_where_it_should() {
        for (text, cell) in [
            ("curl/8", "curl/8"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
        ] {
            assert_eq!(quoted(text), cell);
        }
    }
}
