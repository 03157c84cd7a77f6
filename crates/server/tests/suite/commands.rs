//! Commands: what they print for people and as JSON, and how they end.

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, tenant_with_app, token};

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
