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
