//! The harness, for seconds: that it measures, and that it says what it did.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

#[test]
fn a_short_round_ends_in_a_table() {
    let wrk = Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if wrk.is_err() {
        let required = std::env::var_os("KEYSTEAD_TEST_REQUIRE_TOOLS").is_some_and(|value| !value.is_empty());
        assert!(!required, "wrk is not installed, and KEYSTEAD_TEST_REQUIRE_TOOLS is set");
        // To the handle itself: libtest captures what `eprintln!` writes.
        let skipped = "test … skipped: a_short_round_ends_in_a_table (no wrk: install it)";
        let _ = writeln!(io::stderr(), "{skipped}");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_keystead-bench"))
        .args(["--rounds", "1", "--seconds", "0.2"])
        .args(["--rows", "sqlite/token", "--rows", "sqlite/auth-me", "--rows", "sqlite/start"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A debug build keeps no promise; a measurement that was thrown out would be 1.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{stdout}{stderr}");
    for row in
        ["sqlite/token ", "sqlite/auth-me ", "sqlite/auth-me-misses ", "sqlite/start ", "sqlite/start-empty "]
    {
        assert_eq!(
            stdout.lines().filter(|line| line.starts_with(&format!("| {row}"))).count(),
            1,
            "{stdout}{stderr}"
        );
    }
}

#[test]
fn a_row_that_does_not_exist_is_an_error() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_keystead-bench")).args(["--rows", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nonsense"));
}
