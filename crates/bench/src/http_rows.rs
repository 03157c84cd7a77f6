//! Rows that are measured by loading a server and the bare handlers in turn.

use std::collections::BTreeMap;

use crate::deployment::Bare;
use crate::failure::{Failure, Result};
use crate::load::{Load, Wrk};
use crate::process::Process;
use crate::requests::{Expected, Sizes, WorkingSet};
use crate::server::{Server, unexpected};

/// What one row showed in one round; what it does not have is absent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) per_second: Option<f64>,
    /// In milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Processor time of the server per request, in microseconds.
    pub(crate) cpu: Option<f64>,
    /// What it is compared with, in the unit of what is compared.
    pub(crate) reference: Option<f64>,
    pub(crate) reference_cpu: Option<f64>,
    pub(crate) ratio: Option<f64>,
}

/// How many answers are looked at before a load.
const LOOKED_AT: usize = 2_000;

/// Loads the bare handlers and then the server with the same requests.
pub(crate) fn beside_bare(
    wrk: &Wrk,
    (bare, expected): (&Bare, Expected),
    server: &Server,
    set: &WorkingSet,
    seconds: f64,
) -> Result<Sample> {
    let sizes = set.check(bare.port, LOOKED_AT, expected)?;
    let (bare, bare_cpu) = loaded(wrk, &bare.process, bare.port, set, seconds, sizes)
        .map_err(|error| Failure::while_doing("the bare handler", error))?;
    let (load, cpu) = server_alone(wrk, server, set, seconds)?;
    Ok(Sample {
        per_second: Some(load.per_second),
        p50: Some(load.p50),
        p99: Some(load.p99),
        cpu: Some(cpu),
        reference: Some(bare.per_second),
        reference_cpu: Some(bare_cpu),
        ratio: Some(load.per_second / bare.per_second),
    })
}

/// Loads a server: what the load showed, and microseconds of processor time per request.
pub(crate) fn server_alone(
    wrk: &Wrk,
    server: &Server,
    set: &WorkingSet,
    seconds: f64,
) -> Result<(Load, f64)> {
    let sizes = set.check(server.port, LOOKED_AT, Expected::Marker)?;
    let before = server.statuses()?;
    let measured = loaded(wrk, &server.process, server.port, set, seconds, sizes)?;
    nothing_unexpected(&before, server)?;
    Ok(measured)
}

/// Fails if the server gave an answer other than 200 since then, as its own figures say.
pub(crate) fn nothing_unexpected(before: &BTreeMap<u16, u64>, server: &Server) -> Result<()> {
    let others = unexpected(before, &server.statuses()?);
    if others.is_empty() { Ok(()) } else { Err(Failure::new(format!("other answers than 200: {others:?}"))) }
}

fn loaded(
    wrk: &Wrk,
    process: &Process,
    port: u16,
    set: &WorkingSet,
    seconds: f64,
    sizes: Sizes,
) -> Result<(Load, f64)> {
    let before = process.cpu_seconds()?;
    let load = wrk.run(port, set, seconds, sizes)?;
    let used = process.cpu_seconds()? - before;
    Ok((load, used * 1e6 / load.requests))
}
