//! The order of things: what is prepared, what each round measures, and what is kept of it.

use std::collections::BTreeMap;
use std::time::Duration;

use keystead_testkit::scale::Scale;
use keystead_testkit::{TestDatabase, postgres};

use crate::deployment::{Deployment, LARGE, USUAL, progress};
use crate::failure::{Failure, Result};
use crate::http_rows::{Sample, beside_bare, nothing_unexpected, server_alone};
use crate::load::Wrk;
use crate::paced::Paced;
use crate::report::{Line, line};
use crate::requests::Expected;
use crate::server::{Binary, HASHING_THREADS};
use crate::writes::Writes;
use crate::{hashing, interrupt, starts};

/// What to do.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// How long one load lasts.
    pub(crate) seconds: f64,
    pub(crate) large: bool,
    /// Parts of the names of the rows to measure; empty for all.
    pub(crate) filters: Vec<String>,
}

impl Plan {
    fn wants(&self, row: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| row.contains(filter.as_str()))
    }
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) lines: Vec<Line>,
    /// How many measurements were thrown out.
    pub(crate) thrown: usize,
    /// Whether the server has a cache, without which hits are misses.
    pub(crate) has_cache: bool,
}

/// The samples of each row, with the rounds that they are from.
#[derive(Default)]
pub(crate) struct Samples {
    /// The rows in the order in which they were first measured.
    order: Vec<String>,
    by_row: BTreeMap<String, Vec<(usize, Sample)>>,
    thrown: usize,
}

impl Samples {
    /// Keeps what was measured, or says loudly why it was not.
    fn keep(&mut self, row: &str, round: usize, measured: Result<Sample>) -> Result<Option<Sample>> {
        interrupt::check()?;
        match measured {
            Ok(sample) => {
                if !self.by_row.contains_key(row) {
                    self.order.push(row.to_owned());
                }
                self.by_row.entry(row.to_owned()).or_default().push((round, sample));
                Ok(Some(sample))
            }
            Err(failure) => {
                progress(&format!("!!! round {round} of {row} is THROWN OUT: {failure}"));
                self.thrown += 1;
                Ok(None)
            }
        }
    }

    pub(crate) fn of(&self, row: &str) -> &[(usize, Sample)] {
        self.by_row.get(row).map_or(&[], Vec::as_slice)
    }
}

/// Prepares all that the plan wants, measures it round by round, and stops everything.
pub(crate) fn run(plan: &Plan) -> Result<Outcome> {
    interrupt::listen()?;
    let wanted = wanted(plan)?;
    let folder = tempfile::tempdir()?;
    let wrk = Wrk::prepare(folder.path())?;
    if cfg!(debug_assertions) {
        progress("this is a debug build: its figures mean nothing");
    }
    let binary = Binary::build()?;
    let cluster = if wanted.iter().any(|(kind, ..)| *kind == "postgresql") {
        let cluster = postgres::durable_cluster().map_err(Failure::new)?;
        Some(cluster.ok_or_else(|| {
            Failure::new("PostgreSQL 15 or later is not installed: apt-get install postgresql")
        })?)
    } else {
        None
    };
    let database = |kind| match &cluster {
        Some(cluster) if kind == "postgresql" => TestDatabase::on(cluster),
        _ => TestDatabase::sqlite(),
    };

    let (mut deployments, mut writes) = (Vec::new(), Vec::new());
    for (kind, what) in wanted {
        match what {
            Wanted::Deployment(suffix, size) => {
                let name = format!("{kind}{suffix}");
                deployments.push(Deployment::prepare(name, &binary, database(kind), size)?);
            }
            Wanted::Writes => writes.push((kind, Writes::prepare(database(kind))?)),
        }
    }

    let mut samples = Samples::default();
    for round in 1..=plan.rounds {
        progress(&format!("round {round} of {}", plan.rounds));
        for deployment in &deployments {
            Round { plan, wrk: &wrk, binary: &binary, deployment, round }.measure(&mut samples)?;
        }
        for (kind, writes) in &writes {
            measure_writes(plan, kind, writes, round, &mut samples)?;
        }
    }
    memory_afterwards(plan, &deployments, &mut samples)?;

    let has_cache = binary.has_cache;
    let lines = samples.order.iter().map(|row| line(row, &samples, has_cache)).collect();
    Ok(Outcome { lines, thrown: samples.thrown, has_cache })
}

