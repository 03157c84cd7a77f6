//! Commands: what they print for people and as JSON, and how they end.

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, finish, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple\n";

both_backends! {
    fn tenants(database: TestDatabase) {
        let host = Host::new(&database);
        let create = ["tenant", "create", "--name", "Acme", "--plan", "studio", "--network-identity", "5Grw"];
        let acme = host.run(&[&create[..], &["--json"]].concat()).json();
        assert!(acme["id"].as_str().unwrap().starts_with("ten_"));
        assert_eq!((&acme["slug"], &acme["plan"], &acme["status"]), (&json!("acme"), &json!("studio"), &json!("active")));
        assert_eq!(acme["entity_hotkey"], "5Grw");
        assert_eq!(host.run(&["tenant", "show", "acme", "--json"]).json(), acme);
        assert_eq!(host.run(&["tenant", "list", "--json"]).json(), json!([acme]));
        let text = host.run(&["tenant", "show", "acme"]).stdout;
        assert!(text.contains("slug") && text.contains("acme"), "{text}");

        let taken = host.run(&["tenant", "create", "--name", "Other", "--slug", "acme", "--json"]);
        assert_eq!((taken.code, taken.stdout.as_str()), (1, ""));
        assert!(taken.stderr.contains("slug exists"), "{}", taken.stderr);
        assert_eq!(host.run(&["tenant", "show", "nobody"]).code, 1);
        for usage in [&["tenant", "create"][..], &["tenant", "create", "--name", "A", "--plan", "gold"], &["tenant", "show", "No Slug"], &["nonsense"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
    }

    fn projects(database: TestDatabase) {
        let host = Host::new(&database);
        let acme = host.run(&["tenant", "create", "--name", "Acme", "--json"]).json();
        host.run(&["tenant", "create", "--name", "Other", "--json"]).json();
        let create = ["project", "create", "--tenant", "acme", "--name", "Moon Base", "--website", "https://moon.example", "--json"];
        let moon = host.run(&create).json();
        let id = moon["id"].as_str().unwrap();
        assert!(id.starts_with("prj_"));
        assert_eq!((&moon["tenant_id"], &moon["slug"], &moon["status"]), (&acme["id"], &json!("moon-base"), &json!("active")));
        assert_eq!(moon["website"], "https://moon.example");
        assert!(moon["created_at"].as_str().unwrap().ends_with('Z') && moon["updated_at"] == moon["created_at"]);
        for name in [id, "moon-base"] {
            assert_eq!(host.run(&["project", "show", "--tenant", "acme", name, "--json"]).json(), moon);
            assert_eq!(host.run(&["project", "show", "--tenant", "other", name]).code, 1, "another tenant's");
            assert_eq!(host.run(&["project", "delete", "--tenant", "other", name]).code, 1, "another tenant's");
        }
        let again = host.run(&create).json();
        assert!(again["slug"].as_str().unwrap().starts_with("moon-base-"), "a derived slug gets a suffix: {again}");
        assert_eq!(host.run(&["project", "list", "--tenant", "acme", "--json"]).json(), json!([moon, again]));
        assert_eq!(host.run(&["project", "list", "--tenant", "other", "--json"]).json(), json!([]));
        let text = host.run(&["project", "list", "--tenant", "acme"]).stdout;
        assert!(text.contains("moon-base") && text.contains("website"), "{text}");

        let update = |more: &[&str]| host.run(&[&["project", "update", "--tenant", "acme", "moon-base", "--json"], more].concat());
        let mars = update(&["--name", "Mars", "--no-website", "--status", "archived"]).json();
        assert_eq!((&mars["id"], &mars["name"], &mars["slug"], &mars["website"], &mars["status"]), (&moon["id"], &json!("Mars"), &json!("moon-base"), &Value::Null, &json!("archived")));
        let taken = update(&["--slug", again["slug"].as_str().unwrap()]);
        assert_eq!((taken.code, taken.stdout.as_str()), (1, ""));
        assert!(taken.stderr.contains("slug exists"), "{}", taken.stderr);
        assert_eq!(update(&["--slug", "mars"]).json()["slug"], "mars");
        assert_eq!(host.run(&["project", "delete", "--tenant", "acme", "mars", "--json"]).json()["id"], moon["id"]);
        assert_eq!(host.run(&["project", "delete", "--tenant", "acme", id]).code, 1);
        assert_eq!(host.run(&["project", "list", "--tenant", "acme", "--json"]).json(), json!([again]));
        assert_eq!(host.run(&["project", "list", "--tenant", "nobody"]).code, 1);
        for usage in [
            &["project"][..],
            &["project", "create", "--tenant", "acme"],
            &["project", "create", "--name", "X"],
            &["project", "create", "--tenant", "acme", "--name", "X", "--website", "moon"],
            &["project", "create", "--tenant", "acme", "--name", "X", "--status", "gone"],
            &["project", "update", "--tenant", "acme", "mars"],
            &["project", "update", "--tenant", "acme", "mars", "--website", "https://a.example", "--no-website"],
            &["project", "show", "--tenant", "acme", "No Slug"],
        ] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
        let events = host.run(&["audit", "export", "--tenant", "acme"]).stdout;
        for action in ["project.created", "project.changed", "project.deleted"] {
            assert!(events.contains(&format!("\"action\":\"{action}\"")), "{action} in {events}");
        }
    }

    fn apps(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let shown = host.run(&["app", "show", &app.0, "--json"]).json();
        assert!(shown["app_id"].as_str().unwrap().starts_with("app_"));
        assert_eq!((&shown["client_id"], &shown["allowed_scopes"]), (&json!(app.0), &json!(["api"])));
        assert!(shown.get("client_secret").is_none(), "shown once");
        assert_eq!(shown["secrets"][0]["last_used_at"], Value::Null);

        let create = ["app", "create", "--platform", "--name", "Own", "--scope", "read", "--scope", "api", "--json"];
        let own = host.run(&create).json();
        assert_eq!((&own["owner"], &own["allowed_scopes"]), (&json!("platform"), &json!(["api", "read"])));
        assert_eq!(host.run(&["app", "list", "--json"]).json().as_array().unwrap().len(), 2);

        // A running server knows at once what a command made.
        let server = host.serve(&[]);
        let late = host.run(&["app", "create", "--tenant", "acme", "--name", "Late", "--json"]).json();
        let text = |member: &str| late[member].as_str().unwrap().to_owned();
        token(&server, &(text("client_id"), text("client_secret")));

        let unknown = host.run(&["app", "create", "--platform", "--name", "X", "--scope", "nonsense"]);
        assert_eq!(unknown.code, 1);
        assert!(unknown.stderr.contains("nonsense"), "{}", unknown.stderr);
        assert_eq!(host.run(&["app", "show", "ksc_unknown"]).code, 1);
        assert_eq!(host.run(&["app", "create", "--name", "X"]).code, 2, "whose?");
        assert_eq!(host.run(&["app", "create", "--platform", "--tenant", "acme", "--name", "X"]).code, 2);
        assert_eq!(host.run(&["app", "create", "--tenant", "nobody", "--name", "X"]).code, 1);
    }

    fn users(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        let create = ["user", "create", "--tenant", "acme", "--email", "ada@example.com", "--password-stdin", "--name", "Ada", "--verified", "--json"];
        let ada = host.run_with(&create, PASSWORD).json();
        assert!(ada["id"].as_str().unwrap().starts_with("usr_"));
        assert_eq!((&ada["email_verified"], &ada["role"], &ada["name"]), (&json!(true), &json!("user"), &json!("Ada")));
        for name in ["ada@example.com", "ADA@example.com", ada["id"].as_str().unwrap()] {
            assert_eq!(host.run(&["user", "show", "--tenant", "acme", name, "--json"]).json(), ada);
        }
        assert_eq!(host.run(&["user", "list", "--tenant", "acme", "--json"]).json(), json!([ada]));
        assert_eq!(host.run(&["user", "list", "--platform", "--json"]).json(), json!([]));
        assert_eq!(host.run(&["user", "show", "--platform", "ada@example.com"]).code, 1);

        assert_eq!(host.run(&["user", "reset-mfa", "--tenant", "acme", "ada@example.com", "--json"]).json(), ada);
        assert_eq!(host.run(&["user", "reset-mfa", "--tenant", "acme", "bob@example.com"]).code, 1);

        let operator = ["user", "create", "--platform", "--email", "op@example.com", "--password-stdin", "--operator", "--json"];
        assert_eq!(host.run_with(&operator, PASSWORD).json()["role"], "operator");

        let again = host.run_with(&create, PASSWORD);
        assert_eq!(again.code, 1);
        assert!(again.stderr.contains("exists"), "{}", again.stderr);
        let mut other = create;
        other[5] = "bob@example.com";
        let weak = host.run_with(&other, "password1234\n");
        assert_eq!(weak.code, 1);
        assert!(weak.stderr.contains("most common") && !weak.stderr.contains("password1234"), "{}", weak.stderr);
        assert_eq!(host.run_with(&other, "").code, 1);
        assert_eq!(host.run(&["user", "create", "--tenant", "acme", "--email", "b@example.com"]).code, 2);
    }

    fn keys(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&[]);
        let body = json!({"email": "ada@example.com", "password": PASSWORD.trim(), "name": "Ada"});
        let (status, _) = server.post("/api/auth/sign-up/email", None, &body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(host.run(&["tenant", "set-plan", "ada", "studio"]).code, 0);
        let create = ["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "CI", "--json"];
        let made = host.run(&create).json();
        let key = made["key"].as_str().unwrap();
        assert!(key.starts_with("ks_live_") && key.starts_with(made["start"].as_str().unwrap()), "{made}");
        assert!(made["id"].as_str().unwrap().starts_with("ak_") && made["tenant_id"].as_str().unwrap().starts_with("ten_"));
        assert!(made["scopes"].as_array().unwrap().contains(&json!("projects:write")), "what an owner may: {made}");
        let ask = |key: &str| server.request("GET", &format!("{}/api/v1/me", server.url), &[("x-api-key", key)], "").0;
        assert_eq!(ask(key), 200, "a running server knows it at once");

        let less = ["--env", "test", "--scope", "user:read", "--scope", "read", "--expires-in", "3600"];
        let test = host.run(&[&create[..], &less[..]].concat()).json();
        assert!(test["key"].as_str().unwrap().starts_with("ks_test_"));
        assert_eq!((&test["scopes"], &test["environment"]), (&json!(["read", "user:read"]), &json!("test")));
        for list in [&["key", "list"][..], &["key", "list", "--tenant", "ada"], &["key", "list", "--email", "ada@example.com"]] {
            let list = host.run(&[list, &["--json"]].concat()).json();
            let list = list.as_array().unwrap();
            assert_eq!(list.len(), 2);
            assert!(list.iter().all(|key| key.get("key").is_none() && key["email"] == "ada@example.com"), "{list:?}");
        }
        let revoked = host.run(&["key", "revoke", made["id"].as_str().unwrap(), "--json"]).json();
        assert_eq!(revoked["id"], made["id"]);
        let again = host.run(&["key", "revoke", made["id"].as_str().unwrap()]);
        assert_eq!(again.code, 1);
        assert_eq!(host.run(&["key", "list", "--json"]).json().as_array().unwrap().len(), 1);

        for refused in [
            &["key", "create", "--tenant", "nobody", "--email", "ada@example.com", "--name", "x"][..],
            &["key", "create", "--tenant", "ada", "--email", "bob@example.com", "--name", "x"],
            &["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "x", "--scope", "moon"],
        ] {
            assert_eq!(host.run(refused).code, 1, "{refused:?}");
        }
        for usage in [
            &["key", "create", "--tenant", "ada", "--email", "ada@example.com"][..],
            &["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "x", "--env", "prod"],
            &["key", "create", "--tenant", "ada", "--email", "ada@example.com", "--name", "x", "--expires-in", "5"],
            &["key", "revoke", "nonsense"],
            &["key", "list", "--tenant", "ada", "--email", "ada@example.com"],
        ] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }

        // Found in any text, without a database; the key itself is not printed.
        let leak = format!("# config\nTOKEN=\"{key}\" \u{e4}{}\nnothing ks_live_\n", test["key"].as_str().unwrap());
        let found = host.run_with(&["key", "check", "-", "--database-url", "sqlite:/nowhere/at/all.db", "--json"], &leak).json();
        assert_eq!((found.as_array().unwrap().len(), &found[0]["line"], &found[0]["column"]), (2, &json!(2), &json!(8)));
        assert_eq!((&found[0]["start"], &found[1]["environment"]), (&made["start"], &json!("test")));
        let text = host.run_with(&["key", "check", "-"], &leak);
        assert!(text.code == 0 && text.stdout.starts_with("2:8: ks_live_") && !text.stdout.contains(key), "{text:?}");
        let other = host.run_with(&["key", "check", "-", "--brand", "acme", "--json"], &leak);
        assert_eq!((other.code, other.stdout.trim()), (1, "[]"));
        assert_eq!(host.run(&["key", "check", "/nowhere"]).code, 1);
        assert_eq!(host.run(&["key", "check", "-", "--brand", "A-B"]).code, 2);
    }

    fn mails(database: TestDatabase) {
        let host = Host::new(&database);
        assert_eq!(host.run(&["mail", "show", "--latest"]).code, 1);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        let token = token(&server, &app);
        for email in ["ada@example.com", "bob@example.com"] {
            let body = json!({"email": email, "password": PASSWORD.trim()});
            assert_eq!(server.post("/v2/auth/signup", Some(&token), &body).unwrap().0, 201);
        }
        let list = host.run(&["mail", "list", "--json"]).json();
        assert_eq!(list.as_array().unwrap().len(), 2);
        assert!(list[0].get("text").is_none());
        let one = host.run(&["mail", "list", "--to", "ADA@example.com", "--json"]).json();
        assert_eq!((one.as_array().unwrap().len(), &one[0]["to"]), (1, &json!("ada@example.com")));
        let text = host.run(&["mail", "show", "--to", "bob@example.com", "--latest"]).stdout;
        assert!(text.starts_with("Your code for acme is\n"), "{text}");
        let newest = host.run(&["mail", "show", "--latest", "--json"]).json();
        assert_eq!(newest["to"], "bob@example.com");
    }

    fn requests(database: TestDatabase) {
        let host = Host::new(&database);
        let server = host.serve(&["--public-url", "https://id.example"]);
        let ids = ["Acme, Inc.", "Other"].map(|company| {
            let body = json!({"company": company, "contact_email": "ada@example.com", "intended_use": "One.\nstatus  approved"});
            let (status, answer) = server.post("/v2/access-requests", None, &body).unwrap();
            assert_eq!((status, &answer["status"]), (202, &json!("pending")));
            answer["request_id"].as_str().unwrap().to_owned()
        });
        let [acme, other] = ids.each_ref().map(String::as_str);
        let listed = host.run(&["request", "list", "--status", "pending", "--json"]).json();
        let shown = host.run(&["request", "show", acme, "--json"]).json();
        assert_eq!((listed.as_array().unwrap().len(), listed.as_array().unwrap().contains(&shown)), (2, true), "{listed}");
        assert_eq!((&shown["company"], &shown["contact_email"]), (&json!("Acme, Inc."), &json!("ada@example.com")));
        assert!(shown.get("tenant").is_none() && shown.get("app").is_none());
        let text = host.run(&["request", "show", acme]).stdout;
        assert!(text.contains("status        pending\n") && !text.contains("\nstatus  approved"), "{text}");

        let public = |arguments: &[&str]| finish(host.command(arguments).env("KEYSTEAD_PUBLIC_URL", "https://id.example"), "");
        let approve = ["request", "approve", acme, "--network-identity", "5Grw", "--scope", "api", "--scope", "read", "--plan", "studio", "--slug", "acme", "--json"];
        let approved = public(&approve);
        assert!(!approved.stdout.contains("secret") && !approved.stdout.contains("/claim/"), "{}", approved.stdout);
        let approved = approved.json();
        assert_eq!((&approved["id"], &approved["status"]), (&json!(acme), &json!("approved")));
        assert_eq!((&approved["tenant"]["slug"], &approved["tenant"]["plan"], &approved["tenant"]["entity_hotkey"]), (&json!("acme"), &json!("studio"), &json!("5Grw")));
        assert_eq!(approved["app"]["allowed_scopes"], json!(["api", "read"]));
        assert_eq!(host.run(&["request", "show", acme, "--json"]).json(), approved);
        assert_eq!(host.run(&["tenant", "show", "acme", "--json"]).json(), approved["tenant"]);
        let client_id = approved["app"]["client_id"].as_str().unwrap();
        assert!(host.run(&["app", "show", client_id, "--json"]).json().get("secrets").is_none());
        let link = || {
            let text = host.run(&["mail", "show", "--to", "ada@example.com", "--latest"]).stdout;
            text.split_whitespace().find(|word| word.starts_with("https://id.example/claim/link_")).unwrap_or_else(|| panic!("{text}")).to_owned()
        };
        let first = link();
        let again = host.run(&approve);
        assert_eq!((again.code, again.stdout.as_str()), (1, ""));
        assert!(again.stderr.contains("approved already"), "{}", again.stderr);
        assert_eq!(public(&["request", "fresh-link", acme, "--json"]).json(), approved);
        assert_ne!(link(), first);

        let rejected = host.run(&["request", "reject", other, "--reason", "We do not know you.", "--json"]).json();
        assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("rejected"), &json!("We do not know you.")));
        let mail = host.run(&["mail", "show", "--latest"]).stdout;
        assert!(mail.contains("We do not know you."), "{mail}");
        assert_eq!(host.run(&["request", "list", "--status", "rejected", "--json"]).json(), json!([rejected]));
        for refused in [&["request", "approve", other][..], &["request", "fresh-link", other], &["request", "show", "req_01h455vb4pex5vsknk084sn02q"]] {
            assert_eq!(host.run(refused).code, 1, "{refused:?}");
        }
        for usage in [&["request", "reject", other][..], &["request", "reject", other, "--reason", " "], &["request", "show", "nonsense"], &["request", "list", "--status", "gone"]] {
            assert_eq!(host.run(usage).code, 2, "{usage:?}");
        }
    }

    fn migrate(database: TestDatabase) {
        let host = Host::new(&database);
        assert_eq!(host.run(&["migrate", "--json"]).json(), json!({"migrations_run": 0}));
        assert!(host.run(&["migrate"]).stdout.contains("up to date"));
        database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
        let older = host.run(&["migrate"]);
        assert_eq!(older.code, 1);
        assert!(older.stderr.contains("newer version"), "{}", older.stderr);
        assert_eq!(host.run(&["serve"]).code, 1, "nor does it serve");
    }
}
