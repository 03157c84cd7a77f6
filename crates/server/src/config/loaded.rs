//! A configuration that has been read, and what `config show` says about it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Config;
use super::error::Warning;
use super::setting::Setting;
use super::sources::Source;

/// A configuration, and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// What the operator should hear about.
    pub warnings: Vec<Warning>,
    /// By key, whose value won.
    pub(super) sources: BTreeMap<Cow<'static, str>, Source>,
}

/// One setting as people may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The key of the setting.
    pub key: Cow<'static, str>,
    /// The value in force with credentials masked; `None` when it is unset.
    pub value: Option<String>,
    /// `default`, `file PATH`, `environment KEYSTEAD_X` or `flag --x`.
    pub source: String,
}

impl Loaded {
    /// Who decided about a setting: `loaded.source(&Config::listen)`.
    pub fn source(&self, setting: &Setting) -> &Source {
        self.source_of(setting.key)
    }

    /// All settings in the order of [`reference`](super::reference).
    pub fn show(&self) -> Vec<Shown> {
        let show = |(key, value): (Cow<'static, str>, _)| {
            let source = self.source_of(&key).to_string();
            Shown { key, value, source }
        };
        self.config.show().map(show).collect()
    }

    /// What [`show`](Self::show) has, one line each with aligned columns.
    pub fn render_text(&self) -> String {
        let rows: Vec<_> = self
            .show()
            .into_iter()
            .map(|row| (row.key, row.value.unwrap_or_else(|| "(unset)".to_owned()), row.source))
            .collect();
        let keys = rows.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
        let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (key, value, source) in rows {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{key:keys$}  {value:values$}  {source}");
        }
        text
    }

    fn source_of(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }
}
