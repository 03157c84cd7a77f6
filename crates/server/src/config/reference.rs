//! The tables of `docs/configuration.md`, which are made from the table of settings.

use keystead_testkit::generated::{check_parts, table};

use super::{Setting, reference};

#[test]
fn the_documentation_lists_the_settings_as_they_are() {
    let mut sections: Vec<(&str, Vec<&Setting>)> = Vec::new();
    for setting in reference() {
        let section = setting.key.rsplit_once('.').map_or("", |(section, _)| section);
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, settings)) => settings.push(setting),
            None => sections.push((section, vec![setting])),
        }
    }
    let shown = sections.into_iter().map(|(name, settings)| {
        let heading = if name.is_empty() { "### General".to_owned() } else { format!("### `{name}`") };
        let head = ["key", "variable", "type", "default", "accepted", "what it decides"];
        format!("{heading}\n\n{}", table(head, settings.into_iter().map(row)))
    });
    let text = shown.collect::<Vec<_>>().join("\n");
    check_parts("docs/configuration.md", &[("settings", text)]);
}

fn row(setting: &Setting) -> [String; 6] {
    let default = match setting.default {
        Some("") => "none".to_owned(),
        Some(default) => format!("`{default}`"),
        None => "unset".to_owned(),
    };
    [
        format!("`{}`", setting.key),
        format!("`{}`", setting.variable()),
        setting.toml_type.to_owned(),
        default,
        setting.accepts.to_owned(),
        setting.what.to_owned(),
    ]
}
