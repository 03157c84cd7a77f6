//! The `file` transport: mails as files in a folder, for development. Each is readable by its
//! owner only, and kept for a week.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystead_domain::Timestamp;
use keystead_domain::id::MailId;
use keystead_domain::mail::Sender;
use serde::{Deserialize, Serialize};

use crate::outbox::{OutgoingMail, SendError, Transport};

/// How long a mail is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A folder of mails.
pub struct FileOutbox {
    folder: PathBuf,
    from: String,
}

/// A mail in the folder.
#[derive(Serialize, Deserialize)]
pub struct StoredMail {
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// When it was written: RFC 3339, UTC.
    pub written_at: String,
    /// The text part.
    pub text: String,
    /// The HTML part; a file of an earlier version has none.
    #[serde(default)]
    pub html: String,
    /// When it was written, in microseconds since the Unix epoch.
    written_at_micros: i64,
}

impl FileOutbox {
    /// The outbox in `folder`, which is made where there is none.
    pub fn open(folder: &Path, from: &Sender) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), from: from.to_string() })
    }

    /// The mails, the oldest first. What is no mail is passed over.
    pub fn list(&self) -> io::Result<Vec<StoredMail>> {
        let mut mails: Vec<StoredMail> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Ok(text) = fs::read(&path)
                && let Ok(mail) = serde_json::from_slice(&text)
            {
                mails.push(mail);
            }
        }
        mails.sort_by(|a, b| (a.written_at_micros, &a.id).cmp(&(b.written_at_micros, &b.id)));
        Ok(mails)
    }

    fn forget_old(&self, now: Timestamp) -> io::Result<()> {
        for mail in self.list()? {
            let written = Timestamp::from_micros(mail.written_at_micros);
            if let Ok(id) = mail.id.parse::<MailId>()
                && now.since(written) > KEPT
            {
                fs::remove_file(self.path(id))?;
            }
        }
        Ok(())
    }

    fn path(&self, id: MailId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn write(&self, mail: &OutgoingMail) -> io::Result<()> {
        let stored = StoredMail {
            id: mail.id.to_string(),
            from: self.from.clone(),
            to: mail.to.to_string(),
            subject: mail.subject.clone(),
            written_at: mail.written_at.to_rfc3339_seconds(),
            text: mail.text.expose().clone(),
            html: mail.html.expose().clone(),
            written_at_micros: mail.written_at.as_micros(),
        };
        // Under another name first: whoever lists the folder sees a whole mail or none.
        let partial = self.folder.join(format!("{}.partial", mail.id));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        serde_json::to_writer_pretty(&mut file, &stored)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&partial, self.path(mail.id))
    }
}

impl Transport for FileOutbox {
    fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        self.write(mail).map_err(|error| SendError::Away(format!("{}: {error}", self.folder.display())))
    }

    fn tidy(&self, now: Timestamp) -> Result<(), SendError> {
        self.forget_old(now).map_err(|error| SendError::Away(format!("{}: {error}", self.folder.display())))
    }
}
