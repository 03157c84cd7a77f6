//! Limits, as an operator sets them and as they outlive a process.

use keystead_testkit::{TestDatabase, both_backends};
use serde_json::json;

use crate::process::{Host, tenant_with_app, token};

/// Two requests of strangers, then none.
const SETTINGS: &str = r#"
trusted_proxies = ["127.0.0.0/8"]
client_ip_header = "X-Forwarded-For"
[rate_limits]
anonymous = "2/15m"
"#;

#[test]
fn the_client_behind_a_trusted_proxy_is_counted() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    std::fs::write(host.folder().join("keystead.toml"), SETTINGS).unwrap();
    let server = host.serve(&[]);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let knock = |forwarded: &str| {
        let request = agent.get(format!("{}/nothing", server.url)).header("x-forwarded-for", forwarded);
        request.call().unwrap().status().as_u16()
    };
    let of_one = ["203.0.113.1", "198.51.100.1, 203.0.113.1", "198.51.100.2, 203.0.113.1"].map(knock);
    assert_eq!(of_one, [404, 404, 429]);
    assert_eq!(knock("203.0.113.2"), 404);
}

both_backends! {
    fn a_delay_after_failures_outlives_the_process(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let mut server = host.serve(&[]);
        let bearer = token(&server, &app);
        let login = json!({"email": "ada@example.com", "password": "wrong"});
        for _ in 0..6 {
            let (status, _) = server.post("/v2/auth/login", Some(&bearer), &login).unwrap();
            assert_eq!(status, 401);
        }
        // The one second that this costs would be over before the next process listens.
        database.execute("UPDATE slowdowns SET next_at = next_at + 60000000");
        server.signal("TERM");
        assert!(server.wait().success());
        let server = host.serve(&[]);
        let (status, body) = server.post("/v2/auth/login", Some(&token(&server, &app)), &login).unwrap();
        assert_eq!((status, &body["code"]), (429, &json!("rate_limited")));
    }
}