/// The rows of a deployment that wrk measures beside the bare handlers.
const HTTP_ROWS: [&str; 9] = [
    "apps-me",
    "auth-me",
    "token",
    "user-me",
    "v1-me",
    "introspect",
    "apps-me-misses",
    "auth-me-misses",
    "token-misses",
];
/// The other rows of a deployment.
const OTHER_ROWS: [&str; 6] = ["sign-in", "calm", "start", "start-empty", "memory-idle", "memory-after"];
/// The rows of durable writes.
const WRITES: [&str; 3] = ["sign-ups", "sessions", "revocations"];

/// What has to be prepared.
enum Wanted {
    Deployment(&'static str, Scale),
    Writes,
}

/// What the plan needs on which database.
fn wanted(plan: &Plan) -> Result<Vec<(&'static str, Wanted)>> {
    let wants = |name: &str, rows: &[&str]| rows.iter().any(|row| plan.wants(&format!("{name}/{row}")));
    let sizes = [("", USUAL), ("-large", LARGE)].into_iter().take(if plan.large { 2 } else { 1 });
    let mut wanted = Vec::new();
    for kind in ["sqlite", "postgresql"] {
        for (suffix, size) in sizes.clone() {
            let name = format!("{kind}{suffix}");
            if wants(&name, &HTTP_ROWS) || wants(&name, &OTHER_ROWS) {
                wanted.push((kind, Wanted::Deployment(suffix, size)));
            }
        }
        if wants(kind, &WRITES) {
            wanted.push((kind, Wanted::Writes));
        }
    }
    if wanted.is_empty() {
        return Err(Failure::new(format!("no row is named like {}", plan.filters.join(" or "))));
    }
    Ok(wanted)
}

/// One round on one deployment.
struct Round<'r> {
    plan: &'r Plan,
    wrk: &'r Wrk,
    binary: &'r Binary,
    deployment: &'r Deployment,
    round: usize,
}

