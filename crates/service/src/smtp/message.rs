//! A mail as it goes over the wire (RFC 5322, RFC 2045).

use std::time::{Duration, SystemTime};

use keystead_domain::Email;
use keystead_domain::mail::Sender;
use lettre::address::{Address, Envelope};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use crate::outbox::{OutgoingMail, SendError};

/// Envelope and message.
pub(super) fn compose(mail: &OutgoingMail, from: &Sender) -> Result<(Envelope, Vec<u8>), SendError> {
    // No subject of ours has one. The encoder would fold it away; this does not depend on that.
    if mail.subject.contains(char::is_control) {
        return Err(SendError::Refused("the subject has a control character".to_owned()));
    }
    let (sender, recipient) = (address(from.email())?, address(&mail.to)?);
    let envelope = Envelope::new(Some(sender.clone()), vec![recipient.clone()]).map_err(unusable)?;
    let written_at = u64::try_from(mail.written_at.as_unix_seconds()).unwrap_or(0);
    // No line of a body in quoted-printable or base64 begins with `--=`, and the parts that go as they
    // are have text that only we wrote.
    let parts = MultiPart::alternative()
        .boundary(format!("=_{}", mail.id))
        .singlepart(SinglePart::plain(mail.text.expose().clone()))
        .singlepart(SinglePart::html(mail.html.expose().clone()));
    let message = Message::builder()
        .from(Mailbox::new(from.name().map(str::to_owned), sender.clone()))
        .to(Mailbox::new(None, recipient))
        .subject(mail.subject.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(written_at))
        // The same at each attempt: whoever gets a mail twice can tell.
        .message_id(Some(format!("<{}@{}>", mail.id, sender.domain())))
        // RFC 3834 §5: nobody's holiday is announced to us.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .envelope(envelope.clone())
        .multipart(parts)
        .map_err(unusable)?;
    Ok((envelope, message.formatted()))
}

fn address(email: &Email) -> Result<Address, SendError> {
    let (local, domain) = email.to_ascii();
    Address::new(local, domain).map_err(unusable)
}

/// What is not a mail for SMTP never becomes one. The error would quote the address.
fn unusable<E>(_: E) -> SendError {
    SendError::Refused("the mail cannot be written for SMTP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_crypto::env::SystemEnv;
    use keystead_domain::id::MailId;
    use keystead_domain::mail::Mail;
    use keystead_domain::{Secret, Timestamp};

    const WRITTEN: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

    fn mail(to: &str, mail: &Mail) -> OutgoingMail {
        OutgoingMail {
            id: MailId::mint(WRITTEN, &SystemEnv),
            to: to.parse().unwrap(),
            subject: mail.subject(),
            text: mail.text(),
            html: mail.html(),
            written_at: WRITTEN,
        }
    }

    fn confirm(product: &str) -> Mail {
        Mail::ConfirmSignUp { product: product.parse().unwrap(), code: Secret::new("123456".to_owned()) }
    }

    fn composed(mail: &OutgoingMail, from: &str) -> (Envelope, String) {
        let (envelope, message) = compose(mail, &from.parse().unwrap()).unwrap();
        (envelope, String::from_utf8(message).unwrap())
    }

    /// Names and values of the headers before the first part, unfolded.
    fn headers(message: &str) -> Vec<(String, String)> {
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let pairs = unfolded.split("\r\n").map(|line| line.split_once(": ").unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_message_has_its_headers_once_and_both_parts() {
        let mail = mail("ada@example.com", &confirm("Acme"));
        let (envelope, message) = composed(&mail, "Keystead <no-reply@id.example>");
        assert_eq!(envelope.from().unwrap().to_string(), "no-reply@id.example");
        assert_eq!(envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>(), ["ada@example.com"]);
        let mut headers = headers(&message);
        headers.sort();
        let content_type = format!("multipart/alternative; boundary=\"=_{}\"", mail.id);
        let message_id = format!("<{}@id.example>", mail.id);
        let expected = [
            ("Auto-Submitted", "auto-generated"),
            ("Content-Type", &content_type),
            ("Date", "Thu, 01 Jan 2026 12:00:00 +0000"),
            ("From", "Keystead <no-reply@id.example>"),
            ("MIME-Version", "1.0"),
            ("Message-ID", &message_id),
            ("Subject", "Confirm your e-mail address for Acme"),
            ("To", "ada@example.com"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let [text, html] = ["text/plain", "text/html"].map(|kind| message.find(kind).unwrap());
        assert!(text < html, "the better one is last (RFC 2046 5.1.4)");
        assert!(message.matches("123456").count() == 2);
    }

    #[test]
    fn a_message_is_the_same_at_each_attempt() {
        let mail = mail("ada@example.com", &confirm("Bücher"));
        let compose = || composed(&mail, "a@b.example").1;
        assert_eq!(compose(), compose());
    }

    #[test]
    fn what_is_not_ascii_is_encoded() {
        let mail = mail("ada@bücher.example", &confirm("Bücher 📚"));
        let (envelope, message) = composed(&mail, "Bücherei, Köln <info@bücher.example>");
        assert!(message.is_ascii(), "{message}");
        assert_eq!(envelope.to()[0].to_string(), "ada@xn--bcher-kva.example");
        let headers = headers(&message);
        let of = |name: &str| &headers.iter().find(|(header, _)| header == name).unwrap().1;
        assert!(of("Subject").contains("=?utf-8?"), "{}", of("Subject"));
        assert!(of("From").ends_with(" <info@xn--bcher-kva.example>"), "{}", of("From"));
        assert!(!of("From").contains(", "), "a comma would end the mailbox: {}", of("From"));
        assert_eq!(of("To"), "ada@xn--bcher-kva.example");
    }

    #[test]
    fn no_line_is_too_long_and_no_line_ends_the_mail() {
        let mut mail = mail("ada@example.com", &confirm(&"x".repeat(200)));
        mail.text = Secret::new(format!(".\r\n.\n{}\n", "y".repeat(5000)));
        let (_, message) = composed(&mail, "a@b.example");
        assert!(message.split("\r\n").all(|line| line.len() <= 998), "RFC 5322 2.1.1");
        assert!(!message.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF (RFC 5321 2.3.8)");
    }

    #[test]
    fn a_subject_adds_no_header() {
        for subject in
            ["Hello\r\nBcc: eve@example.com", "Hello\nBcc: eve@example.com", "Hello\r\n\r\nbody", "a\0b"]
        {
            let mail =
                OutgoingMail { subject: subject.to_owned(), ..mail("ada@example.com", &confirm("Acme")) };
            let refused = compose(&mail, &"a@b.example".parse().unwrap());
            assert!(matches!(refused, Err(SendError::Refused(_))), "{subject:?}");
        }
    }
}
