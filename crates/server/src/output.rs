//! What commands print: text for people, or exactly one JSON document.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Something that a command shows.
pub(crate) trait Show: Serialize {
    /// Labelled lines for people.
    fn lines(&self) -> Vec<(&'static str, String)>;
}

/// Prints one thing.
pub(crate) fn one(format: Format, item: &impl Show) -> Result<(), Failure> {
    match format {
        Format::Json => json(item),
        Format::Text => text(&aligned(&item.lines())),
    }
}

/// Prints a list: an array, or a paragraph each.
pub(crate) fn list<T: Show>(format: Format, items: &[T]) -> Result<(), Failure> {
    match format {
        Format::Json => json(&items),
        Format::Text => {
            let paragraphs: Vec<_> = items.iter().map(|item| aligned(&item.lines())).collect();
            text(&paragraphs.join("\n"))
        }
    }
}

/// Prints a JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let document = serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string()))?;
    text(&format!("{document}\n"))
}

/// Prints text as it is. That nobody reads it any more (`keystead … | head`) is no failure.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Says on stderr why a command was refused.
pub(crate) fn complain(message: &impl std::fmt::Display) {
    // There is nowhere left to say that stderr is closed.
    let _ = writeln!(io::stderr(), "keystead: {message}");
}

fn aligned(lines: &[(&'static str, String)]) -> String {
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    lines.iter().map(|(label, value)| format!("{label:width$}  {value}\n")).collect()
}
