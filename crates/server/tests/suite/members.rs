//! `keystead member` and `keystead invite`, and what a running server makes of them.

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Server};

const PASSWORD: &str = "correct horse battery staple";

/// Signs somebody up on a running server: its cookie.
fn sign_up(server: &Server, email: &str, name: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD, "name": name});
    let (status, answer) = server.post("/api/auth/sign-up/email", None, &body).unwrap();
    assert_eq!(status, 200, "{answer}");
    format!("keystead_session={}", answer["token"].as_str().unwrap())
}

fn get(server: &Server, cookie: &str, path: &str) -> (u16, Value) {
    let (status, text) = server.request("GET", &format!("{}{path}", server.url), &[("cookie", cookie)], "");
    (status, serde_json::from_str(&text).unwrap())
}

both_backends! {
    fn members(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        let acme = host.run(&["tenant", "create", "--name", "Acme", "--json"]).json();
        let bob = sign_up(&server, "bob@example.com", "Bob");
        let operator = ["user", "create", "--platform", "--email", "op@example.com", "--password-stdin", "--json"];
        host.run_with(&operator, PASSWORD).json();
        let path = format!("/api/user/organizations/{}", acme["id"].as_str().unwrap());
        assert_eq!(get(&server, &bob, &path).0, 403);

        let add = ["member", "add", "--tenant", "acme", "--email", "BOB@example.com", "--role", "owner", "--json"];
        let member = host.run(&add).json();
        assert!(member["id"].as_str().unwrap().starts_with("mbr_") && member["user_id"].as_str().unwrap().starts_with("usr_"));
        assert_eq!((&member["tenant_id"], &member["email"], &member["name"], &member["role"]), (&acme["id"], &json!("bob@example.com"), &json!("Bob"), &json!("owner")));
        let seen = std::time::Instant::now();
        while get(&server, &bob, &path).0 != 200 {
            assert!(seen.elapsed() < std::time::Duration::from_secs(1), "a running server knows of it within a second");
        }
        let second = host.run(&["member", "add", "--tenant", "acme", "--email", "op@example.com", "--role", "member", "--json"]).json();
        assert_eq!(host.run(&["member", "list", "--tenant", "acme", "--json"]).json(), json!([member, second]));
        let text = host.run(&["member", "list", "--tenant", "acme"]).stdout;
        assert!(text.contains("bob@example.com") && text.contains("owner"), "{text}");

        let again = host.run(&add);
        assert_eq!((again.code, again.stdout.as_str()), (1, ""));
        assert!(again.stderr.contains("member of the organization already"), "{}", again.stderr);
        let remove = |email: &str| host.run(&["member", "remove", "--tenant", "acme", "--email", email, "--json"]);
        let last = remove("bob@example.com");
        assert_eq!(last.code, 1);
        assert!(last.stderr.contains("at least one owner"), "{}", last.stderr);
        assert_eq!(remove("op@example.com").json(), second);
        assert_eq!(remove("op@example.com").code, 1);
        for refused in [["--tenant", "acme", "--email", "nobody@example.com"], ["--tenant", "nowhere", "--email", "bob@example.com"]] {
            assert_eq!(host.run(&[&["member", "add", "--role", "member"][..], &refused].concat()).code, 1, "{refused:?}");
        }
        for usage in [&["member", "add", "--tenant", "acme", "--email", "bob@example.com"][..], &["member", "add", "--tenant", "acme", "--email", "bob@example.com", "--role", "king"], &["member", "list"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
    }

    fn invites(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        let acme = host.run(&["tenant", "create", "--name", "Acme", "--json"]).json();
        let create = ["invite", "create", "--tenant", "acme", "--email", "ivy@example.com", "--role", "owner", "--json"];
        let invite = host.run(&create);
        assert!(!invite.stdout.contains("link_"), "only the mail has the link: {}", invite.stdout);
        let invite = invite.json();
        assert!(invite["id"].as_str().unwrap().starts_with("inv_"));
        assert_eq!((&invite["tenant_id"], &invite["status"], &invite["role"], &invite["inviter_id"]), (&acme["id"], &json!("pending"), &json!("owner"), &Value::Null));
        let patience = std::time::Instant::now();
        let link = loop {
            let mail = host.run(&["mail", "show", "--to", "ivy@example.com", "--latest"]).stdout;
            let link = mail.split_whitespace().find(|word| word.contains("/invite/link_")).map(str::to_owned);
            match link {
                Some(link) => break link,
                None => assert!(patience.elapsed() < std::time::Duration::from_secs(10), "{mail}"),
            }
        };
        let (status, page) = server.request("GET", &format!("{}/invite/{}", server.url, link.rsplit('/').next().unwrap()), &[], "");
        assert_eq!(status, 200);
        assert!(page.contains("Join Acme"), "{page}");
        assert_eq!(host.run(&create).code, 1, "invited already");
        assert_eq!(host.run(&["invite", "list", "--tenant", "acme", "--json"]).json(), json!([invite]));
        let id = invite["id"].as_str().unwrap();
        assert_eq!(host.run(&["invite", "cancel", "--tenant", "acme", id, "--json"]).json()["status"], "cancelled");
        assert_eq!(host.run(&["invite", "cancel", "--tenant", "acme", id]).code, 1);
        assert_eq!(host.run(&["invite", "cancel", "--tenant", "acme", "nonsense"]).code, 2);
        assert!(host.run(&["invite", "list", "--tenant", "acme"]).stdout.contains("cancelled"));
    }
}
