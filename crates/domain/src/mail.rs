//! What Keystead writes to people: every subject and text, in one place.
//!
//! A mail states its content once, as [`Block`]s; its text and its HTML are both made from them.
//!
//! No text repeats what a stranger typed (a name, say): whoever signs up with somebody else's
//! address would otherwise get to write to that person in our name. The names of keys are told only to
//! whoever had proven the address before they were made.

mod content;
mod delivery;
mod sender;

pub use content::{Block, to_html, to_text};
pub use delivery::{Failure, Next, after_failure};
pub use sender::{InvalidSender, Sender};

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
    /// A code and a link, each of which proves the address of an account or completes a sign-up.
    VerifyAddress {
        /// Whose product.
        product: Name,
        /// The six digits.
        code: Secret<String>,
        /// The link.
        link: Secret<String>,
    },
    /// The link that lets a new password be set.
    ResetLink {
        /// Whose product.
        product: Name,
        /// The link.
        link: Secret<String>,
    },
    /// A new password was set by mail.
    PasswordReset {
        /// Whose product.
        product: Name,
        /// The API keys that go on working: what their holder calls them, and what they begin with.
        keys: Vec<(Name, String)>,
    },
    /// The code that lets a new password be set.
    ResetPassword {
        /// Whose product.
        product: Name,
        /// The six digits.
        code: Secret<String>,
    },
    /// The password was changed, by whoever could.
    PasswordChanged {
        /// Whose product.
        product: Name,
    },
    /// Somebody signed up with an address that already has an account.
    AddressTaken {
        /// Whose product.
        product: Name,
    },
    /// The link that puts a new address into force, to that address.
    ConfirmAddress {
        /// Whose product.
        product: Name,
        /// The link.
        link: Secret<String>,
    },
    /// Somebody wants to change to an address that already has an account.
    AddressInUse {
        /// Whose product.
        product: Name,
    },
    /// Somebody signs up with, or wants to change to, an address that is kept for the account that
    /// had it.
    AddressKept {
        /// Whose product.
        product: Name,
    },
    /// A change of address was asked for, to the address that the account has.
    AddressChangeAsked {
        /// Whose product.
        product: Name,
    },
    /// The address was changed: the link that undoes it, to the address that the account had.
    AddressChanged {
        /// Whose product.
        product: Name,
        /// The link.
        link: Secret<String>,
    },
    /// The account went back to an address that it had, to the address that it leaves.
    AddressRestored {
        /// Whose product.
        product: Name,
    },
    /// Sign-ins or codes failed for an address more often than slips explain.
    FailedSignIns {
        /// Whose product.
        product: Name,
    },
    /// An API key was found where it does not belong, and was revoked.
    KeyLeaked {
        /// Whose product.
        product: Name,
        /// What the key begins with, up to its look-up part.
        key: String,
    },
    /// The link of an invitation to a tenant. Neither the tenant's name nor the inviter's stands in it:
    /// whoever signs up can choose both, and invite whom it likes. The page behind the link shows them.
    Invited {
        /// What people know the platform by.
        product: Name,
        /// The link.
        link: Secret<String>,
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
            Self::VerifyAddress { .. } => "verify_address",
            Self::ResetLink { .. } => "reset_link",
            Self::PasswordReset { .. } => "password_reset",
            Self::ResetPassword { .. } => "reset_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::AddressTaken { .. } => "address_taken",
            Self::ConfirmAddress { .. } => "confirm_address",
            Self::AddressInUse { .. } => "address_in_use",
            Self::AddressKept { .. } => "address_kept",
            Self::AddressChangeAsked { .. } => "address_change_asked",
            Self::AddressChanged { .. } => "address_changed",
            Self::AddressRestored { .. } => "address_restored",
            Self::FailedSignIns { .. } => "failed_sign_ins",
            Self::KeyLeaked { .. } => "key_leaked",
            Self::Invited { .. } => "invited",
            Self::AccessApproved { .. } => "access_approved",
            Self::AccessRejected { .. } => "access_rejected",
        }
    }

    /// The templates whose mails hold a code or a link that lets its holder do something.
    pub const WITH_SECRETS: [&str; 8] = [
        "confirm_sign_up",
        "reset_password",
        "access_approved",
        "confirm_address",
        "address_changed",
        "verify_address",
        "reset_link",
        "invited",
    ];

    /// The subject line. It never holds a code: phones show it on their lock screen.
    pub fn subject(&self) -> String {
        match self {
            Self::ConfirmSignUp { product, .. } | Self::VerifyAddress { product, .. } => {
                format!("Confirm your e-mail address for {product}")
            }
            Self::ResetPassword { product, .. } | Self::ResetLink { product, .. } => {
                format!("Set a new password for {product}")
            }
            Self::PasswordReset { product, .. } | Self::PasswordChanged { product } => {
                format!("Your password for {product} was changed")
            }
            Self::AddressTaken { product } => format!("You already have an account at {product}"),
            Self::ConfirmAddress { product, .. } => format!("Confirm your new e-mail address for {product}"),
            Self::AddressInUse { product } => format!("Your address already has an account at {product}"),
            Self::AddressKept { product } => format!("Your address is kept for an account at {product}"),
            Self::AddressChangeAsked { product } => {
                format!("A new e-mail address for your account at {product}")
            }
            Self::AddressChanged { product, .. } => {
                format!("The e-mail address of your account at {product} was changed")
            }
            Self::AddressRestored { product } => {
                format!("An account at {product} no longer has your e-mail address")
            }
            Self::KeyLeaked { product, .. } => {
                format!("An API key of yours at {product} leaked and was revoked")
            }
            Self::FailedSignIns { product } => format!("Failed sign-ins to your account at {product}"),
            Self::Invited { product, .. } => format!("You are invited to an organization at {product}"),
            Self::AccessApproved { .. } => "Your access was approved".to_owned(),
            Self::AccessRejected { .. } => "Your request for access was not approved".to_owned(),
        }
    }

    /// What the mail says.
    pub fn content(&self) -> Vec<Block> {
        match self {
            Self::ConfirmSignUp { product, code } => vec![
                Block::text(format!("Your code for {product} is")),
                Block::Code(code.clone()),
                Block::text("It is good for 10 minutes and for one use."),
                Block::text(format!(
                    "If you did not just sign up for {product}, ignore this mail and pass the code on to \
                     nobody."
                )),
            ],
            Self::VerifyAddress { product, code, link } => vec![
                Block::text(format!("Your code for {product} is")),
                Block::Code(code.clone()),
                Block::text(
                    "Type it where you signed up, within 10 minutes. Or open this link in the browser that you \
                     signed up with; it is good for 24 hours:",
                ),
                Block::link("Confirm your address", link),
                Block::text(
                    "In another browser the link asks you for a new password. Code and link are good for one use.",
                ),
                Block::text(format!(
                    "If you did not just sign up for {product}, ignore this mail and pass the code and the link on \
                     to nobody."
                )),
            ],
            Self::ResetLink { product, link } => vec![
                Block::text(format!(
                    "Somebody, perhaps you, asked for a new password for the account at {product} that has this \
                     address."
                )),
                Block::link("Set a new password", link),
                Block::text("The link is good for one hour and for one use."),
                Block::text(
                    "If it was not you, ignore this mail and pass the link on to nobody: your password stays as it \
                     is.",
                ),
            ],
            Self::PasswordReset { product, keys } => {
                let mut content = vec![Block::text(format!(
                    "A new password was just set for your account at {product}, with a link that was mailed to \
                     this address. Every device was signed out. A second factor stays in force."
                ))];
                if !keys.is_empty() {
                    content.push(Block::text(
                        "These API keys still work. Revoke those that you do not know or no longer need:",
                    ));
                    content
                        .extend(keys.iter().map(|(name, start)| Block::text(format!("{start}… ({name})"))));
                }
                content.push(Block::text(
                    "If it was not you, somebody else reads your mail: secure your mailbox, then set a new password \
                     with \"forgotten password\".",
                ));
                content
            }
            Self::ResetPassword { product, code } => vec![
                Block::text(format!("Your code to set a new password for {product} is")),
                Block::Code(code.clone()),
                Block::text("It is good for 10 minutes and for one use."),
                Block::text(
                    "If you did not ask for it, ignore this mail and pass the code on to nobody: your password \
                     stays as it is.",
                ),
            ],
            Self::PasswordChanged { product } => vec![
                Block::text(format!(
                    "The password of your account at {product} was just changed, and every other device was \
                     signed out."
                )),
                Block::text("If it was not you, set a new password with \"forgotten password\" now."),
            ],
            Self::FailedSignIns { product } => vec![
                Block::text(format!(
                    "Several wrong passwords or codes were tried for your account at {product}. Nobody got in \
                     with them. Further tries now have to wait, up to 15 minutes each; a sign-in that succeeds \
                     ends that."
                )),
                Block::text(format!(
                    "If it was you, there is nothing to do. If it was not, make sure that you use your password \
                     for {product} nowhere else."
                )),
            ],
            Self::KeyLeaked { product, key } => vec![
                Block::text(format!(
                    "Somebody found an API key of yours at {product} where it does not belong, in a public \
                     repository for example, and reported it. It begins with {key}."
                )),
                Block::text(
                    "The key was revoked at once: it opens nothing any more. Make a new one for whatever used it, \
                     and look in the audit log for what was done with the old one.",
                ),
            ],
            Self::AddressTaken { product } => vec![
                Block::text(format!(
                    "Somebody, perhaps you, tried to sign up for {product} with this address. You already \
                     have an account there: sign in as usual."
                )),
                Block::text("If it was not you, there is nothing to do; nothing has changed."),
            ],
            Self::ConfirmAddress { product, link } => vec![
                Block::text(format!(
                    "Somebody, perhaps you, wants to use this address for an account at {product} that has \
                     another address so far."
                )),
                Block::link("Confirm the new address", link),
                Block::text(
                    "Nothing changes before you pressed the button on that page. The link is good for 24 hours \
                     and for one use.",
                ),
                Block::text(
                    "If it was not you, ignore this mail and pass the link on to nobody: somebody else's account \
                     would get your address.",
                ),
            ],
            Self::AddressInUse { product } => vec![
                Block::text(format!(
                    "Somebody, perhaps you, wants to use this address for another account at {product}. It has \
                     an account there already, and an address has one only."
                )),
                Block::text("If it was not you, there is nothing to do; nothing has changed."),
            ],
            Self::AddressKept { product } => vec![
                Block::text(format!(
                    "Somebody, perhaps you, wants to use this address for an account at {product}. Until \
                     recently another account there had it. For 72 hours after such a change the address is kept \
                     for that account, in case its owner undoes the change. Try again after that."
                )),
                Block::text("If it was not you, there is nothing to do; nothing has changed."),
            ],
            Self::AddressChangeAsked { product } => vec![
                Block::text(format!(
                    "Another e-mail address was asked for, for your account at {product}, by somebody who is \
                     signed in and knows the password. It takes effect when it is confirmed from the new \
                     address. You will then get another mail, with a link that undoes it."
                )),
                Block::text(
                    "If it was not you, set a new password with \"forgotten password\" now: that also ends the \
                     change that waits.",
                ),
            ],
            Self::AddressChanged { product, link } => vec![
                Block::text(format!(
                    "The e-mail address of your account at {product} was just changed. From now on this address \
                     no longer signs in."
                )),
                Block::text("If it was not you, undo it within 72 hours:"),
                Block::link("Undo the change", link),
                Block::text(
                    "That gives the account this address back, signs every device out and makes the password \
                     useless, so that you set a new one. Whoever has the link can do that, so pass it on to \
                     nobody.",
                ),
                Block::text("If it was you, there is nothing to do."),
            ],
            Self::AddressRestored { product } => vec![
                Block::text(format!(
                    "An account at {product} that had this address has gone back to an address that it had \
                     before. This address no longer signs in there."
                )),
                Block::text("If you know of no such account, ignore this mail."),
            ],
            Self::Invited { product, link } => vec![
                Block::text(format!(
                    "Somebody invites you to become a member of an organization at {product}. The page behind \
                     this link says who, and of which one:"
                )),
                Block::link("See the invitation", link),
                Block::text(
                    "You become a member when you press the button on that page, not before. The link is good for \
                     7 days and for one use, and only for this address, so pass it on to nobody.",
                ),
                Block::text("If you do not want to, ignore this mail."),
            ],
            Self::AccessApproved { server, link } => vec![
                Block::text(format!(
                    "The request for access to {server} that names you as its contact was approved."
                )),
                Block::link("Get the client id and the client secret of your app", link),
                Block::text(
                    "The page shows the secret once, after you pressed its button, so have a safe place ready to \
                     keep it in. The link is good for 72 hours and for one use. Whoever has it gets the secret, so \
                     pass it on to nobody.",
                ),
                Block::text("If you know of no such request, ignore this mail."),
            ],
            Self::AccessRejected { server, reason } => {
                let opening = [
                    Block::text(format!(
                        "The request for access to {server} that names you as its contact was not approved."
                    )),
                    Block::text("The reason given:"),
                ];
                // Each line that the operator wrote stays one.
                let lines = reason.to_string();
                let lines = lines.lines().filter(|line| !line.trim().is_empty()).map(Block::text);
                let closing = [Block::text("If you know of no such request, ignore this mail.")];
                opening.into_iter().chain(lines).chain(closing).collect()
            }
        }
    }

    /// The text part.
    pub fn text(&self) -> Secret<String> {
        content::to_text(&self.content())
    }

    /// The HTML part, which says the same.
    pub fn html(&self) -> Secret<String> {
        content::to_html(&self.subject(), &self.content())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(product: &str) -> [Mail; 9] {
        let product: Name = product.parse().unwrap();
        let link = Secret::new("//id.test/x".to_owned());
        [
            Mail::ConfirmSignUp { product: product.clone(), code: Secret::new("123456".to_owned()) },
            Mail::AddressTaken { product: product.clone() },
            Mail::ConfirmAddress { product: product.clone(), link: link.clone() },
            Mail::AddressInUse { product: product.clone() },
            Mail::AddressKept { product: product.clone() },
            Mail::AddressChangeAsked { product: product.clone() },
            Mail::AddressChanged { product: product.clone(), link: link.clone() },
            Mail::Invited { product: product.clone(), link },
            Mail::AddressRestored { product },
        ]
    }

    #[test]
    fn templates_with_secrets_are_those_with_a_code_or_a_link() {
        let product: Name = "Acme".parse().unwrap();
        let secret = || Secret::new("x".to_owned());
        let server = || "https://id.test".to_owned();
        let mails = [
            Mail::ConfirmSignUp { product: product.clone(), code: secret() },
            Mail::ResetPassword { product: product.clone(), code: secret() },
            Mail::PasswordChanged { product: product.clone() },
            Mail::AddressTaken { product: product.clone() },
            Mail::ConfirmAddress { product: product.clone(), link: secret() },
            Mail::AddressInUse { product: product.clone() },
            Mail::AddressKept { product: product.clone() },
            Mail::AddressChangeAsked { product: product.clone() },
            Mail::AddressChanged { product: product.clone(), link: secret() },
            Mail::AddressRestored { product: product.clone() },
            Mail::FailedSignIns { product: product.clone() },
            Mail::Invited { product: product.clone(), link: secret() },
            Mail::KeyLeaked { product, key: "ks_live_0123456789ab".to_owned() },
            Mail::AccessApproved { server: server(), link: secret() },
            Mail::AccessRejected { server: server(), reason: "No.".parse().unwrap() },
        ];
        for mail in mails {
            let secret = mail.content().iter().any(|block| !matches!(block, Block::Text(_)));
            assert_eq!(Mail::WITH_SECRETS.contains(&mail.template()), secret, "{}", mail.template());
        }
    }

    #[test]
    fn a_code_is_in_both_parts_and_not_in_the_subject() {
        let [mail, ..] = mails("Acme");
        assert_eq!(
            mail.text().expose(),
            "Your code for Acme is\n\n    123456\n\nIt is good for 10 minutes and for one use.\n\n\
             If you did not just sign up for Acme, ignore this mail and pass the code\non to nobody.\n"
        );
        assert!(mail.html().expose().contains(">123456<"));
        assert!(!mail.subject().contains("123456"));
    }

    #[test]
    fn a_name_cannot_become_html() {
        for mail in mails("<img src=x onerror='a'>&\"") {
            let html = mail.html();
            assert!(!html.expose().contains("<img"), "{}", html.expose());
            assert!(html.expose().contains("&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;"));
        }
    }

    #[test]
    fn no_mail_fetches_anything_or_chooses_colours() {
        for mail in mails("Acme") {
            let html = mail.html();
            for word in ["src", "url(", "http", "<img", "<script", "<style", "<link", "color:"] {
                assert!(!html.expose().contains(word), "{word}: {}", html.expose());
            }
        }
    }

    #[test]
    fn a_link_is_in_the_text_and_not_in_the_subject() {
        let url = "https://id.test/claim/x";
        let (link, product) = (|| Secret::new(url.to_owned()), || "Acme".parse().unwrap());
        for mail in [
            Mail::AccessApproved { server: "https://id.test".to_owned(), link: link() },
            Mail::ConfirmAddress { product: product(), link: link() },
            Mail::Invited { product: product(), link: link() },
            Mail::AddressChanged { product: product(), link: link() },
        ] {
            assert!(mail.text().expose().contains(url));
            assert!(!mail.subject().contains("claim"));
        }
    }
}
