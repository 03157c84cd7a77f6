//! Mail: written into the outbox with the transaction that it tells about, sent from there.

use std::time::Duration;

use keystead_crypto::sealing::Sealed;
use keystead_domain::id::MailId;
use keystead_domain::mail::Mail;
use keystead_domain::policy::PlatformAction;
use keystead_domain::{Email, Secret, Timestamp};
use keystead_storage::Store;
use keystead_storage::outbox::{self, DueMail, NewMail};
use serde::{Deserialize, Serialize};

use crate::{Caller, Engine, Error, Result};

/// Hands mails to whatever carries them on. A mail is handed over again until that succeeded, so
/// it may arrive twice, and never not at all.
pub trait Transport: Send {
    /// Hands over one mail.
    fn send(&self, mail: &OutgoingMail) -> std::result::Result<(), SendError>;

    /// Forgets what it has kept long enough. Called now and then.
    fn tidy(&self, _now: Timestamp) -> std::result::Result<(), SendError> {
        Ok(())
    }
}

/// A mail that was not handed over, and why. It must not repeat the message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// A mail on its way out.
pub struct OutgoingMail {
    /// Its id, the same at each attempt.
    pub id: MailId,
    /// To whom.
    pub to: Email,
    /// The subject line.
    pub subject: String,
    /// The text part.
    pub text: Secret<String>,
    /// When it was written.
    pub written_at: Timestamp,
}

/// What is sealed of a message.
#[derive(Serialize, Deserialize)]
struct Message {
    subject: String,
    text: String,
}

/// How long a claimed mail is left to whoever claimed it.
const LEASE: Duration = Duration::from_secs(60);
/// How many mails are claimed at once.
const BATCH: i64 = 16;

impl Engine {
    /// A mail to be added to the outbox.
    pub(crate) fn compose(&self, to: &Email, mail: &Mail, now: Timestamp) -> NewMail {
        let id = MailId::mint(now, &*self.env);
        let message = Message { subject: mail.subject(), text: mail.text().expose().clone() };
        // A struct of two strings always serializes.
        let plain = Secret::new(serde_json::to_vec(&message).unwrap_or_default());
        let sealed = self.sealer.seal(&place(id), plain.expose(), &*self.env);
        NewMail {
            id,
            template: mail.template(),
            recipient: to.clone(),
            sealed: sealed.as_bytes().to_vec(),
            created_at: now,
        }
    }

    fn open(&self, mail: DueMail) -> Result<OutgoingMail> {
        let plain =
            self.sealer.open(&place(mail.id), &Sealed::from_bytes(mail.sealed)).map_err(Error::internal)?;
        let message: Message = serde_json::from_slice(plain.expose())
            .map_err(|_| Error::internal("a sealed mail is no message"))?;
        Ok(OutgoingMail {
            id: mail.id,
            to: mail.recipient,
            subject: message.subject,
            text: Secret::new(message.text),
            written_at: mail.created_at,
        })
    }
}

fn place(id: MailId) -> String {
    format!("outbox/{id}")
}

/// How long to wait after so many attempts: 5 s, doubled each time up to an hour.
fn backoff(attempts: u32) -> Duration {
    Duration::from_secs(5 << attempts.saturating_sub(1).min(10)).min(Duration::from_secs(3600))
}

/// Sends what is due; returns how many mails were handed over.
pub(crate) fn send_due(engine: &Engine, transport: &dyn Transport) -> Result<usize> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    let now = engine.env.now();
    let due =
        engine.store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), now, LEASE, BATCH))?;
    let mut sent = 0;
    for mail in due {
        let (id, attempts) = (mail.id, mail.attempts);
        let outcome = engine.open(mail).and_then(|mail| transport.send(&mail).map_err(Error::internal));
        let now = engine.env.now();
        match outcome {
            Ok(()) => {
                engine.store.write(move |tx| outbox::mark_sent(&mut tx.platform(&platform), id, now))?;
                sent += 1;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(mail = %id, attempts, cause, "a mail was not sent and will be tried again");
                let at = now + backoff(attempts);
                engine.store.write(move |tx| outbox::retry_at(&mut tx.platform(&platform), id, at))?;
            }
        }
    }
    Ok(sent)
}

/// How many mails and jobs wait in a migrated database.
pub fn count_waiting(store: &Store) -> Result<i64> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    Ok(store.read(|tx| {
        let mut tx = tx.platform(&platform);
        Ok(outbox::count_waiting(&mut tx)? + keystead_storage::jobs::count_waiting(&mut tx)?)
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_to_one_an_hour() {
        let seconds: Vec<_> = [1, 2, 3, 11, 4_000_000_000].map(|n| backoff(n).as_secs()).into();
        assert_eq!(seconds, [5, 10, 20, 3600, 3600]);
    }
}
