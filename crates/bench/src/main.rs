//! `keystead-bench`: what Keystead promises about speed, as a command.
//!
//! It starts release servers on SQLite and PostgreSQL, drives them with wrk in turn with bare handlers
//! on the same machine, and prints one table. `docs/performance.md` says how to read it. What is
//! compared was measured in the same round, within seconds of each other: absolute numbers are the
//! machine's, ratios are Keystead's.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that prints what it measured")]

mod bare;
mod client;
mod deployment;
mod failure;
mod hashing;
mod http_rows;
mod interrupt;
mod load;
mod paced;
mod process;
mod report;
mod requests;
mod rounds;
mod server;
mod starts;
mod statistics;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Measures what Keystead promises about speed.
///
/// Exits with 0 when everything was measured and every promise kept, with 3 when a promise was not
/// kept, and with 1 when something could not be measured: an unexpected answer throws its round out.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Three short rounds: under five minutes
    #[arg(long)]
    quick: bool,
    /// Also on 1,000,000 users, 100,000 sessions and 5,000 tenants, compared with the usual data
    #[arg(long)]
    large: bool,
    /// Only rows whose name (`sqlite/auth-me`) contains this; may come several times
    #[arg(long, value_name = "FILTER")]
    rows: Vec<String>,
    /// How many rounds; medians are shown
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long one load lasts
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Also write the table into this file, between its markers
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the bare handlers; the bench starts this itself
    #[command(hide = true)]
    Bare(bare::Arguments),
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let done = match arguments.command.take() {
        Some(Command::Bare(arguments)) => bare::serve(arguments).map(|()| ExitCode::SUCCESS),
        None => measure(arguments),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("keystead-bench: {failure}");
        ExitCode::FAILURE
    })
}

fn measure(arguments: Arguments) -> Result<ExitCode, Failure> {
    let quick = arguments.quick;
    let plan = rounds::Plan {
        rounds: arguments.rounds.unwrap_or(if quick { 3 } else { 7 }).max(1),
        seconds: arguments.seconds.unwrap_or(if quick { 1.0 } else { 4.0 }).max(0.1),
        large: arguments.large,
        filters: arguments.rows,
    };
    let outcome = rounds::run(&plan)?;
    let table = report::table(&outcome, &plan);
    println!("\n{table}");
    if let Some(file) = arguments.markdown {
        report::write_into(&file, &table)?;
    }
    Ok(if outcome.thrown > 0 {
        eprintln!("keystead-bench: {} measurements were thrown out, see above", outcome.thrown);
        ExitCode::FAILURE
    } else if outcome.lines.iter().any(|line| line.kept == Some(false)) {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}
