//! One-time links, against the running server.

use keystead_testkit::both_backends;
use serde_json::json;

use crate::process::{Host, Server, finish, token};

/// Presses the button on the page of a link, as a browser does; the status and the page after it.
fn press(server: &Server, path: &str) -> (u16, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let agent = ureq::Agent::from(agent);
    let mut opened = agent.get(format!("{}{path}", server.url)).call().unwrap();
    assert_eq!(opened.status(), 200);
    let cookie = opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = opened.body_mut().read_to_string().unwrap();
    let (_, rest) = page.split_once(r#"name="form_token" value=""#).unwrap();
    let mut answer = agent
        .post(format!("{}{path}", server.url))
        .header("cookie", cookie)
        .header("origin", &server.url)
        .header("content-type", "application/x-www-form-urlencoded")
        .send(format!("form_token={}", rest.split('"').next().unwrap()))
        .unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

both_backends! {
    fn a_link_leads_to_a_secret_and_neither_is_in_the_log(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve_with(&[], &[("KEYSTEAD_LOG", "trace")]);
        let body = json!({"company": "Acme", "contact_email": "ada@example.com", "intended_use": "To sign in."});
        let (_, answer) = server.post("/v2/access-requests", None, &body).unwrap();
        let id = answer["request_id"].as_str().unwrap();
        // The command is told where the server is, as it would be by a configuration that both read.
        let approve = finish(host.command(&["request", "approve", id]).env("KEYSTEAD_PUBLIC_URL", &server.url), "");
        assert_eq!(approve.code, 0, "{approve:?}");
        let mail = host.run(&["mail", "show", "--to", "ada@example.com", "--latest"]).stdout;
        let link = mail.split_whitespace().find(|word| word.contains("/claim/")).unwrap();
        let link = link.strip_prefix(&server.url).unwrap();

        let (status, page) = press(&server, link);
        assert_eq!(status, 200, "{page}");
        let shown = |term: &str| {
            let (_, rest) = page.split_once(&format!("<dt>{term}</dt><dd><code>")).unwrap();
            rest.split('<').next().unwrap().to_owned()
        };
        let app = (shown("Client id"), shown("Client secret"));
        token(&server, &app);
        assert_eq!(press(&server, link).0, 404);

        let log = server.stop();
        assert!(log.contains("keystead") || log.contains("actix"), "it logs: {log}");
        for secret in [link.rsplit('/').next().unwrap(), &app.1] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}
