//! The examples of the pages about the APIs, run as the pages have them.

use std::process::{Command, Stdio};

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, finish};

const PASSWORD: &str = "correct horse battery staple";

const PAGES: [(&str, &str); 4] = [
    ("scopes-roles-plans", include_str!("../../../../docs/scopes-roles-plans.md")),
    ("pagination", include_str!("../../../../docs/pagination.md")),
    ("idempotency", include_str!("../../../../docs/idempotency.md")),
    ("rate-limits", include_str!("../../../../docs/rate-limits.md")),
];

/// The commands of a page, each with what it says that they print.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let blocks: Vec<_> =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let runs = blocks.windows(2).filter(|pair| pair[0].0 == "sh");
    runs.map(|pair| (pair[0].1, pair[1].1)).collect()
}

/// Whether an answer is what a page shows of it: `…` stands for anything, and members may be left out.
fn is_shown(answer: &Value, shown: &Value) -> bool {
    match (answer, shown) {
        (_, Value::String(text)) if text == "…" => true,
        (Value::Object(answer), Value::Object(shown)) => {
            shown.iter().all(|(name, value)| answer.get(name).is_some_and(|answer| is_shown(answer, value)))
        }
        (Value::Array(answer), Value::Array(shown)) => {
            answer.len() == shown.len() && answer.iter().zip(shown).all(|(one, other)| is_shown(one, other))
        }
        _ => answer == shown,
    }
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line))).collect()
}

both_backends! {
    fn what_the_pages_run_prints_what_they_say(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        let folder = tempfile::tempdir().unwrap();
        let paste = |commands: &str, variables: &[(&str, &str)]| {
            let mut command = Command::new("bash");
            command.args(["-euo", "pipefail", "-s"]).current_dir(folder.path()).env("URL", &server.url);
            command.envs(variables.iter().copied());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            finish(&mut command, commands)
        };
        let body = json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada"});
        let sign_up = format!("curl -sS -f -c cookies.txt \"$URL/api/auth/sign-up/email\" -H 'Content-Type: application/json' -d '{body}'");
        assert_eq!(paste(&sign_up, &[]).code, 0);
        let tenant = host.run(&["tenant", "set-plan", "ada", "studio", "--json"]).json();
        let key = host.run(&["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "CI", "--json"]).json();
        let app = host.run(&["app", "create", "--platform", "--name", "API", "--introspect", "platform", "--json"]).json();
        let text = |of: &Value, member: &str| of[member].as_str().unwrap().to_owned();
        let (org, key) = (text(&tenant, "id"), text(&key, "key"));
        let (client_id, client_secret) = (text(&app, "client_id"), text(&app, "client_secret"));
        let variables = [("ORG", &*org), ("KEY", &key), ("CLIENT_ID", &client_id), ("CLIENT_SECRET", &client_secret)];
        // In this order: what one page makes, the next one finds.
        for (name, page) in PAGES {
            let examples = examples(page);
            assert!(!examples.is_empty(), "{name}");
            for (commands, shown) in examples {
                let output = paste(commands, &variables);
                assert_eq!(output.code, 0, "{name}: {output:?}");
                let (printed, shown) = (parsed(&output.stdout), parsed(shown));
                assert!(is_shown(&json!(printed), &json!(shown)), "{name}: {shown:#?} is shown of {printed:#?}");
            }
        }
    }
}
