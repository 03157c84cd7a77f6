//! Mail: written into the outbox with the transaction that it tells about, sent from there.

use std::time::Duration;

use keystead_crypto::sealing::Sealed;
use keystead_domain::id::MailId;
use keystead_domain::mail::{Failure, Mail, Next, after_failure};
use keystead_domain::policy::PlatformAction;
use keystead_domain::{Email, Secret, Timestamp};
use keystead_storage::Store;
use keystead_storage::outbox::{self, DueMail, NewMail};
use serde::{Deserialize, Serialize};

use crate::worker::cause;
use crate::{Caller, Engine, Error, Result};

/// Hands mails to whatever carries them on. A mail is handed over again until that succeeded, so
/// it may arrive twice, and never not at all.
pub trait Transport: Send {
    /// Hands over one mail, in [`HAND_OVER`] at most.
    fn send(&self, mail: &OutgoingMail) -> std::result::Result<(), SendError>;

    /// Forgets what it has kept long enough. Called now and then.
    fn tidy(&self, _now: Timestamp) -> std::result::Result<(), SendError> {
        Ok(())
    }
}

/// A mail that was not handed over, and why. The reason goes to the log: it repeats nothing of the
/// message, and no address.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is nobody to take it. Others would fare the same.
    #[error("{0}")]
    Away(String),
    /// This one is not taken now.
    #[error("{0}")]
    Deferred(String),
    /// This one is refused.
    #[error("{0}")]
    Refused(String),
}

/// How long handing over one mail may take.
pub const HAND_OVER: Duration = Duration::from_secs(30);

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
    /// The HTML part.
    pub html: Secret<String>,
    /// When it was written.
    pub written_at: Timestamp,
}

/// What is sealed of a message.
#[derive(Serialize)]
struct Written<'m> {
    subject: &'m str,
    text: &'m str,
    html: &'m str,
}

/// The same, opened.
#[derive(Deserialize)]
struct Message {
    subject: String,
    text: String,
    html: String,
}

/// How long a claimed mail is left to whoever claimed it. Each is claimed right before it is handed
/// over, so this has to outlast one of them.
const LEASE: Duration = Duration::from_secs(60);
const _: () = assert!(LEASE.as_secs() >= 2 * HAND_OVER.as_secs());
/// How many mails are sent before jobs get their turn.
const BATCH: usize = 4;

impl Engine {
    /// A mail to be added to the outbox.
    pub(crate) fn compose(&self, to: &Email, mail: &Mail, now: Timestamp) -> NewMail {
        let id = MailId::mint(now, &*self.env);
        let (subject, text, html) = (mail.subject(), mail.text(), mail.html());
        let written = Written { subject: &subject, text: text.expose(), html: html.expose() };
        // With room for the escapes: what grows leaves copies behind.
        let length = subject.len() + text.expose().len() + html.expose().len();
        let mut plain = Vec::with_capacity(length + length / 8 + 64);
        // A struct of strings always serializes.
        let _ = serde_json::to_writer(&mut plain, &written);
        let plain = Secret::new(plain);
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
            html: Secret::new(message.html),
            written_at: mail.created_at,
        })
    }
}

fn place(id: MailId) -> String {
    format!("outbox/{id}")
}

/// Sends what is due; returns how many mails were handed over.
pub(crate) fn send_due(engine: &Engine, transport: &dyn Transport) -> Result<usize> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    let mut sent = 0;
    for _ in 0..BATCH {
        let now = engine.env.now();
        let claimed =
            engine.store.write(move |tx| outbox::claim_due(&mut tx.platform(&platform), now, LEASE, 1))?;
        let Some(mail) = claimed.into_iter().next() else { break };
        let (id, attempts, written_at) = (mail.id, mail.attempts, mail.created_at);
        let mut refusals = mail.refusals;
        let outcome = match engine.open(mail) {
            Ok(mail) => transport.send(&mail),
            // Another process may have the key that it is sealed under.
            Err(error) => Err(SendError::Deferred(cause(&error))),
        };
        let now = engine.env.now();
        let Err(error) = outcome else {
            engine.store.write(move |tx| outbox::mark_sent(&mut tx.platform(&platform), id, now))?;
            sent += 1;
            continue;
        };
        let failure = match error {
            SendError::Away(_) | SendError::Deferred(_) => Failure::Passing { attempts },
            SendError::Refused(_) => {
                refusals += 1;
                Failure::Refused { times: refusals }
            }
        };
        match after_failure(failure, written_at, now) {
            Next::TryAgain(at) => {
                tracing::warn!(mail = %id, attempts, cause = %error, "a mail was not sent and will be tried again");
                engine
                    .store
                    .write(move |tx| outbox::retry_at(&mut tx.platform(&platform), id, at, refusals))?;
            }
            Next::GiveUp => {
                tracing::error!(mail = %id, attempts, cause = %error, "a mail was not sent and is given up");
                engine.store.write(move |tx| outbox::mark_failed(&mut tx.platform(&platform), id, now))?;
            }
        }
        // Whoever keeps one mail waiting would keep the next one waiting too, and jobs with it.
        if matches!(error, SendError::Away(_)) {
            break;
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
