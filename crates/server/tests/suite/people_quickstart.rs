//! The quickstart for people and scripts, run as `docs/quickstart-people.md` has it.

use std::process::{Command, Stdio};

use keystead_testkit::{both_backends, tools};

use crate::process::{Host, Output, finish};

/// The block of the page that begins with this comment.
fn block(comment: &str) -> String {
    let page = include_str!("../../../../docs/quickstart-people.md");
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let (_, code) = blocks.into_iter().find(|(_, code)| code.starts_with(comment)).unwrap();
    code.to_owned()
}

/// Runs a block in an empty folder, as it would be pasted.
fn paste(program: &[&str], code: &str, url: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).current_dir(folder.path()).env("URL", url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(&mut command, code)
}

both_backends! {
    fn curl_node_and_python_do_as_the_page_says(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        let curl = paste(&["bash", "-euo", "pipefail", "-s"], &block("# curl"), &server.url);
        assert_eq!(curl.code, 0, "{curl:?}");
        let answers: Vec<serde_json::Value> =
            curl.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [me, by_key, signed_out, still] = &answers[..] else { panic!("{curl:?}") };
        assert_eq!(me["data"]["handle"], "gracehopper");
        assert_eq!((&by_key["data"], &still["data"]), (&me["data"], &me["data"]));
        assert_eq!(signed_out["success"], true);
        assert_eq!(host.run(&["tenant", "set-plan", "gracehopper", "studio"]).code, 0, "the slug is the handle");

        if let Some([node]) = tools::find("the quickstart in Node", ["node"]) {
            let node = paste(&[node.to_str().unwrap(), "--input-type=module", "-"], &block("// node"), &server.url);
            assert_eq!((node.code, &*node.stdout), (0, "katherinejohnson\nkatherine@example.com\n"), "{node:?}");
        }
        if let Some(python) = tools::python_with("the quickstart in Python", "requests") {
            let python = paste(&[python.to_str().unwrap(), "-"], &block("# python"), &server.url);
            assert_eq!((python.code, &*python.stdout), (0, "dorothyvaughan\ndorothy@example.com\n"), "{python:?}");
        }
    }
}
