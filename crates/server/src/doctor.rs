//! `keystead doctor`: looks at a deployment and says what is wrong with it, and what to do. It
//! changes nothing: it makes no file, migrates nothing and sends nothing.

mod database;
mod files;
mod network;

use serde::Serialize;

use crate::cli::Global;
use crate::config::Config;
use crate::deployment;
use crate::failure::Failure;
use crate::output::{self, Format};

/// What one check found.
#[derive(Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    message: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// How bad it is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// It works, and is perhaps not what is wanted.
    Warn,
    /// It does not work, or is dangerous.
    Fail,
}

fn ok(check: &'static str, message: impl Into<String>) -> Finding {
    Finding { check, status: Status::Ok, message: message.into(), advice: None }
}

fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, status: Status::Warn, message: message.into(), advice: Some(advice.into()) }
}

fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, status: Status::Fail, message: message.into(), advice: Some(advice.into()) }
}

pub(crate) fn run(global: &Global, format: Format) -> Result<(), Failure> {
    let findings = examine(global);
    match format {
        Format::Json => output::json(&findings)?,
        Format::Text => output::text(&render(&findings))?,
    }
    let failed: Vec<_> = findings
        .iter()
        .filter(|finding| finding.status == Status::Fail)
        .map(|finding| finding.check)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("this is wrong: {}", failed.join(", "))))
}

fn examine(global: &Global) -> Vec<Finding> {
    let config = match deployment::load(global, Vec::new()) {
        Ok(loaded) if loaded.warnings.is_empty() => loaded.config,
        Ok(loaded) => {
            let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            let advice = "correct the names, or unset the variables";
            return with(&loaded.config, warn("configuration", warnings.join("; "), advice));
        }
        Err(failure) => {
            let advice = "correct the configuration; nothing else can be looked at before";
            return vec![fail("configuration", failure.to_string(), advice)];
        }
    };
    with(&config, ok("configuration", "can be read"))
}

fn with(config: &Config, configuration: Finding) -> Vec<Finding> {
    let mut findings = vec![configuration];
    findings.extend(network::public_url(config));
    findings.extend(network::client_address(config));
    findings.extend(network::rate_limits(config));
    findings.extend(files::data_dir(config));
    findings.extend(database::examine(config));
    findings.extend(network::mail(config));
    findings
}

/// A line for each finding, and one below it for what to do.
fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, status, message, advice } in findings {
        let status = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        // A message of several lines stays in its column.
        let message = message.replace('\n', &format!("\n{:indent$}", "", indent = width + 8));
        text.push_str(&format!("{status}  {check:width$}  {message}\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("{:indent$}-> {advice}\n", "", indent = width + 8));
        }
    }
    text
}
