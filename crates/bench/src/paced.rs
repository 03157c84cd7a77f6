//! A load at a given rate: requests are sent when their time has come, whether or not the answers to
//! earlier ones are there.
//!
//! One thread serves all connections and looks at them again and again, so that the client takes little of the
//! machine: a thread for each connection took more than the server, and waited for its own kind.
//! A latency counts from when the request was due, where its connection was still waiting for the answer before: a
//! server that stalls is not asked less. Where the connection was free, that the thread only came by late is the
//! client's doing, and the latency counts from when the request was sent.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Answer;
use crate::failure::{Failure, Result};
use crate::requests::WorkingSet;
use crate::statistics::percentile;

const CONNECTIONS: usize = 32;

/// How long the thread sleeps before it looks at all connections again: about the resolution of the latencies.
const NAP: Duration = Duration::from_micros(50);

/// For how long answers do not count yet: a machine that was idle for a second takes more than a tenth of one until it
/// answers as fast as it can, and was asked for more all the while.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let counts_from = began + WARM_UP;
        let end = counts_from + Duration::from_secs_f64(seconds);
        let between = Duration::from_secs_f64(CONNECTIONS as f64 / per_second);
        let connect =
            |at| Connection::open(port, set, at, began + between.mul_f64(at as f64 / CONNECTIONS as f64));
        let mut connections = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>>>()?;
        while !connections.iter().all(|connection| connection.is_done(end)) {
            for connection in &mut connections {
                let latency = connection.receive(set)?;
                if Instant::now() >= counts_from {
                    self.latencies.extend(latency);
                }
                connection.send(set, between, end)?;
            }
            thread::sleep(NAP);
        }
        self.took += counts_from.elapsed().as_secs_f64();
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

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// Which request is next.
    next: usize,
    /// When it is due.
    due: Instant,
    /// Since when there is none that waits for its answer.
    free_since: Instant,
    waiting: Option<Waiting>,
}

/// A request without an answer.
struct Waiting {
    request: usize,
    sent: Instant,
    /// From when its latency counts.
    since: Instant,
}

impl Connection {
    fn open(port: u16, set: &WorkingSet, at: usize, due: Instant) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let (received, next) = (Vec::with_capacity(4096), set.requests.len() * at / CONNECTIONS);
        Ok(Self { stream, received, next, due, free_since: Instant::now(), waiting: None })
    }

    fn is_done(&self, end: Instant) -> bool {
        self.waiting.is_none() && self.due >= end
    }

    /// Sends the next request if it is due and the connection free.
    fn send(&mut self, set: &WorkingSet, between: Duration, end: Instant) -> Result<()> {
        let now = Instant::now();
        if self.waiting.is_some() || self.due >= end || now < self.due {
            return Ok(());
        }
        let request = set.requests.get(self.next).ok_or_else(|| Failure::new("there is nothing to ask"))?;
        // It fits into what the kernel keeps for a connection on which nothing else waits.
        self.stream.write_all(&request.bytes)?;
        let since = if self.free_since > self.due { self.due } else { now };
        self.waiting = Some(Waiting { request: self.next, sent: now, since });
        self.next = (self.next + 1) % set.requests.len();
        self.due += between;
        Ok(())
    }

    /// How long the answer took, in milliseconds, if it came.
    fn receive(&mut self, set: &WorkingSet) -> Result<Option<f64>> {
        let Some(Waiting { request, sent, since }) = &self.waiting else { return Ok(None) };
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(Failure::new("the server closed the connection")),
            Ok(read) => self.received.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && sent.elapsed() < PATIENCE => {
                return Ok(None);
            }
            Err(error) => return Err(Failure::while_doing("an answer", error)),
        }
        let Some(answer) = Answer::read(&self.received)? else { return Ok(None) };
        let now = Instant::now();
        let marker = set.requests.get(*request).map_or("", |request| &request.marker);
        if answer.status != 200 || !answer.body.contains(marker) {
            return Err(Failure::new(format!(
                "expected {marker}, and got {} {}",
                answer.status, answer.body
            )));
        }
        let latency = (now - *since).as_secs_f64() * 1e3;
        self.received.clear();
        (self.waiting, self.free_since) = (None, now);
        Ok(Some(latency))
    }
}
