//! `keystead audit`.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use keystead_domain::audit::check::{Part, Report};
use keystead_domain::audit::record::StoredEvent;
use keystead_domain::audit::seal::{Mac, Seal};
use keystead_domain::{Owner, Timestamp};
use keystead_service::Caller;
use keystead_service::audit_trail::{self, Exported};
use keystead_storage::audit::Period;
use serde::Serialize;

use super::{Context, owned};
use crate::cli;
use crate::failure::Failure;
use crate::output::{self, Format, Show};

#[derive(Serialize)]
struct ReportView {
    sound: bool,
    seals: u64,
    events: u64,
    removed_ranges: u64,
    altered: u64,
    missing: u64,
    unsealed: u64,
    unaccounted: u64,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    problem: &'static str,
    /// Of what the numbers are: `events` of a process, `seals`, `unnumbered` events, the `end` of the seals.
    of: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    first: i64,
    last: i64,
}

impl From<Report> for ReportView {
    fn from(report: Report) -> Self {
        let sound = report.is_sound();
        let findings = report.findings.into_iter().map(|finding| {
            let (of, process) = match finding.part {
                Part::Events(process) => ("events", Some(process)),
                Part::Seals => ("seals", None),
                Part::Unnumbered => ("unnumbered", None),
                Part::End => ("end", None),
            };
            let (first, last) = (finding.first, finding.last);
            FindingView { problem: finding.problem.as_str(), of, process, first, last }
        });
        Self {
            sound,
            seals: report.seals,
            events: report.events,
            removed_ranges: report.removed_ranges,
            altered: report.altered,
            missing: report.missing,
            unsealed: report.unsealed,
            unaccounted: report.unaccounted,
            findings: findings.collect(),
        }
    }
}

impl Show for ReportView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("events", self.events.to_string()),
            ("seals", self.seals.to_string()),
            ("removed by retention", format!("{} sealed ranges", self.removed_ranges)),
            ("altered", self.altered.to_string()),
            ("missing", self.missing.to_string()),
            ("unsealed", self.unsealed.to_string()),
            ("unaccounted", self.unaccounted.to_string()),
        ];
        lines.extend(self.findings.iter().map(|finding| {
            let FindingView { of, first, last, .. } = finding;
            let process =
                finding.process.as_ref().map(|process| format!(" of {process}")).unwrap_or_default();
            (finding.problem, format!("{of} {first} to {last}{process}"))
        }));
        lines
    }
}

/// A line of an export.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'e> {
    Event {
        id: &'e str,
        owner: &'e str,
        at: String,
        actor_kind: &'e str,
        actor_id: Option<&'e str>,
        action: &'e str,
        target: Option<&'e str>,
        outcome: &'e str,
        ip: Option<&'e str>,
        user_agent: Option<&'e str>,
        process: &'e str,
        number: i64,
        digest: String,
        mac: Option<String>,
    },
    Seal {
        number: i64,
        process: String,
        ordinal: i64,
        first: i64,
        last: i64,
        absent: String,
        sealed_by: &'static str,
        sealed_at: String,
        hash: String,
        previous_of_process: Option<String>,
        previous: Option<String>,
        key_id: &'e str,
        mac: String,
        removed_at: Option<String>,
        removal_mac: Option<String>,
    },
}

impl<'e> From<Exported<'e>> for Line<'e> {
    fn from(exported: Exported<'e>) -> Self {
        match exported {
            Exported::Event(event) => event_line(event),
            Exported::Seal(seal) => seal_line(seal),
        }
    }
}

fn event_line(event: &StoredEvent) -> Line<'_> {
    let record = &event.record;
    Line::Event {
        id: &record.id,
        owner: &record.owner,
        at: Timestamp::from_micros(record.at).to_string(),
        actor_kind: &record.actor_kind,
        actor_id: record.actor_id.as_deref(),
        action: &record.action,
        target: record.target.as_deref(),
        outcome: &record.outcome,
        ip: record.ip.as_deref(),
        user_agent: record.user_agent.as_deref(),
        process: &event.process,
        number: event.number,
        digest: hex(event.digest().as_bytes()),
        mac: event.mac.map(mac),
    }
}

fn seal_line(seal: &Seal) -> Line<'_> {
    Line::Seal {
        number: seal.number,
        process: seal.process.to_string(),
        ordinal: seal.ordinal,
        first: seal.first,
        last: seal.last,
        absent: seal.absent.to_string(),
        sealed_by: seal.by.as_str(),
        sealed_at: seal.at.to_string(),
        hash: hex(&seal.hash),
        previous_of_process: seal.previous_of_process.map(mac),
        previous: seal.previous.map(mac),
        key_id: &seal.key_id,
        mac: mac(seal.mac),
        removed_at: seal.removed.map(|removed| removed.at.to_string()),
        removal_mac: seal.removed.map(|removed| mac(removed.mac)),
    }
}

fn mac(mac: Mac) -> String {
    mac.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn run(context: &Context, command: cli::Audit) -> Result<(), Failure> {
    match command {
        cli::Audit::Verify => verify(context),
        cli::Audit::Export { since, until, tenant, platform, format: cli::ExportFormat::Jsonl } => {
            let of = match (tenant, platform) {
                (None, false) => None,
                (tenant, platform) => {
                    Some(owned::resolve(&context.engine, &cli::Owned { tenant, platform })?)
                }
            };
            export(context, of, Period { since, until })
        }
    }
}

fn verify(context: &Context) -> Result<(), Failure> {
    let report = audit_trail::verify(&context.engine, &Caller::host())?;
    let sound = report.is_sound();
    output::one(context.format, &ReportView::from(report))?;
    if sound { Ok(()) } else { Err(Failure::new("the audit trail was altered, or a part of it is missing")) }
}

fn export(context: &Context, of: Option<Owner>, period: Period) -> Result<(), Failure> {
    let mut printer =
        Printer { out: BufWriter::new(io::stdout().lock()), format: context.format, any: false };
    let mut printed = Ok(());
    audit_trail::export(&context.engine, &Caller::host(), of, period, &mut |exported| {
        printed = printer.line(&Line::from(exported));
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    match printed.and_then(|()| printer.end()) {
        // Nobody reads it any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Prints lines as they come, or as one array.
struct Printer<W: Write> {
    out: W,
    format: Format,
    any: bool,
}

impl<W: Write> Printer<W> {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        if self.format == Format::Json {
            self.out.write_all(if self.any { b",\n" } else { b"[\n" })?;
        }
        self.any = true;
        serde_json::to_writer(&mut self.out, line)?;
        if self.format == Format::Text { self.out.write_all(b"\n") } else { Ok(()) }
    }

    fn end(mut self) -> io::Result<()> {
        if self.format == Format::Json {
            self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" })?;
        }
        self.out.flush()
    }
}
