//! What a setting may be: each [`Rule`] reads one kind of value and has the words that say what it
//! accepts.
//!
//! Every source becomes text before it comes here, so a rule, its limits and its error are the same
//! for a line of the file, a variable and a flag.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keystead_crypto::reports::ReporterKey;
use keystead_domain::api_key::Brand;
use keystead_domain::mail::Sender;
use keystead_domain::network::Cidr;
use keystead_domain::rate_limit::Quota;
use keystead_domain::role::Role;
use keystead_domain::tenant::PlanName;
use keystead_service::smtp::Relay;

use super::url::{is_public_url, mask_password};

/// Stands for `data_dir` at the start of a path, so that a default can lie in the data directory.
const DATA_DIR: &str = "{data_dir}";

/// How the value of a setting is read.
pub(super) struct Rule<T> {
    /// Completes the sentence "`key` must be …".
    pub(super) accepts: &'static str,
    /// The value, unless the text is not acceptable.
    pub(super) parse: fn(&str) -> Option<T>,
}

/// A type that a setting may have.
pub(super) trait Value: Sized {
    /// The type that TOML must give it; an integer in quotes is a mistake worth hearing about.
    const TOML_TYPE: &'static str = "string";

    /// Whether the text may hold a credential, so that no error may quote it.
    const SECRET: bool = false;

    /// The value in the absence of any; only an `Option` can do without.
    fn unset() -> Option<Self> {
        None
    }

    /// The value as people may see it, credentials masked; `None` when unset.
    fn show(&self) -> Option<String>;
}

