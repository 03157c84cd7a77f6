//! What Keystead writes to people: every subject and text, in one place.
//!
//! No text repeats what a stranger typed (a name, say): whoever signs up with somebody else's
//! address would otherwise get to write to that person in our name.

use crate::Secret;
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
    /// Sign-ins or codes failed for an address more often than slips explain.
    FailedSignIns {
        /// Whose product.
        product: Name,
    },
}

impl Mail {
    /// What lists of mails call it.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::ConfirmSignUp { .. } => "confirm_sign_up",
            Self::ResetPassword { .. } => "reset_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::AddressTaken { .. } => "address_taken",
            Self::FailedSignIns { .. } => "failed_sign_ins",
        }
    }

    /// The subject line. It never holds a code: phones show it on their lock screen.
    pub fn subject(&self) -> String {
        match self {
            Self::ConfirmSignUp { product, .. } => format!("Confirm your e-mail address for {product}"),
            Self::ResetPassword { product, .. } => format!("Set a new password for {product}"),
            Self::PasswordChanged { product } => format!("Your password for {product} was changed"),
            Self::AddressTaken { product } => format!("You already have an account at {product}"),
            Self::FailedSignIns { product } => format!("Failed sign-ins to your account at {product}"),
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
            Self::ResetPassword { product, code } => format!(
                "Your code to set a new password for {product} is\n\n    {}\n\nIt is good for 10 minutes and for one \
                 use.\n\nIf you did not ask for it, ignore this mail and pass the code on to nobody: your password \
                 stays as it is.\n",
                code.expose()
            ),
            Self::PasswordChanged { product } => format!(
                "The password of your account at {product} was just changed, and every other device was signed out.\n\n\
                 If it was not you, set a new password with \"forgotten password\" now.\n"
            ),
            Self::AddressTaken { product } => format!(
                "Somebody, perhaps you, tried to sign up for {product} with this address.\n\
                 You already have an account there: sign in as usual.\n\n\
                 If it was not you, there is nothing to do; nothing has changed.\n"
            ),
            Self::FailedSignIns { product } => format!(
                "Several wrong passwords or codes were tried for your account at {product}. Nobody got in\n\
                 with them. Further tries now have to wait, up to 15 minutes each; a sign-in that succeeds\n\
                 ends that.\n\n\
                 If it was you, there is nothing to do. If it was not, make sure that you use your password\n\
                 for {product} nowhere else.\n"
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
}
