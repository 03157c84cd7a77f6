//! Mail: written into the outbox with the transaction that it tells about, sent from there.

use std::borrow::Cow;
use std::time::Duration;

use keystead_crypto::sealing::Sealed;
use keystead_domain::id::MailId;
use keystead_domain::mail::{Block, Failure, Mail, Next, after_failure, to_html, to_text};
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

/// What is sealed of a message: what it says. Text and HTML are made of that when it is sent; here they would be
/// most of what a sign-up writes.
#[derive(Serialize)]
struct Written<'m> {
    subject: &'m str,
    content: &'m [Piece<'m>],
}

/// The same, opened.
#[derive(Deserialize)]
struct Message<'m> {
    subject: String,
    #[serde(borrow)]
    content: Option<Vec<Piece<'m>>>,
    /// In place of the content, of a mail that an older version wrote.
    text: Option<String>,
    html: Option<String>,
}

/// A [`Block`] as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece<'m> {
    #[serde(borrow)]
    Text(Cow<'m, str>),
    Code(Cow<'m, str>),
    Link {
        label: Cow<'m, str>,
        url: Cow<'m, str>,
    },
}

impl<'m> Piece<'m> {
    fn of(block: &'m Block) -> Self {
        match block {
            Block::Text(text) => Self::Text(Cow::Borrowed(text)),
            Block::Code(code) => Self::Code(Cow::Borrowed(code.expose())),
            Block::Link { label, url } => {
                Self::Link { label: Cow::Borrowed(label), url: Cow::Borrowed(url.expose()) }
            }
        }
    }

    fn into_block(self) -> Block {
        match self {
            Self::Text(text) => Block::Text(text.into_owned()),
            Self::Code(code) => Block::Code(Secret::new(code.into_owned())),
            Self::Link { label, url } => {
                Block::Link { label: Cow::Owned(label.into_owned()), url: Secret::new(url.into_owned()) }
            }
        }
    }
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
        let plain = written_down(mail);
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
        let (subject, text, html) =
            read(plain.expose()).ok_or_else(|| Error::internal("a sealed mail is no message"))?;
        Ok(OutgoingMail { id: mail.id, to: mail.recipient, subject, text, html, written_at: mail.created_at })
    }
}

fn written_down(mail: &Mail) -> Secret<Vec<u8>> {
    let (subject, content) = (mail.subject(), mail.content());
    let pieces: Vec<_> = content.iter().map(Piece::of).collect();
    // Room for most: what grows leaves copies behind, with the code in them.
    let mut plain = Vec::with_capacity(2048);
    // A struct of strings always serializes.
    let _ = serde_json::to_writer(&mut plain, &Written { subject: &subject, content: &pieces });
    Secret::new(plain)
}

/// The subject, the text and the HTML of what was written down.
fn read(plain: &[u8]) -> Option<(String, Secret<String>, Secret<String>)> {
    let Message { subject, content, text, html } = serde_json::from_slice(plain).ok()?;
    let Some(pieces) = content else { return Some((subject, Secret::new(text?), Secret::new(html?))) };
    let content: Vec<_> = pieces.into_iter().map(Piece::into_block).collect();
    let (text, html) = (to_text(&content), to_html(&subject, &content));
    Some((subject, text, html))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_as_the_mail_says_it() {
        let product: keystead_domain::name::Name = "\"Ähre\" & <Söhne>".parse().unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let mails = [
            Mail::AddressTaken { product: product.clone() },
            Mail::ConfirmSignUp { product: product.clone(), code: secret("123456") },
            Mail::VerifyAddress {
                product,
                code: secret("654321"),
                link: secret("https://id.test/?a=b&c=\"d\\"),
            },
        ];
        for mail in mails {
            let (subject, text, html) = read(written_down(&mail).expose()).unwrap();
            assert_eq!(subject, mail.subject());
            assert_eq!(text.expose(), mail.text().expose());
            assert_eq!(html.expose(), mail.html().expose());
        }
    }

    #[test]
    fn what_an_older_version_wrote_down_is_read_as_it_is() {
        let (subject, text, html) = read(br#"{"subject":"s","text":"t\n","html":"<p>"}"#).unwrap();
        assert_eq!((subject.as_str(), text.expose().as_str(), html.expose().as_str()), ("s", "t\n", "<p>"));
        for nothing in [r#"{"subject":"s"}"#, r#"{"subject":"s","text":"t"}"#, "[]", ""] {
            assert!(read(nothing.as_bytes()).is_none(), "{nothing}");
        }
    }
}
