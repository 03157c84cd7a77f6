//! Mail over SMTP, from the real binary to a real mail server.

use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::smtp::{Certificate, SmtpOptions, SmtpServer, python, skip};
use keystead_testkit::{TestDatabase, both_backends};
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const ADA: &str = "ada@example.com";
const USER: &str = "keystead@mail.test";
const PASSWORD: &str = "hunter 2/é";
/// The two in a URL.
const LOGIN: &str = "keystead%40mail.test:hunter%202%2F%C3%A9";

/// A deployment that mails to this URL and trusts this certificate.
struct Mailing {
    host: Host,
    app: (String, String),
}

impl Mailing {
    fn new(database: &TestDatabase, trusted: &Certificate) -> Self {
        let mut host = Host::new(database);
        host.set("SSL_CERT_FILE", trusted.path().to_str().unwrap());
        host.set("KEYSTEAD_MAIL_FROM", "Bücherei <no-reply@id.example>");
        let app = tenant_with_app(&host, "acme");
        Self { host, app }
    }

    fn serve(&mut self, url: String) -> Server {
        self.host.set("KEYSTEAD_MAIL", url);
        self.host.serve(&[])
    }

    fn sign_up(&self, server: &Server, email: &str) {
        let body = json!({"email": email, "password": "correct horse battery staple"});
        let (status, answer) =
            server.post("/v2/auth/signup", Some(&token(server, &self.app)), &body).unwrap();
        assert_eq!(status, 201, "{answer}");
    }
}

/// What waits is due now, whenever it would have been.
fn hurry(database: &TestDatabase) {
    database.execute("UPDATE outbox SET next_attempt_at = 0 WHERE next_attempt_at IS NOT NULL");
}

/// Hurries until the mail server has seen so many of a kind.
fn hurry_until(database: &TestDatabase, mail_server: &SmtpServer, kind: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while mail_server.seen(kind).len() < count {
        assert!(Instant::now() < deadline, "no {count} of {kind}: {:?}", mail_server.seen(kind));
        hurry(database);
        thread::sleep(Duration::from_millis(200));
    }
    mail_server.seen(kind)
}

fn part<'a>(mail: &'a Value, kind: &str) -> &'a str {
    let parts = mail["parts"].as_array().unwrap();
    parts.iter().find(|part| part[0] == kind).unwrap()[1].as_str().unwrap()
}

fn code(mail: &Value) -> &str {
    let text = part(mail, "text/plain");
    text.split_whitespace().find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())).unwrap()
}

/// Long enough for the worker to come by once more.
fn a_moment() {
    thread::sleep(Duration::from_millis(1500));
}

