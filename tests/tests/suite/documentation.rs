//! What the documents name is what there is.

use std::fs;
use std::path::{Path, PathBuf};

use keystead_domain::audit::AuditAction;
use keystead_domain::oauth::{GrantableScope, ScopeCatalogue};
use keystead_domain::plan::{Feature, Plan, Plans};
use keystead_testkit::generated::{check_parts, table};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page of Markdown, with its folder.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs"), root().join("docs/decisions")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// What a heading is called in an address, as code hosts have it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|&c| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 10);
    for (page, text) in &pages {
        for (target, _) in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(file.exists(), "{}: {target}", page.display());
            let headings = || {
                read(&file)
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(|line| anchor(line.trim_start_matches('#')))
                    .collect::<Vec<_>>()
            };
            assert!(
                heading.is_empty() || headings().iter().any(|known| known == heading),
                "{}: {target}",
                page.display()
            );
        }
    }
}

#[test]
fn the_list_of_pages_has_them_all() {
    let list = read(&root().join("docs/README.md"));
    for (page, _) in pages() {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let is_listed = page.parent().unwrap().ends_with("docs") && name != "README.md";
        assert!(!is_listed || list.contains(&format!("]({name})")), "{name} is not in docs/README.md");
    }
}

#[test]
fn what_holds_a_claim_about_security_exists() {
    let model = read(&root().join("docs/security-model.md"));
    let names: Vec<_> = model.split('`').filter_map(|code| code.split_once(".rs::")).collect();
    assert!(names.len() > 40, "{names:?}");
    for (file, name) in names {
        let code = read(&root().join(format!("{file}.rs")));
        assert!(code.contains(&format!("fn {name}(")), "{file}.rs has no {name}");
    }
}

#[test]
fn every_audited_action_is_documented() {
    let rows =
        AuditAction::ALL.iter().map(|action| [format!("`{}`", action.as_str()), action.what().to_owned()]);
    check_parts("docs/audit.md", &[("actions", table(["action", "what it tells"], rows))]);
}

#[test]
fn every_scope_and_plan_is_documented() {
    let scopes = ScopeCatalogue::default();
    let scope = |known: &GrantableScope| {
        let apps = if scopes.for_apps().any(|scope| *scope == known.scope) { "yes" } else { "" };
        let own = if ScopeCatalogue::is_reserved(&known.scope) { "Keystead" } else { "services behind it" };
        [
            format!("`{}`", known.scope.as_str()),
            known.sentence.clone(),
            own.to_owned(),
            format!("`{}`", known.min_role),
            apps.to_owned(),
        ]
    };
    let head = ["scope", "what it opens", "where", "least role", "for apps"];
    let scopes = table(head, scopes.iter().map(scope));
    let plan = |plan: &Plan| {
        let opened = Feature::ALL.into_iter().filter(|feature| plan.opens(*feature));
        let opened: Vec<_> = opened.map(|feature| format!("`{}`", feature.as_str())).collect();
        [format!("`{}`", plan.name), opened.join(", "), plan.burst.to_string(), plan.sustained.to_string()]
    };
    let plans = table(["plan", "opens", "burst", "sustained"], Plans::default().iter().map(plan));
    check_parts("docs/scopes-roles-plans.md", &[("scopes", scopes), ("plans", plans)]);
}
