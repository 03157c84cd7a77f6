//! Starting on nothing, stopping cleanly, and refusing to start on the wrong thing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use keystead_testkit::{TestDatabase, both_backends};

use crate::process::{Host, tenant_with_app, token};

#[test]
fn an_empty_folder_is_all_that_it_takes() {
    let database = TestDatabase::sqlite();
    let host = Host::new(&database);
    let mut command = host.command(&["--json", "tenant", "list"]);
    command.env_remove("KEYSTEAD_DATABASE_URL");
    assert_eq!(crate::process::finish(&mut command, "").code, 0);
    let mode =
        |name: &str| std::fs::metadata(host.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("master.key"), mode("keystead.db")], [0o700, 0o600, 0o600]);
}

both_backends! {
    fn a_request_in_flight_is_finished_before_the_server_stops(database: TestDatabase) {
        let host = Host::new(&database);
        let app = tenant_with_app(&host, "acme");
        let mut server = host.serve(&[]);
        let token = token(&server, &app);
        let address = server.url.strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = r#"{"email":"ada@example.com","password":"correct horse battery staple"}"#;
        let head = format!(
            "POST /v2/auth/signup HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let (first, second) = body.split_at(10);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(200));
        server.signal("TERM");
        thread::sleep(Duration::from_millis(200));
        stream.write_all(second.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(server.wait().success());
    }

    fn a_missing_or_wrong_master_key_is_said_clearly(database: TestDatabase) {
        let host = Host::new(&database);
        tenant_with_app(&host, "acme");
        let key = host.data_dir().join("master.key");
        let kept = std::fs::read_to_string(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        let missing = host.run(&["serve"]);
        assert_eq!(missing.code, 1);
        assert!(missing.stderr.contains("belongs to the master key"), "{}", missing.stderr);
        assert!(!key.exists(), "none is made for a database that has one");

        std::fs::write(&key, "17".repeat(32)).unwrap();
        let wrong = host.run(&["tenant", "list"]);
        assert_eq!(wrong.code, 1);
        assert!(wrong.stderr.contains("belongs to the master key"), "{}", wrong.stderr);
        std::fs::write(&key, "no key").unwrap();
        let broken = host.run(&["tenant", "list"]);
        assert!(broken.code == 1 && !broken.stderr.contains("no key"), "{broken:?}");

        // Another folder can be given the key by the environment.
        let elsewhere = Host::new(&database);
        let mut command = elsewhere.command(&["tenant", "list", "--json"]);
        command.env("KEYSTEAD_MASTER_KEY", kept.trim());
        assert_eq!(crate::process::finish(&mut command, "").json().as_array().unwrap().len(), 1);
        let file = elsewhere.folder().join("key");
        std::fs::write(&file, &kept).unwrap();
        let mut command = elsewhere.command(&["tenant", "list", "--json"]);
        command.env("KEYSTEAD_MASTER_KEY_FILE", &file);
        assert_eq!(crate::process::finish(&mut command, "").json().as_array().unwrap().len(), 1);
    }
}
