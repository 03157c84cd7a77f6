//! How long a server takes until it answers, and how much memory it then has.

use std::thread;
use std::time::Duration;

use crate::deployment::Deployment;
use crate::failure::Result;
use crate::http_rows::Sample;
use crate::server::{Binary, Server};

/// How long a server is left alone before it counts as idle.
const IDLE: Duration = Duration::from_secs(1);

/// How often a start is timed in one round: it takes tens of milliseconds, and varies by a few.
const STARTS: usize = 5;

/// Milliseconds to the first 200 on the deployment's database, the median of some starts, and MiB of memory
/// while idle after the last of them.
pub(crate) fn existing(binary: &Binary, deployment: &Deployment) -> Result<(Sample, Sample)> {
    let start = || Server::start(binary, &deployment.database.url(), deployment.database.folder());
    let mut firsts = Vec::with_capacity(STARTS);
    for _ in 1..STARTS {
        firsts.push(start()?.first_200);
    }
    let server = start()?;
    firsts.push(server.first_200);
    firsts.sort_unstable();
    let first_200 = in_milliseconds(firsts.get(STARTS / 2).copied().unwrap_or_default());
    thread::sleep(IDLE);
    Ok((first_200, Sample { reference: Some(server.process.resident_mib()?), ..Sample::default() }))
}

/// Milliseconds to the first 200 in an empty folder, on SQLite.
pub(crate) fn empty(binary: &Binary) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("keystead-data/keystead.db");
    let server = Server::start(binary, &format!("sqlite:{}", file.display()), folder.path())?;
    Ok(in_milliseconds(server.first_200))
}

fn in_milliseconds(took: Duration) -> Sample {
    Sample { reference: Some(took.as_secs_f64() * 1e3), ..Sample::default() }
}
