//! What Keystead is made of: the licences of its dependencies, and that its binary brings its
//! libraries along.
//!
//! A licence is an expression of SPDX (annex "License expressions", the part that `Cargo.toml`
//! uses): licences joined by `AND` and `OR`, `AND` before `OR`, with parentheses, `WITH` an
//! exception, and `/` as `OR` used to be written.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::SplitWhitespace;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};

/// What may be linked into a program under any licence, as long as its notice is kept. A licence
/// with an exception is another one than the licence alone.
const PERMISSIVE: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that the server must not be built from, and why.
const UNWANTED: [(&str, &str); 7] = [
    ("bindgen", "needs libclang of the machine to build; take bindings that are made already"),
    ("libz-sys", "links zlib of the machine where it finds one"),
    ("mysqlclient-sys", "links libmysqlclient of the machine"),
    ("native-tls", "is OpenSSL of the machine on Linux; Keystead speaks TLS with rustls"),
    ("openssl-sys", "links OpenSSL of the machine; Keystead speaks TLS with rustls and signs with aws-lc-rs"),
    ("pq-sys", "links libpq of the machine; Keystead speaks to PostgreSQL with tokio-postgres"),
    ("pq-src", "builds libpq, with OpenSSL; Keystead speaks to PostgreSQL with tokio-postgres"),
];

/// Packages that declare a native library, and compile it from sources of their own.
const WITH_OWN_SOURCES: [&str; 3] = ["aws-lc-rs", "aws-lc-sys", "libsqlite3-sys"];

#[test]
fn every_dependency_has_a_permissive_licence() {
    let metadata = every_platform().or_else(|_| this_platform()).expect("cargo should know the dependencies");
    let refused: Vec<_> = metadata.packages.iter().filter_map(objection).collect();
    assert!(refused.is_empty(), "not permissively licensed:\n  {}", refused.join("\n  "));
}

#[test]
fn the_server_is_built_without_libraries_of_the_machine() {
    let metadata = this_platform().expect("cargo should know the dependencies");
    let parts = built_from("keystead-server", &metadata).expect("the server should have dependencies");
    // Each has a reason to be there; without them, the walk went astray.
    for expected in ["keystead-server", "keystead-storage", "tokio-postgres", "libsqlite3-sys", "cc"] {
        assert!(parts.iter().any(|(package, _)| package.name == expected), "{expected} is not found");
    }

    let mut refused = Vec::new();
    for (package, node) in parts {
        let name = package.name.as_str();
        if let Some((_, reason)) = UNWANTED.iter().find(|(unwanted, _)| *unwanted == name) {
            refused.push(format!("{name} {}: {reason}", package.version));
        } else if let Some(library) = package.links.as_ref().filter(|_| !WITH_OWN_SOURCES.contains(&name)) {
            refused.push(format!("{name} {}: links `{library}`; is it the machine's?", package.version));
        }
        if name == "libsqlite3-sys" && !node.features.iter().any(|feature| feature.as_str() == "bundled") {
            refused.push(format!("{name} {}: lacks its feature `bundled`", package.version));
        }
    }
    assert!(refused.is_empty(), "the server is built from:\n  {}", refused.join("\n  "));
}

/// The dependencies on every platform: all that `Cargo.lock` has. They are known only after
/// `cargo fetch`; a build fetches no other platform's, and neither does a test.
fn every_platform() -> Result<Metadata, String> {
    metadata(&["--offline"])
}

/// The dependencies on the platform that the tests are built on. After a build of the workspace
/// they are all here, and cargo asks no network.
fn this_platform() -> Result<Metadata, String> {
    metadata(&["--filter-platform", "host-tuple"])
}

/// The whole workspace with all features, for building, testing and running.
fn metadata(options: &[&str]) -> Result<Metadata, String> {
    let options = ["--locked"].iter().chain(options);
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(options.map(ToString::to_string).collect::<Vec<_>>())
        .exec()
        .map_err(|error| error.to_string())
}

/// The package and all that takes part in building it, its tests excepted.
fn built_from<'a>(root: &str, metadata: &'a Metadata) -> Option<Vec<(&'a Package, &'a Node)>> {
    let nodes = &metadata.resolve.as_ref()?.nodes;
    let root = metadata.workspace_packages().into_iter().find(|package| package.name == root)?;

    let mut seen: HashSet<&PackageId> = HashSet::from([&root.id]);
    let mut open = vec![&root.id];
    let mut parts = Vec::new();
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node.id == *id)?;
        parts.push((&metadata[id], node));
        for dependency in &node.deps {
            let takes_part = dependency.dep_kinds.iter().any(|info| info.kind != DependencyKind::Development)
                && is_asked_for(&metadata[id], node, &metadata[&dependency.pkg].name);
            if takes_part && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    Some(parts)
}

/// Whether a package is built with this dependency. `cargo metadata` also has those of weak features
/// (`ring?/std`), which ask for something of a dependency only where another feature brings it.
fn is_asked_for(package: &Package, node: &Node, dependency: &str) -> bool {
    package.dependencies.iter().filter(|one| one.name == dependency).any(|one| {
        let key = one.rename.as_deref().unwrap_or(&one.name);
        let (brought, with_features) = (format!("dep:{key}"), format!("{key}/"));
        let brings = |feature: &str| {
            let asks = package.features.get(feature);
            asks.is_some_and(|asks| asks.iter().any(|ask| *ask == brought || ask.starts_with(&with_features)))
        };
        !one.optional || node.features.iter().any(|feature| feature.as_str() == key || brings(feature))
    })
}