impl Round<'_> {
    fn measure(&self, samples: &mut Samples) -> Result<()> {
        self.deployment.touch();
        for row in HTTP_ROWS {
            self.row(row, samples, || self.http(row))?;
        }
        self.row("sign-in", samples, || self.sign_in())?;
        self.row("calm", samples, || self.calm())?;
        let [start, idle] = ["start", "memory-idle"].map(|row| self.name(row));
        if self.plan.wants(&start) || self.plan.wants(&idle) {
            let measured = starts::existing(self.binary, self.deployment);
            let (start_sample, idle_sample) = match measured {
                Ok((start, idle)) => (Ok(start), Ok(idle)),
                Err(error) => (Err(error), Ok(Sample::default())),
            };
            samples.keep(&start, self.round, start_sample)?;
            if self.deployment.name == "sqlite" {
                samples.keep(&idle, self.round, idle_sample)?;
            }
        }
        if self.deployment.name == "sqlite" {
            self.row("start-empty", samples, || starts::empty(self.binary))?;
        }
        Ok(())
    }

    fn name(&self, row: &str) -> String {
        format!("{}/{row}", self.deployment.name)
    }

    fn row(&self, row: &str, samples: &mut Samples, measure: impl FnOnce() -> Result<Sample>) -> Result<()> {
        let name = self.name(row);
        if self.plan.wants(&name) {
            samples.keep(&name, self.round, measure())?;
        }
        Ok(())
    }

    fn http(&self, row: &str) -> Result<Sample> {
        let Deployment { server, forgetful, bare, selecting, sets, .. } = self.deployment;
        let (bare, selecting) = ((bare, Expected::Status), (selecting, Expected::Marker));
        let (bare, server, set) = match row {
            "apps-me" => (bare, server, &sets.apps_me),
            "auth-me" => (bare, server, &sets.auth_me),
            "user-me" => (bare, server, &sets.user_me),
            "v1-me" => (bare, server, &sets.v1_me),
            "introspect" => (bare, server, &sets.introspect),
            "apps-me-misses" => (selecting, forgetful, &sets.apps_me_misses),
            "auth-me-misses" => (selecting, forgetful, &sets.auth_me_misses),
            "token-misses" => (bare, forgetful, &sets.token_misses),
            _ => (bare, server, &sets.token),
        };
        beside_bare(self.wrk, bare, server, set, self.plan.seconds)
    }

    /// Sign-ins of distinct users, beside raw argon2id on as many threads.
    fn sign_in(&self) -> Result<Sample> {
        let Deployment { server, sets, .. } = self.deployment;
        let raw = hashing::per_second(HASHING_THREADS, self.plan.seconds)?;
        let sizes = sets.sign_ins.check(server.port, 8, Expected::Marker)?;
        let (before, cpu) = (server.statuses()?, server.process.cpu_seconds()?);
        let load = self.wrk.run(server.port, &sets.sign_ins, self.plan.seconds, sizes)?;
        let cpu = server.process.cpu_seconds()? - cpu;
        nothing_unexpected(&before, server)?;
        Ok(Sample {
            per_second: Some(load.per_second),
            p50: Some(load.p50),
            p99: Some(load.p99),
            cpu: Some(cpu * 1e6 / load.requests),
            reference: Some(raw),
            ratio: Some(load.per_second / raw),
            ..Sample::default()
        })
    }

    /// The p99 of `/v2/auth/me` at half of its capacity, while as many people sign in as can, beside
    /// the same without them. Both take turns, second by second: a moment in which the machine does something else
    /// is longer than 99 of 100 answers take, and should not be counted for one of them alone.
    fn calm(&self) -> Result<Sample> {
        let Deployment { server, sets, .. } = self.deployment;
        let seconds = self.plan.seconds;
        let (capacity, _) = server_alone(self.wrk, server, &sets.auth_me, seconds)?;
        let rate = capacity.per_second / 2.0;
        let turns = seconds.max(1.0).round();
        let turn = seconds / turns;
        let (mut quiet, mut busy) = (Paced::default(), Paced::default());
        let before = server.statuses()?;
        for _ in 0..turns as u32 {
            quiet.run(server.port, &sets.auth_me, rate, turn)?;
            let sign_ins = self.wrk.start(server.port, &sets.sign_ins, turn + 1.0)?;
            // Until all who sign in have their connections.
            std::thread::sleep(Duration::from_millis(300));
            let run = busy.run(server.port, &sets.auth_me, rate, turn);
            sign_ins.finish(None)?;
            run?;
            // Until nothing is hashed any more for those who are gone.
            std::thread::sleep(Duration::from_secs(1));
        }
        nothing_unexpected(&before, server)?;
        let per_second = busy.per_second();
        let ([quiet], [p50, p99]) = (quiet.at([0.99])?, busy.at([0.5, 0.99])?);
        Ok(Sample {
            per_second: Some(per_second),
            p50: Some(p50),
            p99: Some(p99),
            reference: Some(quiet),
            ratio: Some(p99 / quiet),
            ..Sample::default()
        })
    }
}

fn measure_writes(
    plan: &Plan,
    kind: &str,
    writes: &Writes,
    round: usize,
    samples: &mut Samples,
) -> Result<()> {
    let [sign_ups, sessions, revocations] = WRITES.map(|row| format!("{kind}/{row}"));
    let single = format!("{kind}/single-commits");
    match writes.round((plan.seconds / 2.0).max(0.2)) {
        Ok(written) => {
            let alone = Sample { per_second: Some(written.single_commits), ..Sample::default() };
            samples.keep(&single, round, Ok(alone))?;
            samples.keep(&sign_ups, round, Ok(written.sign_ups))?;
            samples.keep(&sessions, round, Ok(written.sessions))?;
            samples.keep(&revocations, round, Ok(written.revocations))?;
        }
        Err(failure) => {
            samples.keep(&single, round, Err(failure))?;
        }
    }
    Ok(())
}

/// The memory of the server that answered all this, ten seconds after the last of it.
fn memory_afterwards(plan: &Plan, deployments: &[Deployment], samples: &mut Samples) -> Result<()> {
    let row = "sqlite/memory-after";
    let Some(deployment) = deployments.iter().find(|one| one.name == "sqlite") else { return Ok(()) };
    if !plan.wants(row) {
        return Ok(());
    }
    std::thread::sleep(Duration::from_secs(10));
    let resident = deployment.server.process.resident_mib();
    let sample = resident.map(|mib| Sample { reference: Some(mib), ..Sample::default() });
    samples.keep(row, plan.rounds, sample)?;
    Ok(())
}
