//! How long a server takes until it answers, and how much memory it then has.

use std::thread;
use std::time::Duration;

use crate::deployment::Deployment;
use crate::failure::Result;
use crate::http_rows::Sample;
use crate::server::{Binary, Server};

/// How long a server is left alone before it counts as idle.
const IDLE: Duration = Duration::from_secs(1);

/// Milliseconds to the first 200 on the deployment's database, and MiB of memory while idle.
pub(crate) fn existing(binary: &Binary, deployment: &Deployment) -> Result<(Sample, Sample)> {
    let server = Server::start(binary, &deployment.database.url(), deployment.database.folder())?;
    let first_200 = in_milliseconds(server.first_200);
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
