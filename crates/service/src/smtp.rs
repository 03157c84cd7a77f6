//! The `smtp` transport: mails handed to a mail server that carries them on (RFC 5321, and RFC 6409
//! for submission), over TLS unless the server is this machine (RFC 8314, RFC 3207).
//!
//! What a server answers may repeat an address or even what it was sent, so only its codes are told.

mod message;
mod relay;
mod unbuffered;

use std::net::IpAddr;
use std::time::Duration;

use keystead_domain::mail::Sender;
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

pub use self::relay::{InvalidRelay, Login, Relay, Security};

use self::unbuffered::Unbuffered;
use crate::outbox::{HAND_OVER, OutgoingMail, SendError, Transport};

/// How long it may take until the server is ready to take a mail.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may take with a mail. It may want to look into it before it answers.
const TAKE: Duration = Duration::from_secs(18);
/// How long we wait for the server to say goodbye; by then it has the mail.
const QUIT: Duration = Duration::from_secs(1);
const _: () = assert!(CONNECT.as_secs() + TAKE.as_secs() + QUIT.as_secs() < HAND_OVER.as_secs());

/// A mail server to hand mails to.
pub struct Smtp {
    relay: Relay,
    from: Sender,
    hello: ClientId,
    tls: TlsParameters,
    runtime: Runtime,
}

/// Why a transport cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// TLS is not available.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] SmtpError),
    /// The machine refuses what it takes to use the network.
    #[error("{0}")]
    Runtime(#[from] std::io::Error),
}

impl Smtp {
    /// A transport to `relay` for mails of `from`, which greets the server as `hello`: a host name
    /// or an IP address. Certificates are checked against the system's roots, as they are now.
    pub fn new(relay: Relay, from: Sender, hello: &str) -> Result<Self, SetUpError> {
        let hello = match hello.parse() {
            Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => ClientId::Domain(hello.to_owned()),
        };
        let tls = TlsParameters::builder(relay.host().to_owned()).build_rustls()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { relay, from, hello, tls, runtime })
    }

    /// A connection over which mail may be sent: encrypted and authenticated as configured.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let server = (self.relay.host(), self.relay.port());
        let tls = || self.tls.clone();
        let mut connection = match self.relay.security() {
            Security::Tls => {
                AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, Some(tls()), None)
                    .await
                    .map_err(|error| away("connecting", &error))?
            }
            security => {
                let stream = TcpStream::connect(server)
                    .await
                    .map_err(|error| SendError::Away(format!("connecting failed: {error}")))?;
                let local = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
                if security == Security::Plain && !local {
                    return Err(SendError::Away(
                        "the mail server is not this machine, and TLS is off".into(),
                    ));
                }
                let stream = Box::new(Unbuffered(stream));
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
                    .await
                    .map_err(|error| away("greeting", &error))?
            }
        };
        if self.relay.security() == Security::StartTls {
            // Fails where the server does not offer it: whoever sits between may have struck it out.
            connection.starttls(tls(), &self.hello).await.map_err(|error| away("STARTTLS", &error))?;
        }
        if let Some(login) = self.relay.login() {
            let credentials = Credentials::new(login.user.clone(), login.password.expose().clone());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, &credentials).await.map_err(|error| away("signing in", &error))?;
        }
        Ok(connection)
    }

    /// Connects, greets, encrypts and signs in as before each mail, and leaves without sending one.
    pub fn check(&self) -> Result<(), SendError> {
        self.runtime.block_on(async {
            let late = |_| SendError::Away("the mail server took too long to be ready".to_owned());
            let mut connection = timeout(CONNECT, self.connect()).await.map_err(late)??;
            let _ = timeout(QUIT, connection.quit()).await;
            Ok(())
        })
    }

    async fn hand_over(&self, envelope: &Envelope, message: &[u8]) -> Result<(), SendError> {
        let late = |what: &str| SendError::Away(format!("the mail server took too long {what}"));
        let mut connection = timeout(CONNECT, self.connect()).await.map_err(|_| late("to be ready"))??;
        timeout(TAKE, connection.send(envelope, message))
            .await
            .map_err(|_| late("to take the mail"))?
            .map_err(|error| not_taken(&error))?;
        let _ = timeout(QUIT, connection.quit()).await;
        Ok(())
    }
}

impl Transport for Smtp {
    fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        let (envelope, message) = message::compose(mail, &self.from)?;
        self.runtime.block_on(self.hand_over(&envelope, &message))
    }
}

/// What goes wrong before a mail was named is not about the mail, not even when it is for good: a
/// wrong password, say, which somebody will correct.
fn away(doing: &str, error: &SmtpError) -> SendError {
    SendError::Away(format!("{doing} failed: {}", describe(error)))
}

fn not_taken(error: &SmtpError) -> SendError {
    let reason = format!("the mail was not taken: {}", describe(error));
    if error.is_permanent() {
        SendError::Refused(reason)
    } else if error.is_transient() && error.status().is_some_and(|code| u16::from(code) != 421) {
        SendError::Deferred(reason)
    } else {
        // RFC 5321 §3.8: a server that says 421 is closing; a connection that broke says less.
        SendError::Away(reason)
    }
}

/// What may be told of an error: the reply code and the enhanced status code (RFC 2034) that a
/// server gave, or what our own side found.
fn describe(error: &SmtpError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match error.status() {
        Some(code) => {
            let word = source.split_whitespace().next().unwrap_or_default();
            let enhanced = word.len() <= 9
                && word.split('.').count() == 3
                && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            if enhanced {
                format!("the server said {code} {word}")
            } else {
                format!("the server said {code}")
            }
        }
        // It quotes what it could not read.
        None if error.is_response() => "the server's answer was not understood".to_owned(),
        None => source,
    }
}
