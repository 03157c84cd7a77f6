//! The table: medians of the rounds, and whether they keep what is promised.

use std::fs;
use std::path::Path;

use keystead_crypto::env::SystemEnv;
use keystead_domain::Env as _;

use crate::failure::{Failure, Result};
use crate::http_rows::Sample;
use crate::rounds::{Outcome, Plan, Samples};
use crate::statistics::median;

/// One row of the table.
pub(crate) struct Line {
    row: String,
    value: String,
    latencies: [Option<f64>; 2],
    cpu: Option<f64>,
    compared_with: String,
    ratio: Option<f64>,
    promise: String,
    /// Whether the promise is kept; nothing where none is made.
    pub(crate) kept: Option<bool>,
}

/// The medians of a row.
fn medians(samples: &[(usize, Sample)]) -> Sample {
    let of = |field: fn(&Sample) -> Option<f64>| median(samples.iter().filter_map(|(_, one)| field(one)));
    Sample {
        per_second: of(|one| one.per_second),
        p50: of(|one| one.p50),
        p99: of(|one| one.p99),
        cpu: of(|one| one.cpu),
        reference: of(|one| one.reference),
        reference_cpu: of(|one| one.reference_cpu),
        ratio: of(|one| one.ratio),
    }
}

/// The line of a row, such as `sqlite/auth-me`.
pub(crate) fn line(name: &str, samples: &Samples, has_cache: bool) -> Line {
    let (deployment, row) = name.split_once('/').unwrap_or((name, ""));
    let sample = medians(samples.of(name));
    let mut line = Line {
        row: name.to_owned(),
        value: sample.per_second.map(rate).unwrap_or_default(),
        latencies: [sample.p50, sample.p99],
        cpu: sample.cpu,
        compared_with: String::new(),
        ratio: sample.ratio,
        promise: String::new(),
        kept: None,
    };
    let reference = |unit: fn(f64) -> String| sample.reference.map(unit).unwrap_or_default();
    match row {
        "apps-me" | "auth-me" | "token" => {
            line.compared_with = format!("bare: {}", reference(rate));
            line.at_least(sample.ratio, if row == "token" { 0.8 } else { 0.6 });
        }
        "user-me" | "v1-me" | "introspect" => {
            line.compared_with = format!("bare: {}", reference(rate));
            line.by_key(&sample);
        }
        "token-misses" => line.compared_with = format!("bare: {}", reference(rate)),
        "apps-me-misses" | "auth-me-misses" => {
            line.compared_with = format!("bare with select: {}", reference(rate));
            let hit = medians(samples.of(&format!("{deployment}/{}", row.trim_end_matches("-misses"))));
            let bound = (|| {
                let database = sample.reference_cpu? - hit.reference_cpu?;
                Some(3.0 * hit.cpu? + database.max(0.0))
            })();
            if let (Some(bound), Some(cpu), true) = (bound, sample.cpu, has_cache) {
                line.promise = format!("CPU at most {bound:.0} µs");
                line.kept = Some(cpu <= bound);
            }
        }
        "sign-in" => {
            line.compared_with = format!("raw argon2id: {}", reference(rate));
            line.at_least(sample.ratio, 0.95);
        }
        "calm" => {
            line.compared_with = format!("p99 without sign-ins: {}", reference(milliseconds));
            line.at_most(sample.ratio, 3.0, "");
        }
        "sign-ups" | "sessions" | "revocations" => {
            let of_one = sample.per_second.zip(sample.reference).map(|(many, one)| many / one);
            let of_one = of_one.map(|ratio| format!(", ratio {ratio:.2}")).unwrap_or_default();
            line.compared_with = format!("single commits (one thread: {}{of_one})", reference(rate));
            if deployment == "sqlite" {
                line.at_least(sample.ratio, 2.6);
            }
        }
        "start" => {
            line.value = reference(milliseconds);
            line.at_most(sample.reference, 60.0, " ms");
        }
        "start-empty" => {
            line.value = reference(milliseconds);
            line.at_most(sample.reference, 300.0, " ms");
        }
        "memory-idle" | "memory-after" => {
            line.value = reference(|mib| format!("{mib:.1} MiB"));
            line.at_most(sample.reference, if row == "memory-idle" { 20.0 } else { 64.0 }, " MiB");
        }
        _ => {}
    }
    if let Some(usual) = deployment.strip_suffix("-large") {
        line.as_on_usual_data(row, samples.of(name), samples.of(&format!("{usual}/{row}")));
    }
    line
}

impl Line {
    fn at_least(&mut self, measured: Option<f64>, bound: f64) {
        self.promise = format!("at least {bound}");
        self.kept = measured.map(|measured| measured >= bound);
    }

    /// What is promised of requests with an API key, and of questions about one.
    fn by_key(&mut self, sample: &Sample) {
        self.promise = "at least 0.6, p99 at most 10 ms".to_owned();
        self.kept = sample.ratio.zip(sample.p99).map(|(ratio, p99)| ratio >= 0.6 && p99 <= 10.0);
    }

