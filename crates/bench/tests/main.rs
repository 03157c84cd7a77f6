//! The harness, for seconds: that it measures, and that it says what it did.

use std::process::{Command, Stdio};

use keystead_testkit::tools;

#[test]
fn a_short_round_ends_in_a_table() {
    if tools::find("a_short_round_ends_in_a_table", ["wrk"]).is_none() {
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
