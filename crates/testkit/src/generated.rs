//! Files that are made from the code, in part or as a whole, and reviewed as what they are.
//!
//! A test makes the text anew and compares. With [`UPDATE`] set it writes the file instead; look at
//! the difference before you commit it.

#![expect(clippy::panic, reason = "a file that is not as it should be fails its test")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that has the files written anew.
pub const UPDATE: &str = "KEYSTEAD_TEST_UPDATE_SNAPSHOTS";

/// Checks a part of a document of this repository: what stands between the lines
/// `<!-- generated: NAME -->` and `<!-- end: NAME -->`. All parts of a document are checked by one
/// call, since each would write the whole of it.
#[track_caller]
pub fn check_parts(document: &str, parts: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let mut text = read(&path);
    for (name, part) in parts {
        text = with_part(&text, name, part).unwrap_or_else(|| panic!("{document} has no part {name}"));
    }
    check_file(path, &text);
}

/// Checks a whole file.
#[track_caller]
pub fn check_file(path: impl Into<PathBuf>, text: &str) {
    let path = path.into();
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    assert!(
        read(&path) == text,
        "{} is not what the code says: run this test with {UPDATE}=1 and review the difference",
        path.display()
    );
}

/// A table of Markdown. Bars in cells are escaped.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line =
        |cells: [String; N]| format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let head = line(head.map(str::to_owned)) + &"|---".repeat(N) + "|\n";
    head + &rows.into_iter().map(line).collect::<String>()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn with_part(text: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("\n<!-- end: {name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", part.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let text = "a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n";
        let replaced = with_part(text, "x", "new\n").unwrap();
        assert_eq!(replaced, "a\n<!-- generated: x -->\n\nnew\n\n<!-- end: x -->\nb\n");
        assert_eq!(with_part(&replaced, "x", "new").unwrap(), replaced);
        assert_eq!(with_part(text, "y", ""), None);
    }

    #[test]
    fn a_table_has_as_many_columns_as_its_head() {
        let text = table(["a", "b"], [["1".to_owned(), "x|y".to_owned()]]);
        assert_eq!(text, "| a | b |\n|---|---|\n| 1 | x\\|y |\n");
    }
}
