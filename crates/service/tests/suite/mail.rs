//! The outbox: sent at least once, sealed until then, erased after.

use std::sync::Mutex;
use std::time::Duration;

use keystead_service::file_outbox::FileOutbox;
use keystead_service::outbox::{OutgoingMail, SendError, Transport, count_waiting};
use keystead_service::worker;
use keystead_testkit::{Keystead, both_backends};

use crate::steps::{ADA, PASSWORD, sign_up};

/// Fails so many times first.
struct Unreliable(Mutex<u32>);

impl Transport for Unreliable {
    fn send(&self, _: &OutgoingMail) -> Result<(), SendError> {
        let mut failures = self.0.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(SendError::Away("the mail server is away".to_owned()))
    }
}

/// Refuses all mails but Ada's.
struct Refusing {
    seen: Mutex<Vec<String>>,
}

impl Transport for Refusing {
    fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        self.seen.lock().unwrap().push(mail.to.to_string());
        match mail.to.as_str() {
            ADA => Ok(()),
            _ => Err(SendError::Refused("the server said 550".to_owned())),
        }
    }
}

/// Nobody there, and how often that was found out.
struct Away(Mutex<u32>);

impl Transport for Away {
    fn send(&self, _: &OutgoingMail) -> Result<(), SendError> {
        *self.0.lock().unwrap() += 1;
        Err(SendError::Away("the mail server is away".to_owned()))
    }
}

both_backends! {
    fn a_refused_mail_is_given_up_and_holds_up_no_other(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let transport = Refusing { seen: Mutex::default() };
        sign_up(&keystead, &app, "eve@example.com", PASSWORD).unwrap();
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        assert_eq!(worker::run_due(&keystead.engine, &transport).unwrap(), 1);
        assert_eq!(*transport.seen.lock().unwrap(), ["eve@example.com", ADA]);
        for minutes in [1, 2, 4, 8] {
            assert_eq!(count_waiting(&database.open()).unwrap(), 1);
            keystead.advance(Duration::from_secs(minutes * 60));
            assert_eq!(worker::run_due(&keystead.engine, &transport).unwrap(), 0);
        }
        assert_eq!(count_waiting(&database.open()).unwrap(), 0);
        keystead.advance(Duration::from_secs(24 * 3600));
        worker::run_due(&keystead.engine, &transport).unwrap();
        assert_eq!(transport.seen.lock().unwrap().len(), 6);
    }

    fn a_mail_that_had_to_wait_is_not_given_up_at_its_first_refusal(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, "eve@example.com", PASSWORD).unwrap();
        let run_hourly = |transport: &dyn Transport, times: u32| {
            for _ in 0..times {
                worker::run_due(&keystead.engine, transport).unwrap();
                keystead.advance(Duration::from_secs(3600));
            }
            count_waiting(&database.open()).unwrap()
        };
        let refusing = Refusing { seen: Mutex::default() };
        assert_eq!(run_hourly(&Away(Mutex::new(0)), 10), 1);
        assert_eq!(run_hourly(&refusing, 4), 1);
        assert_eq!(run_hourly(&Away(Mutex::new(0)), 10), 1);
        assert_eq!(run_hourly(&refusing, 1), 0);
    }

    fn a_mail_that_nobody_takes_for_five_days_is_given_up(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let transport = Away(Mutex::new(0));
        for _ in 0..5 * 24 {
            worker::run_due(&keystead.engine, &transport).unwrap();
            assert_eq!(count_waiting(&database.open()).unwrap(), 1);
            keystead.advance(Duration::from_secs(3600));
        }
        worker::run_due(&keystead.engine, &transport).unwrap();
        assert_eq!(count_waiting(&database.open()).unwrap(), 0);
    }

    fn a_server_that_is_away_is_tried_with_one_mail_and_not_with_all(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        for number in 0..10 {
            sign_up(&keystead, &app, &format!("u{number}@example.com"), PASSWORD).unwrap();
        }
        let transport = Away(Mutex::new(0));
        worker::run_due(&keystead.engine, &transport).unwrap();
        assert_eq!(*transport.0.lock().unwrap(), 1);
        // The others were not claimed either, so they need not wait for a lease to end.
        keystead.deliver();
        assert_eq!(keystead.mailbox.len(), 9);
    }

    fn a_mail_that_was_not_taken_is_sent_again_later(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        let transport = Unreliable(Mutex::new(2));
        let run = || worker::run_due(&keystead.engine, &transport).unwrap();
        assert_eq!([run(), run()], [0, 0], "the second run finds nothing due");
        keystead.advance(Duration::from_secs(5));
        assert_eq!(run(), 0);
        assert_eq!(count_waiting(&database.open()).unwrap(), 1);
        keystead.advance(Duration::from_secs(10));
        assert_eq!(run(), 1);
        assert_eq!(count_waiting(&database.open()).unwrap(), 0);
    }

    fn a_restart_loses_no_mail(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        drop(keystead);
        Keystead::on(&database).code_for(ADA);
    }

    fn the_file_transport_keeps_a_week_of_mails_for_their_owner_alone(database: TestDatabase) {
        use std::os::unix::fs::PermissionsExt;
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        let folder = database.folder().join("outbox");
        let files = FileOutbox::open(&folder, &"Keystead <no-reply@localhost>".parse().unwrap()).unwrap();
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        worker::run_due(&keystead.engine, &files).unwrap();
        let mails = files.list().unwrap();
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, ADA));
        assert!(mails[0].text.contains("Your code for Acme is"));
        assert!(mails[0].html.contains("Your code for Acme is</p>"));
        for entry in std::fs::read_dir(&folder).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let week = Duration::from_secs(7 * 24 * 3600);
        files.tidy(keystead.now() + week).unwrap();
        assert_eq!(files.list().unwrap().len(), 1);
        files.tidy(keystead.now() + week + Duration::from_secs(1)).unwrap();
        assert!(files.list().unwrap().is_empty());
    }
}
