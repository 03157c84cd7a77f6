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
        Err(SendError("the mail server is away".to_owned()))
    }
}

both_backends! {
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
        let files = FileOutbox::open(&folder, "Keystead <no-reply@localhost>").unwrap();
        sign_up(&keystead, &app, ADA, PASSWORD).unwrap();
        worker::run_due(&keystead.engine, &files).unwrap();
        let mails = files.list().unwrap();
        assert_eq!((mails.len(), mails[0].to.as_str()), (1, ADA));
        assert!(mails[0].text.contains("Your code for Acme is"));
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
