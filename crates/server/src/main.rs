//! The `keystead` binary: configuration, commands and wiring. What Keystead does is decided in
//! `keystead-service` and below.

mod cli;
mod commands;
pub mod config;
mod demo;
mod deployment;
mod doctor;
mod durable;
mod failure;
mod master_key;
mod output;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}