macro_rules! integer_values {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const TOML_TYPE: &'static str = "integer";

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

integer_values!(u32, u64, usize);

impl Value for bool {
    const TOML_TYPE: &'static str = "boolean";

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A list is an array in the file, and separated by commas elsewhere.
impl Value for Vec<Cidr> {
    const TOML_TYPE: &'static str = "array";

    fn show(&self) -> Option<String> {
        let shown = self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        (!shown.is_empty()).then_some(shown)
    }
}

/// The origin of a page, as browsers write it (RFC 6454 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for Vec<Origin> {
    const TOML_TYPE: &'static str = "array";

    fn show(&self) -> Option<String> {
        let shown = self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        (!shown.is_empty()).then_some(shown)
    }
}

impl Value for Vec<ReporterKey> {
    const TOML_TYPE: &'static str = "array";

    fn show(&self) -> Option<String> {
        let shown = self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        (!shown.is_empty()).then_some(shown)
    }
}

impl Value for Brand {
    fn show(&self) -> Option<String> {
        Some(self.as_str().to_owned())
    }
}

/// A part of a whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u32);

impl Ratio {
    /// As a number from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Value for Ratio {
    const TOML_TYPE: &'static str = "float";

    fn show(&self) -> Option<String> {
        Some(self.as_f64().to_string())
    }
}

impl Value for Quota {
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for PlanName {
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Role {
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for SocketAddr {
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for PathBuf {
    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl<T: Value> Value for Option<T> {
    const TOML_TYPE: &'static str = T::TOML_TYPE;
    const SECRET: bool = T::SECRET;

    fn unset() -> Option<Self> {
        Some(None)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

/// Where everything is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL; the URL usually holds a password.
    Postgres(String),
}

impl Database {
    /// The same database, with the data directory put in where its path stands for it.
    pub(super) fn placed_in(self, data_dir: &Path) -> Self {
        match self {
            Self::Sqlite(path) => match path.strip_prefix(DATA_DIR) {
                Ok(rest) => Self::Sqlite(data_dir.join(rest)),
                Err(_) => Self::Sqlite(path),
            },
            Self::Postgres(url) => Self::Postgres(url),
        }
    }
}

/// As in the configuration, without the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&mask_password(url)),
        }
    }
}

/// Without the password too: a `Config` may end up in a log.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

impl Value for Database {
    const SECRET: bool = true;

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// How mail leaves the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// Into the outbox in the data directory, for development.
    File,
    /// To a mail server; its URL usually holds a password.
    Smtp(Relay),
}

impl Value for Mail {
    // Whoever tries the URL of a mail server here has written its password.
    const SECRET: bool = true;

    fn show(&self) -> Option<String> {
        match self {
            Self::File => Some("file".to_owned()),
            Self::Smtp(relay) => Some(relay.to_string()),
        }
    }
}

impl Value for Sender {
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

pub(super) const ADDRESS: Rule<SocketAddr> =
    Rule { accepts: "an IP address and a port such as 127.0.0.1:8000", parse: |text| text.parse().ok() };

pub(super) const URL: Rule<Option<String>> = Rule {
    accepts: "an absolute http or https URL such as https://auth.example.com, its host in lower case, \
              without user, query, fragment and trailing slash",
    parse: |text| is_public_url(text).then(|| Some(text.to_owned())),
};

pub(super) const PATH: Rule<PathBuf> =
    Rule { accepts: "a path", parse: |text| line(text).map(PathBuf::from) };

pub(super) const DATABASE: Rule<Database> = Rule {
    accepts: "sqlite:PATH, postgres://… or postgresql://…",
    parse: |text| {
        let text = line(text)?;
        if let Some(path) = text.strip_prefix("sqlite:") {
            // Other programs write `sqlite://PATH`. A path with a colon first is SQLite's notation
            // for a database in memory, which each connection would have for itself.
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty() && !path.starts_with(':')).then(|| Database::Sqlite(path.into()));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        (!rest.is_empty()).then(|| Database::Postgres(text.to_owned()))
    },
};

pub(super) const MAIL: Rule<Mail> = Rule {
    accepts: "file, smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT, user and password \
              percent-encoded; ?tls=off is for a server on this machine only",
    parse: |text| match text {
        "file" => Some(Mail::File),
        url => url.parse().ok().map(Mail::Smtp),
    },
};

pub(super) const MAILBOX: Rule<Sender> = Rule {
    accepts: "a mail address, with a name or without, free of control characters",
    parse: |text| text.parse().ok(),
};

pub(super) const PREFIX: Rule<String> = Rule {
    accepts: "2 to 16 lower-case letters, digits and underscores, a letter first and an underscore last",
    parse: |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let fits = (2..=16).contains(&text.len())
            && text.bytes().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.ends_with('_');
        fits.then(|| text.to_owned())
    },
};

pub(super) const REPORTERS: Rule<Vec<ReporterKey>> = Rule {
    accepts: "an identifier, a colon and a P-256 public key in base64, several separated by commas",
    parse: |text| {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        keys.map(|key| key.parse().ok()).collect()
    },
};

pub(super) const BRAND: Rule<Brand> = Rule {
    accepts: "1 to 32 lower-case letters, digits and underscores, a letter first and no underscore last",
    parse: |text| text.parse().ok(),
};

pub(super) const ORIGINS: Rule<Vec<Origin>> = Rule {
    accepts: "origins such as https://app.example.com, without a path",
    parse: |text| {
        let origin = |text: &str| {
            let bare = text.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
            // Browsers leave the scheme's own port out.
            let port = text.starts_with("https:") && text.ends_with(":443")
                || text.starts_with("http:") && text.ends_with(":80");
            (is_public_url(text) && bare && !port).then(|| Origin(text.to_owned()))
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(origin).collect()
    },
};

pub(super) const LINE: Rule<String> =
    Rule { accepts: "text without control characters", parse: |text| line(text).map(str::to_owned) };

pub(super) const SENTENCE: Rule<String> = Rule {
    accepts: "a sentence of at most 200 characters",
    parse: |text| line(text).filter(|text| text.chars().count() <= 200).map(str::to_owned),
};

pub(super) const PLAN: Rule<PlanName> =
    Rule { accepts: "the name of a plan", parse: |text| text.parse().ok() };

pub(super) const ROLE: Rule<Role> =
    Rule { accepts: "one of member, manager, admin, owner", parse: |text| text.parse().ok() };

pub(super) const SWITCH: Rule<bool> = Rule { accepts: "true or false", parse: |text| text.parse().ok() };

pub(super) const RATIO: Rule<Ratio> = Rule {
    accepts: "a number from 0 to 1 such as 0.05",
    parse: |text| {
        let number: f64 = text.parse().ok()?;
        // The range leaves out what is no number, so the conversion is exact to a millionth.
        (0.0..=1.0).contains(&number).then(|| Ratio((number * 1e6).round() as u32))
    },
};

pub(super) const RANGES: Rule<Vec<Cidr>> = Rule {
    accepts: "IP addresses and ranges such as 10.0.0.0/8, separated by commas",
    parse: |text| match text.trim() {
        "" => Some(Vec::new()),
        list => list.split(',').map(|range| range.trim().parse().ok()).collect(),
    },
};

pub(super) const HEADER: Rule<Option<String>> = Rule {
    accepts: "the name of a header that lists addresses, such as X-Forwarded-For (RFC 7239's Forwarded \
              is not read)",
    parse: |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        (is_name && !text.eq_ignore_ascii_case("forwarded")).then(|| Some(text.to_owned()))
    },
};

pub(super) const QUOTA: Rule<Quota> = Rule {
    accepts: "a number of requests and a time of at most a day, such as 500/15m, 30/10s or 5/1h",
    parse: |text| text.parse().ok(),
};

/// A number between two limits, both of them allowed.
macro_rules! whole_number {
    ($min:literal ..= $max:literal) => {
        $crate::config::values::Rule {
            accepts: concat!("a whole number from ", $min, " to ", $max),
            parse: |text| text.parse().ok().filter(|number| ($min..=$max).contains(number)),
        }
    };
}

/// One of a few words.
macro_rules! one_of {
    ($first:literal $(, $other:literal)*) => {
        $crate::config::values::Rule {
            accepts: concat!("one of ", $first $(, ", ", $other)*),
            parse: |text| [$first $(, $other)*].contains(&text).then(|| text.to_owned()),
        }
    };
}

pub(super) use {one_of, whole_number};

/// The text, if it is not empty and has nothing in it that could end a line or move a cursor.
fn line(text: &str) -> Option<&str> {
    (!text.trim().is_empty() && !text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts<T>(rule: &Rule<T>, text: &str) -> bool {
        (rule.parse)(text).is_some()
    }

    #[test]
    fn databases_are_files_or_postgres_urls() {
        let parse = DATABASE.parse;
        assert_eq!(parse("sqlite:a/b.db"), Some(Database::Sqlite("a/b.db".into())));
        assert_eq!(parse("sqlite:/a/b.db"), Some(Database::Sqlite("/a/b.db".into())));
        assert_eq!(parse("sqlite:///a/b.db"), Some(Database::Sqlite("/a/b.db".into())));
        assert_eq!(parse("sqlite://b.db"), Some(Database::Sqlite("b.db".into())));
        for url in ["postgres://localhost/keystead", "postgresql://u:p@[::1]:5432/keystead?sslmode=require"] {
            assert_eq!(parse(url), Some(Database::Postgres(url.to_owned())));
        }
        for text in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "postgres://",
            "postgres:/x",
            "mysql://localhost/x",
            "keystead.db",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_leading_placeholder_stands_for_the_data_directory() {
        let placed =
            |text| (DATABASE.parse)(text).map(|database| database.placed_in(Path::new("/data")).to_string());
        assert_eq!(placed("sqlite:{data_dir}/keystead.db").as_deref(), Some("sqlite:/data/keystead.db"));
        assert_eq!(placed("sqlite:/other/{data_dir}").as_deref(), Some("sqlite:/other/{data_dir}"));
        assert_eq!(placed("sqlite:keystead.db").as_deref(), Some("sqlite:keystead.db"));
    }

    #[test]
    fn a_database_shows_no_password() {
        let database = Database::Postgres("postgres://user:hunter2@host/db".to_owned());
        assert_eq!(
            format!("{database:?} {database}"),
            "Database(postgres://user:***@host/db) postgres://user:***@host/db"
        );
    }

    #[test]
    fn prefixes_are_short_and_end_in_an_underscore() {
        for prefix in ["k_", "ksc_", "acme2_live_", "abcdefghijklmno_"] {
            assert!(accepts(&PREFIX, prefix), "{prefix}");
        }
        for prefix in ["", "_", "ksc", "Ksc_", "2k_", "_k_", "k-s_", "kß_", "abcdefghijklmnop_"] {
            assert!(!accepts(&PREFIX, prefix), "{prefix}");
        }
    }

    #[test]
    fn numbers_have_limits_and_words_are_listed() {
        let number: Rule<u32> = whole_number!(1..=1_000);
        assert_eq!(number.accepts, "a whole number from 1 to 1000");
        for (text, value) in
            [("1", Some(1)), ("1000", Some(1000)), ("0", None), ("1001", None), ("-1", None), ("x", None)]
        {
            assert_eq!((number.parse)(text), value, "{text}");
        }
        let plan = one_of!("free", "studio");
        assert_eq!(plan.accepts, "one of free, studio");
        assert!(accepts(&plan, "studio") && !accepts(&plan, "Studio") && !accepts(&plan, ""));
    }

    #[test]
    fn a_ratio_is_part_of_a_whole() {
        let shown = |text| (RATIO.parse)(text).and_then(|ratio| ratio.show());
        for (text, expected) in [("0", "0"), ("1", "1"), ("1.0", "1"), ("0.05", "0.05"), ("1e-6", "0.000001")]
        {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-0.1", "1.01", "nan", "inf", "5%", "half"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_are_a_list_and_may_be_none() {
        let shown = |text| (RANGES.parse)(text).map(|ranges| ranges.show());
        assert_eq!(shown(""), Some(None));
        assert_eq!(shown("10.0.0.0/8, ::1"), Some(Some("10.0.0.0/8,::1/128".to_owned())));
        for text in [",", "10.0.0.0/8,", "10.0.0.1/8", "localhost", "10.0.0.0/8 ::1"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_read_has_a_name_and_lists_addresses() {
        for name in ["X-Forwarded-For", "x-real-ip", "CF-Connecting-IP"] {
            assert!(accepts(&HEADER, name), "{name}");
        }
        for name in ["", "Forwarded", "forwarded", "a b", "a:b", "x\r\ny"] {
            assert!(!accepts(&HEADER, name), "{name:?}");
        }
    }

    #[test]
    fn mail_goes_to_files_or_to_a_server_that_encrypts() {
        let shown = |text| (MAIL.parse)(text).and_then(|mail| mail.show());
        assert_eq!(shown("file").as_deref(), Some("file"));
        assert_eq!(shown("smtps://u:hunter2@mail.test").as_deref(), Some("smtps://u:***@mail.test:465"));
        assert_eq!(
            shown("smtp://u:hunter2@mail.test:25").as_deref(),
            Some("smtp://u:***@mail.test:25?tls=required")
        );
        assert_eq!(shown("smtp://localhost:25").as_deref(), Some("smtp://localhost:25?tls=off"));
        for text in ["", "File", "sendmail", "smtp://mail.test?tls=off", "smtp://192.0.2.1?tls=off"] {
            assert!(!accepts(&MAIL, text), "{text}");
        }
    }

    #[test]
    fn a_mail_sender_cannot_add_a_header() {
        assert!(accepts(&MAILBOX, "Keystead <no-reply@localhost>"));
        for text in ["", "Keystead", "a@b\r\nBcc: c@d", "a@b\u{7f}", "a@b\0"] {
            assert!(!accepts(&MAILBOX, text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_is_read_back(
            text: String, url in "(sqlite|postgres|postgresql|https?|smtps?)://?[a-zA-Z0-9:@./?=&%{}\\[\\]-]{0,30}", list in "[0-9./:, ]{0,30}",
        ) {
            for text in [text, url, list] {
                let _ = (accepts(&URL, &text), accepts(&MAIL, &text), accepts(&RATIO, &text), accepts(&HEADER, &text));
                let again = |shown: Option<String>| shown.unwrap_or_default();
                if let Some(value) = (DATABASE.parse)(&text) {
                    let shown = again(value.show());
                    prop_assert!((DATABASE.parse)(&shown).is_some(), "{}", shown);
                }
                if let Some(value) = (RANGES.parse)(&text) {
                    prop_assert_eq!((RANGES.parse)(&again(value.show())), Some(value));
                }
                if let Some(value) = (QUOTA.parse)(&text) {
                    prop_assert_eq!((QUOTA.parse)(&again(value.show())), Some(value));
                }
                if let Some(value) = (ADDRESS.parse)(&text) {
                    prop_assert_eq!((ADDRESS.parse)(&again(value.show())), Some(value));
                }
            }
        }

        #[test]
        fn no_password_of_a_url_is_shown(password in "[A-Z]{12}", user in "[a-z]{1,5}", tail in "[a-z0-9./?=&%@:-]{0,20}") {
            for url in [format!("postgres://{user}:{password}@host/{tail}"), format!("postgres://host/db?password={password}&{tail}")] {
                if let Some(database) = (DATABASE.parse)(&url) {
                    prop_assert!(!format!("{database} {database:?}").contains(&password), "{}", url);
                    prop_assert!(!crate::config::url::without_password(&url).contains(&password), "{}", url);
                }
            }
        }
    }
}
