//! Processes that the bench starts, and what Linux tells of them in `/proc` (proc(5)).

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// What `/proc/PID/stat` counts in, on every architecture (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// A process that ends with its handle.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let spawned = command.spawn();
        spawned.map(Self).map_err(|e| Failure::while_doing(&command.get_program().to_string_lossy(), e))
    }

    /// The processor time that it has used so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The second field is the program's name in brackets, and may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        // Fields 14 and 15: utime and stime.
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok((user + system) / TICKS_A_SECOND),
            _ => Err(Failure::new(format!("cannot read the processor time in: {stat}"))),
        }
    }

    /// Its resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse().ok());
        kib.map(|kib: f64| kib / 1024.0).ok_or_else(|| Failure::new(format!("no VmRSS in: {status}")))
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0.id());
        fs::read_to_string(&path).map_err(|error| Failure::while_doing(&path, error))
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // As an operator would; whoever does not listen within five seconds is killed.
        let told = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while told.is_ok() && self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of loopback that nobody has just now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
