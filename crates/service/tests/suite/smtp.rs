//! The `smtp` transport against servers that misbehave. Against a well-behaved one it is tested with
//! the binary, in `crates/server/tests/suite/smtp.rs`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keystead_crypto::env::SystemEnv;
use keystead_domain::id::MailId;
use keystead_domain::{Secret, Timestamp};
use keystead_service::outbox::{HAND_OVER, OutgoingMail, SendError, Transport};
use keystead_service::smtp::Smtp;

const WRITTEN: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

fn mail() -> OutgoingMail {
    OutgoingMail {
        id: MailId::mint(WRITTEN, &SystemEnv),
        to: "ada@example.com".parse().unwrap(),
        subject: "Hello".to_owned(),
        text: Secret::new("123456\n".to_owned()),
        html: Secret::new("<p>123456</p>\n".to_owned()),
        written_at: WRITTEN,
    }
}

/// A server for one connection, which does as this function; it gives back all that it was told.
fn server(behave: impl FnOnce(&mut Session) + Send + 'static) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        let mut session =
            Session { lines: BufReader::new(stream.try_clone().unwrap()), stream, told: String::new() };
        behave(&mut session);
        session.told
    });
    (port, told)
}

struct Session {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
    told: String,
}

impl Session {
    fn say(&mut self, text: &str) {
        // Whoever has heard enough may be gone.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Reads a line; the empty one at the end.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        // A connection that was reset is at its end too.
        let _ = self.lines.read_line(&mut line);
        self.told.push_str(&line);
        line
    }

    /// Answers commands by their first word, a whole message as `.`, and all others with `250 OK`.
    fn answer(&mut self, answers: &[(&str, &str)]) {
        let of = |word: &str, usual: &str| {
            let answer = answers.iter().find(|(command, _)| *command == word);
            format!("{}\r\n", answer.map_or(usual, |(_, answer)| answer))
        };
        self.say("220 mail.test ESMTP\r\n");
        loop {
            let line = self.hear();
            match line.split_whitespace().next() {
                None => return,
                Some("DATA") => {
                    let answer = of("DATA", "354 go ahead");
                    self.say(&answer);
                    while answer.starts_with("354") && !matches!(self.hear().as_str(), ".\r\n" | "") {}
                    if answer.starts_with("354") {
                        self.say(&of(".", "250 OK"));
                    }
                }
                Some(word) => self.say(&of(word, "250 OK")),
            }
        }
    }
}

fn send(port: u16, login: &str, query: &str) -> Result<(), SendError> {
    let relay = format!("smtp://{login}localhost:{port}{query}").parse().unwrap();
    Smtp::new(relay, "Keystead <no-reply@id.test>".parse().unwrap(), "id.test").unwrap().send(&mail())
}

/// What becomes of a mail to a server with these answers.
fn outcome(answers: &'static [(&str, &str)]) -> Result<(), SendError> {
    let (port, told) = server(|session| session.answer(answers));
    let outcome = send(port, "", "");
    told.join().unwrap();
    outcome
}

#[test]
fn what_is_about_a_mail_and_what_is_not() {
    assert!(outcome(&[]).is_ok());
    for answers in [
        &[("RCPT", "550 5.1.1 <ada@example.com> is nobody here")][..],
        &[("MAIL", "553 5.7.1 <no-reply@id.test> may not send")],
        &[("DATA", "554 5.6.0 no")],
        &[(".", "554 5.7.1 123456 looks like spam")],
    ] {
        assert!(matches!(outcome(answers), Err(SendError::Refused(_))), "{answers:?}");
    }
    for answers in [&[("RCPT", "451 4.7.1 greylisted, ada@example.com")][..], &[(".", "452 4.3.1 full")]] {
        assert!(matches!(outcome(answers), Err(SendError::Deferred(_))), "{answers:?}");
    }
    for answers in [
        &[("EHLO", "554 5.7.1 you are on a list")][..],
        &[("MAIL", "421 4.3.2 closing")],
        &[("RCPT", "what? ada@example.com")],
        &[("RCPT", "2")],
    ] {
        assert!(matches!(outcome(answers), Err(SendError::Away(_))), "{answers:?}");
    }
}

