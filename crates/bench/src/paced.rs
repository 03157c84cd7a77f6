//! A load at a given rate: requests are sent when their time has come, whether or not the answers to
//! earlier ones are there.
//!
//! Each of some connections has a thread of its own and an equal share of the schedule, so requests are
//! spread evenly. A latency counts from when the request was due, where its connection was still
//! waiting for the answer before: a server that stalls is not asked less. Where the thread was free
//! and only woke up late, that is the client's doing, and the latency counts from when it woke.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::failure::{Failure, Result};
use crate::requests::{Request, WorkingSet};
use crate::statistics::percentile;

/// Connections, each with a thread.
const CONNECTIONS: usize = 32;

/// What it showed, in one go or in several.
#[derive(Default)]
pub(crate) struct Paced {
    /// In milliseconds.
    latencies: Vec<f64>,
    /// In seconds.
    took: f64,
}

impl Paced {
    /// Sends a working set at this rate for a while more, and looks at every answer.
    pub(crate) fn run(&mut self, port: u16, set: &WorkingSet, per_second: f64, seconds: f64) -> Result<()> {
        let began = Instant::now();
        let connections: Vec<Result<Vec<f64>>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|at| scope.spawn(move || connection(port, set, at, per_second, seconds)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|done| done.unwrap_or_else(|_| Err(Failure::new("a client panicked")))).collect()
        });
        self.took += began.elapsed().as_secs_f64();
        for connection in connections {
            self.latencies.extend(connection?);
        }
        Ok(())
    }

    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took
    }

    /// How long this share of the answers took at most, in milliseconds, of several shares.
    pub(crate) fn at<const N: usize>(mut self, shares: [f64; N]) -> Result<[f64; N]> {
        self.latencies.sort_by(f64::total_cmp);
        let mut found = [0.0; N];
        for (place, share) in found.iter_mut().zip(shares) {
            let latency = percentile(&self.latencies, share);
            *place = latency.ok_or_else(|| Failure::new("nothing was asked"))?;
        }
        Ok(found)
    }
}

fn connection(port: u16, set: &WorkingSet, at: usize, per_second: f64, seconds: f64) -> Result<Vec<f64>> {
    let mut client = Client::connect(port)?;
    let between = Duration::from_secs_f64(CONNECTIONS as f64 / per_second);
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds);
    let mut due = began + between.mul_f64(at as f64 / CONNECTIONS as f64);
    let offset = set.requests.len() * at / CONNECTIONS;
    let mut latencies = Vec::new();
    for Request { bytes, marker } in set.requests.iter().cycle().skip(offset) {
        if due >= end {
            break;
        }
        let free = Instant::now();
        if free < due {
            thread::sleep(due - free);
        }
        let counts_from = if free < due { Instant::now() } else { due };
        let answer = client.ask(bytes)?;
        latencies.push(counts_from.elapsed().as_secs_f64() * 1e3);
        if answer.status != 200 || !answer.body.contains(marker) {
            return Err(Failure::new(format!(
                "expected {marker}, and got {} {}",
                answer.status, answer.body
            )));
        }
        due += between;
    }
    Ok(latencies)
}
