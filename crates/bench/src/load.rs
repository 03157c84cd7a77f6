//! The load generator: wrk, with a script that sends a working set.
//!
//! wrk is closed-loop: each of its connections sends a request when the answer to the one before is
//! there. So its latencies are those of a server that is always busy, and not of one that is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::requests::{Sizes, WorkingSet};

/// Connections that are kept alive.
const CONNECTIONS: usize = 32;
/// How much the sizes of answers may differ from those that were looked at: what is left of a quota
/// has more or fewer digits.
const SLACK: usize = 24;

/// An installed wrk, and its script.
pub(crate) struct Wrk {
    script: PathBuf,
    threads: usize,
}

/// What one load showed.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Requests that were answered.
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    /// In milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

#[derive(Deserialize)]
struct Measured {
    requests: u64,
    micros: u64,
    bytes: u64,
    statuses: u64,
    sockets: u64,
    p50: u64,
    p99: u64,
}

impl Wrk {
    /// Finds wrk, and writes its script into this folder.
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        // It prints its version and fails, as it does without an address.
        Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|_| {
            Failure::new("wrk, the load generator, is not installed: apt-get install wrk (package wrk)")
        })?;
        let script = folder.join("load.lua");
        fs::write(&script, include_str!("load.lua"))?;
        // One is always enough to keep one core busy with a server beside it.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { script, threads: (cores / 2).clamp(1, CONNECTIONS) })
    }

    /// Loads a server with a working set, and fails unless every answer was as expected.
    pub(crate) fn run(&self, port: u16, set: &WorkingSet, seconds: f64, sizes: Sizes) -> Result<Load> {
        self.start(port, set, seconds)?.finish(Some(sizes))
    }

    /// The same, beside something else.
    pub(crate) fn start(&self, port: u16, set: &WorkingSet, seconds: f64) -> Result<RunningLoad> {
        interrupt::check()?;
        let (threads, connections) = (self.threads.to_string(), CONNECTIONS.to_string());
        let mut command = Command::new("wrk");
        command
            .args(["-t", &threads, "-c", &connections, "--timeout", "20s"])
            .args(["-d", &format!("{}s", whole_seconds(seconds))])
            .arg("-s")
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{port}/"))
            .arg("--")
            .arg(&set.file)
            .arg(&threads)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(RunningLoad(command.spawn()?))
    }
}

/// wrk knows whole seconds only.
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil().max(1.0) as u64
}

/// A load under way.
pub(crate) struct RunningLoad(Child);

impl RunningLoad {
    /// Waits for its end.
    pub(crate) fn finish(self, sizes: Option<Sizes>) -> Result<Load> {
        let output = self.0.wait_with_output()?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let line = stdout.lines().find_map(|line| line.strip_prefix("measured "));
        let line = line.ok_or_else(|| Failure::new(format!("wrk failed: {stdout}{stderr}")))?;
        interrupt::check()?;
        let measured: Measured = serde_json::from_str(line).map_err(|e| Failure::while_doing("wrk", e))?;
        accept(&measured, sizes)
    }
}

/// Whether all answers were as expected: none of another status, no connection lost, and no answers
/// that are longer or shorter than those that were looked at.
fn accept(measured: &Measured, sizes: Option<Sizes>) -> Result<Load> {
    let Measured { requests, micros, bytes, statuses, sockets, p50, p99 } = *measured;
    if statuses > 0 || sockets > 0 {
        return Err(Failure::new(format!(
            "{statuses} of {requests} answers had another status, and {sockets} were lost"
        )));
    }
    if requests == 0 || micros == 0 {
        return Err(Failure::new("no request was answered"));
    }
    let mean = bytes as f64 / requests as f64;
    if let Some(Sizes { least, most }) = sizes
        && (mean < least.saturating_sub(SLACK) as f64 || mean > (most + SLACK) as f64)
    {
        return Err(Failure::new(format!(
            "answers had {mean:.0} bytes on average, and those looked at {least} to {most}"
        )));
    }
    let requests = requests as f64;
    let milliseconds = |micros: u64| micros as f64 / 1e3;
    Ok(Load {
        requests,
        per_second: requests * 1e6 / micros as f64,
        p50: milliseconds(p50),
        p99: milliseconds(p99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Measured = Measured {
        requests: 100,
        micros: 1_000_000,
        bytes: 50_000,
        statuses: 0,
        sockets: 0,
        p50: 1500,
        p99: 2500,
    };
    const SIZES: Option<Sizes> = Some(Sizes { least: 490, most: 510 });

    #[test]
    fn a_load_of_expected_answers_counts() {
        let load = accept(&GOOD, SIZES).unwrap();
        assert_eq!((load.per_second, load.p50, load.p99), (100.0, 1.5, 2.5));
    }

    #[test]
    fn one_unexpected_answer_throws_it_out() {
        assert!(accept(&Measured { statuses: 1, ..GOOD }, SIZES).is_err());
        assert!(accept(&Measured { sockets: 1, ..GOOD }, SIZES).is_err());
        assert!(accept(&Measured { requests: 0, bytes: 0, ..GOOD }, SIZES).is_err());
        assert!(accept(&Measured { bytes: 30_000, ..GOOD }, SIZES).is_err());
        assert!(accept(&Measured { bytes: 60_000, ..GOOD }, SIZES).is_err());
    }
}
