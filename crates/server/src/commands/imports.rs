//! `keystead import`: a file with a JSON object a line is brought in, in batches that are stored
//! whole, and what became of each line is told.
//!
//! What a line holds may be secret, and is never repeated: a refusal names the line, the field and
//! the reason.

mod keys;
mod lines;
mod members;
mod report;
mod users;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use self::lines::{Line, Lines};
use self::members::{Members, Refusal};
use self::report::Report;
use super::Context;
use crate::cli;
use crate::failure::Failure;

pub(crate) fn run(context: &Context, command: cli::Import) -> Result<(), Failure> {
    match command {
        cli::Import::Keys { file } => keys::run(context, &file),
        cli::Import::Users { file, directory } => users::run(context, &file, &directory),
    }
}

/// Something that a line describes.
trait Record: Sized {
    /// Reads it. What is wrong with it is left with the members.
    fn read(members: &mut Members) -> Option<Self>;
}

/// What became of a record.
enum Fate {
    Accepted,
    /// It was there already, and was left as it is.
    Exists,
    Refused(Refusal),
}

/// Brings in all lines of a file, at most `batch` in one call of `store`, which stores all that it
/// accepts or, where it fails, nothing. The report holds what was done until then.
fn import<T: Record>(
    file: &Path,
    batch: usize,
    report: &mut Report,
    mut store: impl FnMut(&[T]) -> Result<Vec<Fate>, Failure>,
) -> Result<(), Failure> {
    let mut lines = Lines::of(open(file)?);
    let (mut numbers, mut records) = (Vec::new(), Vec::new());
    loop {
        let line = lines.next().map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let is_last = line.is_none();
        match line.map(|(number, line)| (number, read::<T>(&line))) {
            Some((number, Ok(Some(record)))) => {
                numbers.push(number);
                records.push(record);
            }
            Some((number, Err(refusals))) => report.refused(number, refusals),
            // An empty line, or the end.
            Some((_, Ok(None))) | None => {}
        }
        if records.len() == batch || (is_last && !records.is_empty()) {
            for (number, fate) in numbers.drain(..).zip(store(&records)?) {
                match fate {
                    Fate::Accepted => report.accepted(),
                    Fate::Exists => report.exists(number),
                    Fate::Refused(refusal) => report.refused(number, vec![refusal]),
                }
            }
            records.clear();
        }
        if is_last {
            return Ok(());
        }
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(Failure::new(format!("{}: {error}", file.display()))),
    }
}

/// The record of a line; nothing where the line is empty.
fn read<T: Record>(line: &Line) -> Result<Option<T>, Vec<Refusal>> {
    let text = match line {
        Line::Whole(text) => text.trim_ascii(),
        Line::TooLong => return Err(vec![Refusal::of_line("is longer than 64 KiB")]),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let mut members = Members::parse(text).map_err(|refusal| vec![refusal])?;
    let record = T::read(&mut members);
    let refusals = members.finish();
    if refusals.is_empty() { Ok(record) } else { Err(refusals) }
}