both_backends! {
    fn a_sign_up_works_through_starttls_and_authentication(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let mail_server = SmtpServer::start(python, &SmtpOptions {
            port: 0, tls: Some((&certificate, "starttls")), login: Some((USER, PASSWORD, "PLAIN")),
        });
        let mut mailing = Mailing::new(&database, &certificate);
        let server = mailing.serve(format!("smtp://{LOGIN}@localhost:{}?tls=required", mail_server.port()));
        mailing.sign_up(&server, ADA);
        let mail = &mail_server.wait_for("mail", 1)[0];
        assert_eq!(mail["encrypted"], true);
        assert_eq!((&mail["sender"], &mail["recipients"]), (&json!("no-reply@id.example"), &json!([ADA])));
        let header = |name: &str| {
            let headers = mail["headers"].as_array().unwrap();
            headers.iter().find(|header| header[0] == name).unwrap()[1].as_str().unwrap().to_owned()
        };
        assert_eq!(header("From"), "Bücherei <no-reply@id.example>");
        assert_eq!(header("Subject"), "Confirm your e-mail address for acme");
        assert!(part(mail, "text/html").contains(code(mail)));
        assert_eq!(mail_server.seen("auth"), [json!({"kind": "auth", "mechanism": "PLAIN", "success": true})]);

        let confirm = json!({"email": ADA, "code": code(mail)});
        let (status, answer) =
            server.post("/v2/auth/verify-email", Some(&token(&server, &mailing.app)), &confirm).unwrap();
        assert_eq!(status, 200, "{answer}");
        let log = server.stop();
        for secret in [ADA, code(mail), "hunter", PASSWORD] {
            assert!(!log.contains(secret), "{log}");
        }
    }

    fn a_mail_arrives_through_implicit_tls(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let mail_server = SmtpServer::start(python, &SmtpOptions {
            port: 0, tls: Some((&certificate, "tls")), login: Some((USER, PASSWORD, "LOGIN")),
        });
        let mut mailing = Mailing::new(&database, &certificate);
        let server = mailing.serve(format!("smtps://{LOGIN}@localhost:{}", mail_server.port()));
        mailing.sign_up(&server, ADA);
        assert_eq!(mail_server.wait_for("mail", 1)[0]["encrypted"], true);
        assert_eq!(mail_server.seen("auth")[0]["mechanism"], "LOGIN");
    }

    fn a_wrong_password_loses_no_mail(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let tls = Some((&certificate, "starttls"));
        let options = SmtpOptions { port: 0, tls, login: Some((USER, "another", "PLAIN")) };
        let mail_server = SmtpServer::start(python, &options);
        let port = mail_server.port();
        let mut mailing = Mailing::new(&database, &certificate);
        let server = mailing.serve(format!("smtp://{LOGIN}@localhost:{port}?tls=required"));
        mailing.sign_up(&server, ADA);
        // More often than a mail that is refused itself is offered.
        let tries = hurry_until(&database, &mail_server, "auth", 6);
        assert!(tries.iter().all(|tried| tried["success"] == false));
        assert!(mail_server.seen("mail").is_empty());

        drop(mail_server);
        let options = SmtpOptions { port, tls, login: Some((USER, PASSWORD, "PLAIN")) };
        let mail_server = SmtpServer::start(python, &options);
        let mails = hurry_until(&database, &mail_server, "mail", 1);
        assert_eq!(mails[0]["recipients"], json!([ADA]));
        let log = server.stop();
        assert!(log.contains("signing in failed: the server said 535 5.7.8"), "{log}");
        assert!(!log.contains(ADA) && !log.contains("hunter"), "{log}");
    }

    fn no_mail_goes_to_a_server_whose_certificate_nobody_trusts(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let [certificate, other] = ["mail", "other"].map(|name| Certificate::make(database.folder(), name));
        let mut mailing = Mailing::new(&database, &other);
        for (mode, scheme, query) in [("starttls", "smtp", "?tls=required"), ("tls", "smtps", "")] {
            let login = Some((USER, PASSWORD, "PLAIN"));
            let mail_server =
                SmtpServer::start(python, &SmtpOptions { port: 0, tls: Some((&certificate, mode)), login });
            let server = mailing.serve(format!("{scheme}://{LOGIN}@localhost:{}{query}", mail_server.port()));
            if mode == "starttls" {
                mailing.sign_up(&server, ADA);
            }
            hurry(&database);
            server.wait_for_log("invalid peer certificate");
            let log = server.stop();
            assert!(log.contains("will be tried again") && !log.contains(ADA), "{log}");
            assert!(mail_server.seen("auth").is_empty() && mail_server.seen("mail").is_empty());
        }
    }

    fn no_mail_goes_to_a_server_of_another_name(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let mail_server = SmtpServer::start(python, &SmtpOptions {
            port: 0, tls: Some((&certificate, "tls")), login: None,
        });
        let mut mailing = Mailing::new(&database, &certificate);
        // The certificate is for `localhost`.
        let server = mailing.serve(format!("smtps://127.0.0.1:{}", mail_server.port()));
        mailing.sign_up(&server, ADA);
        server.wait_for_log("invalid peer certificate");
        server.stop();
        assert!(mail_server.seen("mail").is_empty());
    }

    fn a_mail_outlives_a_server_that_is_away_and_a_restart_and_arrives_once(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let tls = Some((&certificate, "starttls"));
        let port = SmtpServer::start(python, &SmtpOptions { port: 0, tls, login: None }).port();
        let url = format!("smtp://localhost:{port}?tls=required");
        let mut mailing = Mailing::new(&database, &certificate);
        let server = mailing.serve(url.clone());
        mailing.sign_up(&server, ADA);
        server.wait_for_log("connecting failed");
        let log = server.stop();
        assert!(!log.contains(ADA), "{log}");

        let mail_server = SmtpServer::start(python, &SmtpOptions { port, tls, login: None });
        let server = mailing.serve(url);
        hurry_until(&database, &mail_server, "mail", 1);
        a_moment();
        hurry(&database);
        a_moment();
        assert_eq!(mail_server.seen("mail").len(), 1);
        server.stop();
    }

    fn a_refused_mail_holds_up_no_other(database: TestDatabase) {
        let Some(python) = python() else { return skip(module_path!()) };
        let certificate = Certificate::make(database.folder(), "mail");
        let mail_server = SmtpServer::start(python, &SmtpOptions { port: 0, tls: None, login: None });
        let mut mailing = Mailing::new(&database, &certificate);
        let server = mailing.serve(format!("smtp://127.0.0.1:{}", mail_server.port()));
        mailing.sign_up(&server, "refused@example.com");
        mail_server.wait_for("recipient", 1);
        mailing.sign_up(&server, ADA);
        let mail = &mail_server.wait_for("mail", 1)[0];
        assert_eq!((&mail["recipients"], &mail["encrypted"]), (&json!([ADA]), &json!(false)));
        // Five times, and once it was Ada.
        hurry_until(&database, &mail_server, "recipient", 6);
        a_moment();
        hurry(&database);
        a_moment();
        assert_eq!(mail_server.seen("recipient").len(), 6, "it was given up");
        let log = server.stop();
        assert!(log.contains("the server said 550 5.1.1") && log.contains("is given up"), "{log}");
        assert!(!log.contains("refused@"), "{log}");
    }
}

#[test]
fn commands_say_that_they_read_files_only() {
    let database = TestDatabase::sqlite();
    let mut host = Host::new(&database);
    host.set("KEYSTEAD_MAIL", "smtps://u:hunter2@mail.example.com");
    for command in [["mail", "list"], ["mail", "show"]] {
        let output = host.run(&command);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains("smtps://u:***@mail.example.com:465"), "{output:?}");
        assert!(output.stderr.contains("`file` transport only"), "{output:?}");
    }
}

#[test]
fn mail_in_clear_stays_on_this_machine() {
    let database = TestDatabase::sqlite();
    let mut host = Host::new(&database);
    for url in ["smtp://u:hunter2@mail.example.com?tls=off", "smtp://u:hunter2@192.0.2.1:25?tls=off"] {
        host.set("KEYSTEAD_MAIL", url);
        for command in [&["config", "show"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = host.run(command);
            assert_eq!(output.code, 1, "{output:?}");
            assert!(output.stderr.contains("`mail` (environment KEYSTEAD_MAIL)"), "{output:?}");
            assert!(!output.stderr.contains("hunter2"), "{output:?}");
        }
    }
    host.set("KEYSTEAD_MAIL", "smtp://u:hunter2@mail.example.com");
    let output = host.run(&["config", "show"]);
    assert!(output.stdout.contains("smtp://u:***@mail.example.com:587?tls=required"), "{output:?}");
}
