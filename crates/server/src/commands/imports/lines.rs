//! The lines of a file, none longer than is good.

use std::io::{self, BufRead, Read as _};

/// The most bytes that a line may have.
const MAX_BYTES: usize = 64 * 1024;
/// What some programs begin a file with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Lines with their numbers, from 1 on.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
}

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn of(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next line, of which no more is kept in memory than it may have.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        let mut line = Vec::new();
        if self.input.by_ref().take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > MAX_BYTES {
            self.input.skip_until(b'\n')?;
            return Ok(Some((self.number, Line::TooLong)));
        }
        if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some((self.number, Line::Whole(line))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

    use super::*;

    fn all(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::of(text);
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            all.push(line);
            assert_eq!(number, all.len() as u64);
        }
        all
    }

    #[test]
    fn lines_are_taken_apart() {
        let line = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(all(b""), []);
        assert_eq!(all(b"a\n\nb"), [line("a"), line(""), line("b")]);
        assert_eq!(all("\u{feff}a\n\u{feff}b\n".as_bytes()), [line("a"), line("\u{feff}b")]);
    }

    #[test]
    fn one_that_is_too_long_does_not_take_the_next_along() {
        let most = "x".repeat(MAX_BYTES);
        let text = format!("{most}\n{most}x\n{most}xyz\nnext\n{most}x");
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            all(text.as_bytes()),
            [whole(&most), Line::TooLong, Line::TooLong, whole("next"), Line::TooLong]
        );
    }
}