    fn at_most(&mut self, measured: Option<f64>, bound: f64, unit: &str) {
        self.promise = format!("at most {bound}{unit}");
        self.kept = measured.map(|measured| measured <= bound);
    }

    /// On the large data no row loses more than 15 % of what the usual data gave in the same round.
    fn as_on_usual_data(&mut self, row: &str, large: &[(usize, Sample)], usual: &[(usize, Sample)]) {
        let start = row == "start";
        let value = |one: &Sample| if start { one.reference } else { one.per_second };
        let ratios = large.iter().filter_map(|(round, large)| {
            let (_, usual) = usual.iter().find(|(other, _)| other == round)?;
            Some(value(large)? / value(usual)?)
        });
        // What is promised of the row itself is asked on the usual data.
        (self.promise, self.kept) = (String::new(), None);
        if row == "calm" {
            return;
        }
        if matches!(row, "user-me" | "v1-me" | "introspect") {
            // These promise the same however many keys there are.
            let (sample, ratio) = (medians(large), median(ratios));
            if let Some(ratio) = ratio {
                self.compared_with.push_str(&format!("; {ratio:.2} of the usual data"));
            }
            self.by_key(&sample);
            return;
        }
        let ratio = median(ratios);
        if let Some(ratio) = ratio {
            let separator = if self.compared_with.is_empty() { "" } else { "; " };
            self.compared_with.push_str(&format!("{separator}{ratio:.2} of the usual data"));
        }
        self.promise = if start { "no slower" } else { "at most 15 % lost" }.to_owned();
        // A start of tens of milliseconds varies by a few.
        self.kept = ratio.map(|ratio| if start { ratio <= 1.15 } else { ratio >= 0.85 });
    }
}

fn rate(per_second: f64) -> String {
    format!("{} /s", grouped(per_second))
}

fn milliseconds(number: f64) -> String {
    if number < 10.0 { format!("{number:.2} ms") } else { format!("{number:.0} ms") }
}

/// A whole number with commas: 67,000.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// The table as Markdown, with what it was made of above it.
pub(crate) fn table(outcome: &Outcome, plan: &Plan) -> String {
    let mut text = format!(
        "Medians of {} rounds of {} s on {}, {}.{}{}\n\n",
        plan.rounds,
        plan.seconds,
        machine(),
        SystemEnv.now().to_rfc3339_seconds(),
        if outcome.thrown > 0 {
            format!(" {} measurements were thrown out.", outcome.thrown)
        } else {
            String::new()
        },
        if outcome.has_cache { "" } else { " This version has no cache: hits are misses too." },
    );
    let heads =
        ["row", "measured", "p50", "p99", "CPU per request", "compared with", "ratio", "promised", "kept"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(outcome.lines.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..heads.len()).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        text.push_str(&format!("|{}|\n", padded.collect::<Vec<_>>().join("|")));
        if at == 0 {
            let rules = widths.iter().map(|width| "-".repeat(width + 2));
            text.push_str(&format!("|{}|\n", rules.collect::<Vec<_>>().join("|")));
        }
    }
    text
}

fn cells(line: &Line) -> [String; 9] {
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let [p50, p99] = line.latencies;
    [
        line.row.clone(),
        line.value.clone(),
        or_empty(p50.map(milliseconds)),
        or_empty(p99.map(milliseconds)),
        or_empty(line.cpu.map(|micros| format!("{} µs", grouped(micros)))),
        line.compared_with.clone(),
        or_empty(line.ratio.map(|ratio| format!("{ratio:.2}"))),
        line.promise.clone(),
        line.kept.map_or("", |kept| if kept { "yes" } else { "**no**" }).to_owned(),
    ]
}

/// The machine as far as Linux tells: processor, cores.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(':').nth(1));
    format!("{cores} cores of {}", model.map_or("an unknown processor", str::trim))
}

const BEGIN: &str = "<!-- bench: the table begins -->\n";
const END: &str = "<!-- bench: the table ends -->";

/// Puts the table between the markers of a file.
pub(crate) fn write_into(file: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(file).map_err(|e| Failure::while_doing(&file.to_string_lossy(), e))?;
    let new = between_markers(&text, table)
        .ok_or_else(|| Failure::new(format!("{} has no markers for the table", file.display())))?;
    Ok(fs::write(file, new)?)
}

fn between_markers(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([1.4, 999.5, 67_000.0, 1_234_567.0].map(grouped), ["1", "1,000", "67,000", "1,234,567"]);
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let text = format!("# Head\n\n{BEGIN}old\n{END}\n\nTail\n");
        let new = between_markers(&text, "| new |").unwrap();
        assert_eq!(new, format!("# Head\n\n{BEGIN}\n| new |\n{END}\n\nTail\n"));
        assert_eq!(between_markers(&new, "| new |").unwrap(), new);
        assert!(between_markers("no markers", "| new |").is_none());
    }
}
