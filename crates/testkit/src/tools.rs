//! Programs of the machine that some tests need and most machines have.

#![expect(clippy::panic, reason = "a test that cannot have its program has to fail, and to say why")]

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Turns "no such program here" from a skip into a failure.
const REQUIRE: &str = "KEYSTEAD_TEST_REQUIRE_TOOLS";

/// The programs of these names, on `PATH` or where Debian puts those for administrators. Where one is
/// missing the test is reported as skipped, past libtest's capturing.
///
/// # Panics
/// When one is required and not there.
pub fn find<const N: usize>(test: &str, names: [&str; N]) -> Option<[PathBuf; N]> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file());
    let found = names.map(|name| find(name).ok_or(name));
    let missing: Vec<_> = found.iter().filter_map(|found| found.as_ref().err().copied()).collect();
    if missing.is_empty() {
        return Some(found.map(Result::unwrap_or_default));
    }
    skip(test, &missing.join(", "));
    None
}

/// Whether this file is there, which whoever installs what a test needs has put there. Where it is missing the
/// test is reported as skipped.
///
/// # Panics
/// When it is required and not there.
pub fn installed(test: &str, file: &Path) -> bool {
    let is_there = file.is_file();
    if !is_there {
        skip(test, &file.display().to_string());
    }
    is_there
}

fn skip(test: &str, missing: &str) {
    if env::var_os(REQUIRE).is_some_and(|value| !value.is_empty()) {
        panic!("{REQUIRE} is set, but there is no {missing}");
    }
    // A closed stderr is no reason for a test to fail.
    let _ = io::stderr().write_all(format!("test … skipped: {test} (missing: {missing})\n").as_bytes());
}

/// A `python3` that has this module: the one on `PATH`, else the machine's own. Where there is none the test is
/// reported as skipped.
///
/// # Panics
/// When one is required and not there.
pub fn python_with(test: &str, module: &str) -> Option<PathBuf> {
    let has_module = |python: &&str| {
        let import = format!("import {module}");
        let run = Command::new(python).args(["-c", &import]).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_module).map(PathBuf::from);
    if found.is_none() {
        skip(test, &format!("python3 with the module {module}"));
    }
    found
}
