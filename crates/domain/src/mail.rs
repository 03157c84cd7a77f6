//! What Keystead writes to people: every subject and text, in one place.
//!
//! No text repeats what a stranger typed (a name, say): whoever signs up with somebody else's
//! address would otherwise get to write to that person in our name.

use crate::Secret;
use crate::access_request::RejectionReason;
use crate::name::Name;

/// A mail to one address.
pub enum Mail {
    /// The code that completes a sign-up.
    ConfirmSignUp {
        /// Whose product the person signs up for.
        product: Name,
        /// The six digits.
        code: Secret<String>,
    },
    /// Somebody signed up with an address that already has an account.
    AddressTaken {
        /// Whose product.
        product: Name,
    },
    /// A request for access was approved: the one-time link to the app's credentials.
    AccessApproved {
        /// The server's public URL.
        server: String,
        /// The link.
        link: Secret<String>,
    },
    /// A request for access was rejected.
    AccessRejected {
        /// The server's public URL.
        server: String,
        /// What the operator wrote.
        reason: RejectionReason,
    },
}

impl Mail {
    /// What lists of mails call it.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::ConfirmSignUp { .. } => "confirm_sign_up",
            Self::AddressTaken { .. } => "address_taken",
            Self::AccessApproved { .. } => "access_approved",
            Self::AccessRejected { .. } => "access_rejected",
        }
    }

    /// The subject line. It never holds a code: phones show it on their lock screen.
    pub fn subject(&self) -> String {
        match self {
            Self::ConfirmSignUp { product, .. } => format!("Confirm your e-mail address for {product}"),
            Self::AddressTaken { product } => format!("You already have an account at {product}"),
            Self::AccessApproved { .. } => "Your access was approved".to_owned(),
            Self::AccessRejected { .. } => "Your request for access was not approved".to_owned(),
        }
    }

    /// The text part.
    pub fn text(&self) -> Secret<String> {
        Secret::new(match self {
            Self::ConfirmSignUp { product, code } => format!(
                "Your code for {product} is\n\n    {}\n\nIt is good for 10 minutes and for one use.\n\n\
                 If you did not just sign up for {product}, ignore this mail and pass the code on to nobody.\n",
                code.expose()
            ),
            Self::AddressTaken { product } => format!(
                "Somebody, perhaps you, tried to sign up for {product} with this address.\n\
                 You already have an account there: sign in as usual.\n\n\
                 If it was not you, there is nothing to do; nothing has changed.\n"
            ),
            Self::AccessApproved { server, link } => format!(
                "The request for access to {server} that names you as its contact was approved.\n\n\
                 This page shows the client id and the client secret of your app:\n\n    {}\n\n\
                 It shows the secret once, after you pressed its button, so have a safe place ready to keep it in.\n\
                 The link is good for 72 hours and for one use. Whoever has it gets the secret, so pass it on to\n\
                 nobody.\n\n\
                 If you know of no such request, ignore this mail.\n",
                link.expose()
            ),
            Self::AccessRejected { server, reason } => format!(
                "The request for access to {server} that names you as its contact was not approved.\n\n\
                 The reason given:\n\n{reason}\n\n\
                 If you know of no such request, ignore this mail.\n"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_in_the_text_and_not_in_the_subject() {
        let mail =
            Mail::ConfirmSignUp { product: "Acme".parse().unwrap(), code: Secret::new("123456".to_owned()) };
        assert!(mail.text().expose().contains("123456"));
        assert!(!mail.subject().contains("123456"));
    }

    #[test]
    fn a_link_is_in_the_text_and_not_in_the_subject() {
        let link = "https://id.test/claim/x";
        let mail =
            Mail::AccessApproved { server: "https://id.test".to_owned(), link: Secret::new(link.to_owned()) };
        assert!(mail.text().expose().contains(&format!("    {link}\n")));
        assert!(!mail.subject().contains("claim"));
    }
}