/// What is wrong with a package's licence, if anything.
fn objection(package: &Package) -> Option<String> {
    let reason = match package.license.as_deref().map(|licence| (licence, is_permissive(licence))) {
        Some((_, Ok(true))) => return None,
        Some((licence, Ok(false))) => licence.to_owned(),
        Some((licence, Err(error))) => format!("{licence} (not a licence expression: {error})"),
        None => "its manifest names no licence".to_owned(),
    };
    Some(format!("{} {}: {reason}", package.name, package.version))
}

/// Whether whoever takes the package can choose to do so under permissive licences alone.
fn is_permissive(expression: &str) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let permissive = any_of(&mut words)?;
    match words.next() {
        None => Ok(permissive),
        Some(word) => Err(format!("`{word}` follows its end")),
    }
}

type Words<'a> = Peekable<SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> Result<bool, String> {
    let mut permissive = all_of(words)?;
    while words.next_if_eq(&"OR").is_some() {
        permissive |= all_of(words)?;
    }
    Ok(permissive)
}

fn all_of(words: &mut Words<'_>) -> Result<bool, String> {
    let mut permissive = one(words)?;
    while words.next_if_eq(&"AND").is_some() {
        permissive &= one(words)?;
    }
    Ok(permissive)
}

fn one(words: &mut Words<'_>) -> Result<bool, String> {
    if words.next_if_eq(&"(").is_some() {
        let permissive = any_of(words)?;
        words.next_if_eq(&")").ok_or("a parenthesis stays open")?;
        return Ok(permissive);
    }
    let licence = name(words)?;
    // `+` allows later versions as well, and so this one.
    let licence = licence.strip_suffix('+').unwrap_or(licence);
    if words.next_if_eq(&"WITH").is_none() {
        return Ok(PERMISSIVE.contains(&licence));
    }
    let exception = name(words)?;
    Ok(PERMISSIVE.contains(&format!("{licence} WITH {exception}").as_str()))
}

/// The name of a licence or an exception.
fn name<'a>(words: &mut Words<'a>) -> Result<&'a str, String> {
    let word = words.next().ok_or("a licence is missing at its end")?;
    let is_name = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:+".contains(&byte));
    // An operator in lower case ends up where no name may be, and is refused there.
    if !is_name || ["AND", "OR", "WITH"].contains(&word) {
        return Err(format!("`{word}` stands where a licence should"));
    }
    Ok(word)
}

mod expressions {
    use super::is_permissive;

    #[test]
    fn a_licence_is_permissive_if_listed() {
        for permissive in ["MIT", "Apache-2.0", "Apache-2.0+", " Unicode-3.0 ", "(Zlib)", "((ISC))"] {
            assert_eq!(is_permissive(permissive), Ok(true), "{permissive}");
        }
        for refused in ["GPL-3.0-only", "GPL-3.0+", "BSL-1.0", "LicenseRef-Own", "mit", "MIT-1"] {
            assert_eq!(is_permissive(refused), Ok(false), "{refused}");
        }
    }

    #[test]
    fn of_alternatives_one_is_enough_and_of_a_sum_all_count() {
        for permissive in ["MIT OR GPL-2.0-only", "GPL-2.0-only OR MIT", "GPL-2.0-only/MIT", "A / B / MIT"] {
            assert_eq!(is_permissive(permissive), Ok(true), "{permissive}");
        }
        for refused in ["MIT AND GPL-2.0-only", "GPL-2.0-only AND MIT", "MIT AND A AND ISC", "A / B"] {
            assert_eq!(is_permissive(refused), Ok(false), "{refused}");
        }
    }

    #[test]
    fn and_binds_before_or_and_parentheses_before_both() {
        let cases = [
            ("MIT OR ISC AND A", true),
            ("A AND ISC OR MIT", true),
            ("(MIT OR ISC) AND A", false),
            ("A AND (ISC OR MIT)", false),
            ("(A OR MIT) AND (ISC OR B)", true),
            ("MIT AND (ISC AND (A OR Zlib))", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("A OR(MIT)", true),
        ];
        for (expression, permissive) in cases {
            assert_eq!(is_permissive(expression), Ok(permissive), "{expression}");
        }
    }

    #[test]
    fn an_exception_makes_another_licence() {
        let cases = [
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH Other-exception", false),
            ("GPL-2.0-only WITH Classpath-exception-2.0", false),
            ("GPL-2.0-only WITH Classpath-exception-2.0 OR MIT", true),
            ("MIT AND Apache-2.0 WITH LLVM-exception", true),
        ];
        for (expression, permissive) in cases {
            assert_eq!(is_permissive(expression), Ok(permissive), "{expression}");
        }
    }

    #[test]
    fn what_is_not_an_expression_is_an_error() {
        let broken = [
            "",
            "()",
            "(MIT",
            "MIT)",
            "MIT OR",
            "OR MIT",
            "AND",
            "MIT ISC",
            "MIT or ISC",
            "MIT, ISC",
            "MIT/",
            "MIT AND OR ISC",
            "Apache-2.0 WITH",
            "Apache-2.0 WITH (LLVM-exception)",
            "(MIT) WITH LLVM-exception",
            "MIT WITH LLVM-exception WITH LLVM-exception",
        ];
        for expression in broken {
            assert!(is_permissive(expression).is_err(), "{expression}");
        }
    }
}
