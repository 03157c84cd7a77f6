//! The quickstart, pasted into a shell as the README has it.

use std::process::{Command, Stdio};

use keystead_testkit::both_backends;

use crate::process::{Host, finish};

/// The README's shell block that begins with the quickstart's first line.
fn readme_block() -> String {
    let readme = include_str!("../../../../README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut quickstart = blocks.filter(|block| block.starts_with("# The app exchanges its credentials"));
    quickstart.next().unwrap().to_owned()
}

both_backends! {
    fn the_readmes_quickstart_leads_to_a_signed_in_end_user(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&["--demo"]);
        let exports: Vec<_> = server.banner.lines().filter(|line| line.starts_with("export ")).collect();
        assert!(server.banner.contains(readme_block().trim_end()), "what is printed is what the README has");
        let script = format!("set -euo pipefail\n{}\n{}", exports.join("\n"), readme_block());
        let mut shell = Command::new("bash");
        shell.arg("-s").current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = finish(&mut shell, &script);
        assert_eq!(output.code, 0, "{output:?}");
        let answers: Vec<serde_json::Value> =
            output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [app, signed_up, verified, me] = &answers[..] else { panic!("{output:?}") };
        assert_eq!((&app["slug"], &me["app_id"]), (&"demo".into(), &app["app_id"]));
        assert_eq!((&me["email"], &me["email_verified"]), (&"ada@example.com".into(), &true.into()));
        assert!(signed_up["user_id"] == me["user_id"] && verified["user_id"] == me["user_id"]);
    }

    fn the_demo_is_made_once(database: TestDatabase) {
        let host = Host::new(&database);
        let first = host.serve(&["--demo"]).banner.clone();
        assert!(first.contains("export CLIENT_SECRET=kss_"));
        let second = host.serve(&["--demo"]).banner.clone();
        assert!(second.contains("exists already") && !second.contains("kss_"), "{second}");
        let tenants = host.run(&["tenant", "list", "--json"]).json();
        assert_eq!(tenants.as_array().unwrap().len(), 1);
    }

    fn the_demo_user_can_sign_in(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&["--demo"]);
        let exported = |name: &str| {
            let prefix = format!("export {name}=");
            server.banner.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
        };
        let token = crate::process::token(&server, &(exported("CLIENT_ID"), exported("CLIENT_SECRET")));
        let login = serde_json::json!({"email": exported("DEMO_EMAIL"), "password": exported("DEMO_PASSWORD")});
        assert_eq!(server.post("/v2/auth/login", Some(&token), &login).unwrap().0, 200);
    }
}