#[test]
fn a_failure_repeats_the_codes_and_nothing_else() {
    for (answers, reason) in [
        (
            &[("RCPT", "550 5.1.1 <ada@example.com>: 123456")],
            "the mail was not taken: the server said 550 5.1.1",
        ),
        (&[("RCPT", "550 ada@example.com 123456")], "the mail was not taken: the server said 550"),
        (&[("RCPT", "550 1.2.ada@example.com")], "the mail was not taken: the server said 550"),
        (&[("RCPT", "ada@example.com")], "the mail was not taken: the server's answer was not understood"),
    ] {
        assert_eq!(outcome(answers).unwrap_err().to_string(), reason);
    }
}

#[test]
fn without_the_starttls_that_is_required_nothing_is_told() {
    // As whoever sits between would have it.
    let (port, told) = server(|session| session.answer(&[("EHLO", "250-mail.test\r\n250 AUTH PLAIN LOGIN")]));
    let refused = send(port, "user:hunter2@", "?tls=required");
    assert!(matches!(refused, Err(SendError::Away(_))), "{refused:?}");
    let told = told.join().unwrap();
    assert!(!told.contains("AUTH") && !told.contains("MAIL"), "{told}");
}

#[test]
fn a_starttls_that_is_refused_is_not_gone_without() {
    let answers =
        &[("EHLO", "250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN"), ("STARTTLS", "454 4.7.0 not now")];
    let (port, told) = server(|session| session.answer(answers));
    assert!(matches!(send(port, "user:hunter2@", "?tls=required"), Err(SendError::Away(_))));
    let told = told.join().unwrap();
    assert!(!told.contains("AUTH") && !told.contains("MAIL"), "{told}");
}

#[test]
fn answers_that_were_added_before_tls_do_not_count() {
    let (port, told) = server(|session| {
        session.say("220 mail.test ESMTP\r\n");
        session.hear();
        session.say("250-mail.test\r\n250 STARTTLS\r\n");
        session.hear();
        // In one piece with the answer, as if it came through TLS later on.
        session.say("220 go ahead\r\n250-mail.test\r\n250 AUTH PLAIN\r\n");
        let mut hello = [0; 5];
        session.lines.read_exact(&mut hello).unwrap();
        assert_eq!(hello[0], 22, "a TLS handshake");
        let mut rest = Vec::new();
        let _ = session.lines.read_to_end(&mut rest);
    });
    let Err(SendError::Away(reason)) = send(port, "user:hunter2@", "?tls=required") else {
        panic!("the mail was sent")
    };
    told.join().unwrap();
    // Had it been kept for later, the handshake would have waited for the server.
    assert!(reason.contains("corrupt message"), "{reason}");
}

#[test]
fn credentials_are_not_sent_to_a_server_that_does_not_ask() {
    let (port, told) = server(|session| session.answer(&[("EHLO", "250-mail.test\r\n250 AUTH GSSAPI")]));
    assert!(matches!(send(port, "user:hunter2@", ""), Err(SendError::Away(_))));
    let told = told.join().unwrap();
    assert!(!told.contains("AUTH") && !told.contains("MAIL"), "{told}");
}

#[test]
fn a_server_that_hangs_is_left_in_time() {
    // One says nothing; the other drips, so that no single read takes long.
    let silent = server(|session| while !session.hear().is_empty() {});
    let dripping = server(|session| {
        session.say("220 mail.test ESMTP\r\n");
        session.hear();
        while session.stream.write_all(b"250-x\r\n").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let began = Instant::now();
    let senders = [silent, dripping].map(|(port, told)| {
        thread::spawn(move || {
            let sent = send(port, "", "");
            told.join().unwrap();
            sent
        })
    });
    for sender in senders {
        let sent = sender.join().unwrap();
        assert!(matches!(&sent, Err(SendError::Away(reason)) if reason.contains("too long")), "{sent:?}");
    }
    assert!(began.elapsed() < HAND_OVER);
}
