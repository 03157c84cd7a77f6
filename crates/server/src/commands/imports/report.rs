//! What became of the lines of a file.

use serde::Serialize;

use super::members::Refusal;
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Default, Serialize)]
pub(super) struct Report {
    /// How many lines were brought in.
    accepted: u64,
    /// How many were there already, and which.
    exists: u64,
    exists_lines: Vec<Range>,
    /// How many were refused, and why.
    refused: u64,
    refusals: Vec<LineRefused>,
}

/// Lines one after the other, both ends included.
#[derive(Serialize)]
struct Range {
    first: u64,
    last: u64,
}

#[derive(Serialize)]
struct LineRefused {
    line: u64,
    field: Option<String>,
    reason: String,
}

impl Report {
    pub(super) const fn accepted(&mut self) {
        self.accepted += 1;
    }

    pub(super) fn exists(&mut self, line: u64) {
        self.exists += 1;
        match self.exists_lines.last_mut() {
            Some(range) if range.last + 1 == line => range.last = line,
            _ => self.exists_lines.push(Range { first: line, last: line }),
        }
    }

    pub(super) fn refused(&mut self, line: u64, refusals: Vec<Refusal>) {
        self.refused += 1;
        let refusals = refusals.into_iter();
        self.refusals.extend(refusals.map(|Refusal { field, reason }| LineRefused { line, field, reason }));
    }

    /// Prints it, whatever ended the import; the failure that it ends with.
    pub(super) fn print(mut self, format: Format, done: Result<(), Failure>) -> Result<(), Failure> {
        // A batch is stored after the lines in it that were refused at once.
        self.refusals.sort_by_key(|refused| refused.line);
        match format {
            Format::Json => output::json(&self)?,
            Format::Text => output::text(&self.to_text())?,
        }
        match done {
            Err(failure) => Err(Failure::new(format!(
                "{failure}; what is reported was done, and the same file can be imported again"
            ))),
            Ok(()) if self.refused > 0 => Err(Failure::new(format!(
                "{} of {} lines were refused; the others are in",
                self.refused,
                self.refused + self.accepted + self.exists
            ))),
            Ok(()) => Ok(()),
        }
    }

    fn to_text(&self) -> String {
        let refusals = self.refusals.iter().map(|LineRefused { line, field, reason }| match field {
            Some(field) => format!("line {line}: {field}: {reason}\n"),
            None => format!("line {line}: {reason}\n"),
        });
        let mut text: String = refusals.collect();
        let ranges = self.exists_lines.iter().map(|Range { first, last }| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        });
        let lines = if self.exists == 0 {
            String::new()
        } else {
            format!(" (lines {})", ranges.collect::<Vec<_>>().join(", "))
        };
        text.push_str(&format!(
            "accepted       {}\nalready there  {}{lines}\nrefused        {}\n",
            self.accepted, self.exists, self.refused
        ));
        text
    }
}
