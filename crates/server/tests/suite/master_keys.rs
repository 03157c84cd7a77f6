//! Putting another master key in place, as an operator does it, and in the middle of it a crash.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Server, finish, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";

fn sign_up(server: &Server, app: &(String, String), email: &str) {
    let body = json!({"email": email, "password": PASSWORD});
    assert_eq!(server.post("/v2/auth/signup", Some(&token(server, app)), &body).unwrap().0, 201);
}

fn verify(host: &Host, server: &Server, app: &(String, String), email: &str) -> u16 {
    let mail = host.run(&["mail", "show", "--to", email, "--latest"]).stdout;
    let code =
        mail.split_whitespace().find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit()));
    let body = json!({"email": email, "code": code.unwrap()});
    server.post("/v2/auth/verify-email", Some(&token(server, app)), &body).unwrap().0
}

fn key_files(host: &Host) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(host.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("master.key"))
        .collect();
    names.sort();
    names
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap().to_owned()
}

both_backends! {
    fn a_running_server_goes_on_and_the_next_one_starts(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        sign_up(&server, &app, "ada@example.com");
        let file = host.data_dir().join("master.key");
        let old = fs::read_to_string(&file).unwrap();

        let rotated = host.run(&["master-key", "rotate", "--json"]);
        let new = fs::read_to_string(&file).unwrap();
        assert!(old != new && !rotated.stdout.contains(new.trim()) && !rotated.stderr.contains(new.trim()));
        let rotated = rotated.json();
        let former = PathBuf::from(text(&rotated, "former_key_file"));
        assert_eq!(fs::read_to_string(host.folder().join(&former)).unwrap(), old);
        assert!(former.to_str().unwrap().ends_with(&text(&rotated, "former_master_key_id")));
        for file in [&file, &host.folder().join(&former)] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(key_files(&host).len(), 2);

        // The server that runs reads and writes as before, and so do commands beside it.
        assert_eq!(verify(&host, &server, &app, "ada@example.com"), 200);
        sign_up(&server, &app, "bob@example.com");
        assert_eq!(host.run(&["tenant", "list", "--json"]).json().as_array().unwrap().len(), 1);
        let jwks = server.get("/.well-known/jwks.json").unwrap();
        server.stop();
        let server = host.serve(&[]);
        assert_eq!(server.get("/.well-known/jwks.json").unwrap(), jwks);
        assert_eq!(verify(&host, &server, &app, "bob@example.com"), 200);

        // The old key opens nothing any more.
        let mut command = host.command(&["tenant", "list"]);
        let refused = finish(command.env("KEYSTEAD_MASTER_KEY", old.trim()), "");
        let ids = ["master_key_id", "former_master_key_id"].map(|member| text(&rotated, member));
        assert!(refused.code == 1 && ids.iter().all(|id| refused.stderr.contains(id)), "{refused:?}");

        let twice = host.run(&["master-key", "rotate"]);
        assert!(twice.code == 0 && twice.stdout.contains("former key file"), "{twice:?}");
        assert_eq!(key_files(&host).len(), 3);
        assert!(database.dump("audit_events").matches("master_key.rotated").count() == 2);
    }

    fn a_key_of_the_operators_is_left_to_the_operator(database: TestDatabase) {
        let mut host = Host::new(&database);
        let file = host.folder().join("key");
        fs::write(&file, "5a".repeat(32)).unwrap();
        host.set("KEYSTEAD_MASTER_KEY_FILE", file.to_str().unwrap());
        let app = tenant_with_app(&host, "acme");
        let asked = host.run(&["master-key", "rotate"]);
        assert!(asked.code == 1 && asked.stderr.contains("--new-key-file"), "{asked:?}");

        let new = host.folder().join("new-key");
        let rotated = host.run(&["master-key", "rotate", "--new-key-file", new.to_str().unwrap(), "--json"]).json();
        assert_eq!(fs::read_to_string(&file).unwrap(), "5a".repeat(32), "it is not ours");
        assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(text(&rotated, "next_step").contains("KEYSTEAD_MASTER_KEY_FILE"), "{rotated}");
        assert!(rotated.get("former_key_file").is_none());
        assert_eq!(host.run(&["tenant", "list"]).code, 1);
        host.set("KEYSTEAD_MASTER_KEY_FILE", new.to_str().unwrap());
        token(&host.serve(&[]), &app);
        let same = host.run(&["master-key", "rotate", "--new-key-file", new.to_str().unwrap()]);
        assert!(same.code == 1 && same.stderr.contains("is the present one"), "{same:?}");

        // A key that the operator made, and the present one in a variable.
        let made = host.folder().join("made");
        fs::write(&made, "17".repeat(32)).unwrap();
        host.set("KEYSTEAD_MASTER_KEY", fs::read_to_string(&new).unwrap().trim());
        let rotated = host.run(&["master-key", "rotate", "--new-key-file", made.to_str().unwrap(), "--json"]);
        assert!(!rotated.stdout.contains("1717"), "{rotated:?}");
        assert!(text(&rotated.json(), "next_step").contains("KEYSTEAD_MASTER_KEY "));
        host.set("KEYSTEAD_MASTER_KEY", "17".repeat(32));
        token(&host.serve(&[]), &app);

        let ours = Host::new(&database);
        let useless = ours.run(&["master-key", "rotate", "--new-key-file", "x"]);
        assert!(useless.code == 1 && useless.stderr.contains("leave --new-key-file away"), "{useless:?}");
    }

    fn a_crash_at_any_point_leaves_a_key_that_opens_the_database(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let file = host.data_dir().join("master.key");

        // Between the commit and the renaming: made by hand from what is there after it.
        let old = fs::read_to_string(&file).unwrap();
        let rotated = host.run(&["master-key", "rotate", "--json"]).json();
        let new = fs::read_to_string(&file).unwrap();
        fs::rename(&file, host.data_dir().join(format!("master.key.{}", text(&rotated, "master_key_id")))).unwrap();
        fs::write(&file, &old).unwrap();
        fs::remove_file(host.folder().join(text(&rotated, "former_key_file"))).unwrap();
        token(&host.serve(&[]), &app);
        assert_eq!(fs::read_to_string(&file).unwrap(), new, "put in place");
        assert_eq!(fs::read_to_string(host.folder().join(text(&rotated, "former_key_file"))).unwrap(), old);

        // Before the commit: a key that no database belongs to.
        fs::write(host.data_dir().join("master.key.0123456789abcdef"), "17".repeat(32)).unwrap();
        assert_eq!(host.run(&["tenant", "list"]).code, 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), new);

        // Wherever the process happens to be.
        for delay in (0..24).map(|step| Duration::from_millis(3 * step)) {
            let mut rotation = host.command(&["master-key", "rotate"]).spawn().unwrap();
            thread::sleep(delay);
            let _ = rotation.kill();
            rotation.wait().unwrap();
            let listed = host.run(&["tenant", "list"]);
            assert_eq!(listed.code, 0, "{delay:?}: {listed:?}");
        }
        token(&host.serve(&[]), &app);
    }

    fn of_several_rotations_at_once_each_wins_or_says_why_not(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let children: Vec<_> = (0..4).map(|_| host.command(&["master-key", "rotate", "--json"]).spawn().unwrap()).collect();
        let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        assert!(outputs.iter().any(|output| output.status.success()));
        for output in outputs {
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() || stderr.contains("master key"), "{stderr}");
        }
        token(&host.serve(&[]), &app);
    }
}
