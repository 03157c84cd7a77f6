//! What can be wrong with a configuration. No message holds the value of a secret setting.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::sources::Source;

/// One thing that is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing though it was named, or cannot be read.
    #[error("file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML. Only the first such mistake is known, and nothing that the file sets.
    #[error("{} is not valid TOML: {message}", at.precise())]
    Syntax {
        /// The file and the line.
        at: Source,
        /// What the parser says. It does not quote the line, which may hold a password.
        message: String,
    },
    /// No setting has this key.
    #[error("`{}` ({}) is not a setting; the nearest is `{nearest}`", key.escape_debug(), at.precise())]
    Unknown {
        /// The key as it was written.
        key: String,
        /// Where it was written.
        at: Source,
        /// The known key that looks most like it.
        nearest: String,
    },
    /// A setting has a value that it cannot have.
    #[error("`{key}` ({}) must be {accepts}{}", at.precise(), but_is(found.as_deref()))]
    Impossible {
        /// The key of the setting.
        key: String,
        /// Who said so.
        at: Source,
        /// What it can be.
        accepts: String,
        /// What it is; `None` for a value that may hold a credential.
        found: Option<String>,
    },
    /// Something that the operator added lacks a part.
    #[error("`{key}` is missing: `{thing}` ({}) is not whole without it", at.precise())]
    Incomplete {
        /// The key that is missing.
        key: String,
        /// What lacks it.
        thing: String,
        /// Where that stands.
        at: Source,
    },
    /// Something that the operator added cannot be called that.
    #[error("`{}` ({}) must be named by {accepts}", thing.escape_debug(), at.precise())]
    Misnamed {
        /// What it is called.
        thing: String,
        /// Where.
        at: Source,
        /// What it can be called.
        accepts: String,
    },
}

fn but_is(found: Option<&str>) -> String {
    match found {
        Some(found) => format!(", not {found}"),
        None => "; its value is not shown, for it may hold a password".to_owned(),
    }
}

/// Everything that is wrong with a configuration, one line each; never empty.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self(errors)
    }

    /// The errors in the order of the sources, then of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// A variable that looks like a setting and is none. It is no error, because the variables of a
/// machine are not only ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable.
    pub variable: String,
    /// The known variable that looks most like it.
    pub nearest: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, nearest } = self;
        write!(
            f,
            "the environment variable {} is not a setting and has no effect; ",
            variable.escape_debug()
        )?;
        write!(f, "the nearest is {nearest}")
    }
}

/// The public URL would carry passwords and tokens over a network in clear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{key}` is {url}: plain http is for this machine only; use https, \
     or start with --insecure-http to accept that passwords and tokens can be read on the way"
)]
pub struct InsecurePublicUrl {
    /// The key of the setting.
    pub key: &'static str,
    /// Its value.
    pub url: String,
}
