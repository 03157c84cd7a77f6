//! `keystead mail`: the mails of the `file` transport.

use std::thread;
use std::time::{Duration, Instant};

use keystead_service::file_outbox::StoredMail;
use keystead_service::outbox;
use keystead_storage::Store;
use serde::Serialize;

use crate::cli::{Mail, MailFilter};
use crate::config::{self, Config};
use crate::deployment;
use crate::failure::Failure;
use crate::output::{self, Format, Show};

/// How long a mail that is on its way is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct MailView {
    id: String,
    to: String,
    subject: String,
    written_at: String,
    /// Only where mails are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl MailView {
    fn new(mail: StoredMail, with_text: bool) -> Self {
        Self {
            id: mail.id,
            to: mail.to,
            subject: mail.subject,
            written_at: mail.written_at,
            text: with_text.then_some(mail.text),
        }
    }
}

impl Show for MailView {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.clone()),
            ("to", self.to.clone()),
            ("subject", self.subject.clone()),
            ("written", self.written_at.clone()),
        ]
    }
}

pub(crate) fn run(config: &Config, format: Format, command: Mail) -> Result<(), Failure> {
    if let config::Mail::Smtp(relay) = &config.mail {
        return Err(Failure::new(format!(
            "mails go to {relay}, and these commands read those of the `file` transport only"
        )));
    }
    match command {
        Mail::List(filter) => {
            let mails = find(config, &filter)?;
            let views: Vec<_> = mails.into_iter().map(|mail| MailView::new(mail, false)).collect();
            output::list(format, &views)
        }
        Mail::Show(filter) => {
            let mails = find(config, &filter)?;
            if mails.is_empty() {
                return Err(Failure::new("there is no such mail"));
            }
            if format == Format::Text {
                let texts: Vec<_> = mails.iter().map(|mail| mail.text.as_str()).collect();
                return output::text(&texts.join("\n"));
            }
            let mut views: Vec<_> = mails.into_iter().map(|mail| MailView::new(mail, true)).collect();
            match views.pop() {
                Some(newest) if filter.latest => output::json(&newest),
                newest => {
                    views.extend(newest);
                    output::json(&views)
                }
            }
        }
    }
}

/// The mails that the filter lets through. Mail leaves a moment after the request that caused it:
/// what is on its way is waited for, so that a script need not sleep.
fn find(config: &Config, filter: &MailFilter) -> Result<Vec<StoredMail>, Failure> {
    let outbox = deployment::file_outbox(config)?;
    let store = existing_database(config);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all_sent = store.as_ref().is_none_or(|store| outbox::count_waiting(store).is_ok_and(|n| n == 0));
        let mut mails = outbox.list()?;
        mails.retain(|mail| filter.to.as_ref().is_none_or(|to| mail.to.eq_ignore_ascii_case(to.as_str())));
        let settled = all_sent && (!mails.is_empty() || store.is_some());
        if settled || Instant::now() >= deadline {
            if filter.latest {
                mails.drain(..mails.len().saturating_sub(1));
            }
            return Ok(mails);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The database, if it is there: reading mails is no reason to make one.
fn existing_database(config: &Config) -> Option<Store> {
    if let config::Database::Sqlite(path) = &config.database_url
        && !path.exists()
    {
        return None;
    }
    Store::open(&deployment::database(config), 1).ok()
}
