//! The manual is true: its configurations load, its files are there, its
//! defaults are the program's, and what it says of an import is what happens.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use standin::config::{Surroundings, load, schema};

/// Every page of it, from the repository's root.
const PAGES: [&str; 6] = [
    "README.md",
    "SECURITY.md",
    "conf/DEFAULTS.md",
    "deploy/MIGRATING.md",
    "deploy/README.md",
    "src/journey/README.md",
];

/// Pages beside it, whose code is for other programs.
const BESIDE: [&str; 6] = [
    "CHANGELOG.md",
    "benches/README.md",
    "deploy/README.md",
    "deploy/prometheus/RUNBOOK.md",
    "fuzz/README.md",
    "load-tests/README.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The texts of the code blocks that begin with just this.
fn blocks(page: &str, language: &str) -> Vec<String> {
    page.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| Some(block.strip_prefix(language)?.strip_prefix('\n')?.to_owned()))
        .collect()
}

/// A certificate and its key, in PEM.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
});

/// Variables hold what a credential looks like, or a digest.
struct Furnished;

impl Surroundings for Furnished {
    fn var(&self, name: &str) -> Option<String> {
        Some(if name.ends_with("SHA256") {
            "a9c72cd9a0f9d5dab199b49273164c96a830278103932d30b74c412b49c72ef2".to_owned()
        } else {
            "value".to_owned()
        })
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (certificate, key) = &*PAIR;
        Ok(match path.extension().and_then(|ending| ending.to_str()) {
            Some("crt") => certificate.clone().into_bytes(),
            Some("key") => key.clone().into_bytes(),
            Some(_) | None => b"value".to_vec(),
        })
    }
}

#[test]
fn every_configuration_that_is_shown_loads() {
    let mut all = 0;
    for name in PAGES {
        // Manifests stand there, too.
        let ours = |text: &String| name != "deploy/README.md" || text.contains("\nproviders:");
        let shown = blocks(&page(name), "yaml");
        assert!(name != "README.md" || !shown.is_empty());
        for text in shown.into_iter().filter(ours) {
            all += 1;
            if let Err(problems) = load(name, text.as_bytes(), &Furnished) {
                panic!("{problems}\n{text}");
            }
        }
    }
    assert!(all >= 6, "{all}");
}

/// What a link to a heading of this page ends with.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            words
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_file_and_heading_that_is_linked_is_there() {
    for name in PAGES.into_iter().chain(BESIDE) {
        let folder = root().join(name).parent().unwrap().to_owned();
        for link in page(name).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            assert!(folder.join(file).exists(), "{name} links {link}");
            if !anchor.is_empty() {
                let text = match file {
                    "" => page(name),
                    file => fs::read_to_string(folder.join(file)).unwrap(),
                };
                assert!(
                    anchors(&text).iter().any(|it| it == anchor),
                    "{name} links {link}"
                );
            }
        }
    }
}

#[test]
fn an_import_becomes_what_is_shown() {
    let page = page("deploy/MIGRATING.md");
    let theirs = blocks(&page, "yaml litellm").remove(0);
    let ours = blocks(&page, "yaml").remove(0);
    let file = std::env::temp_dir().join(format!("standin-manual-{}.yaml", std::process::id()));
    fs::write(&file, theirs).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["import", "litellm"])
        .arg(&file)
        .output();
    let _ = fs::remove_file(&file);
    let made = String::from_utf8(made.unwrap().stdout).unwrap();
    let bare: Vec<&str> = made.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(bare.join("\n").trim(), ours.trim());
}

/// The cells of the table rows below a heading, without their backticks.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let part = page.split("\n## ").find(|part| part.starts_with(heading));
    part.unwrap()
        .lines()
        .filter(|line| {
            line.starts_with("| ") && !line.starts_with("| key ") && !line.starts_with("| what ")
        })
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// Every default of the schema, by its path.
fn defaults(schema: &Value, at: &str, into: &mut BTreeMap<String, String>) {
    for (name, key) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        if let Some(default) = key.get("default") {
            let default = default
                .as_str()
                .map_or_else(|| default.to_string(), str::to_owned);
            into.insert(path.clone(), default);
        }
        defaults(key, &path, into);
        defaults(&key["items"], &format!("{path}[]"), into);
        defaults(&key["additionalProperties"], &format!("{path}.*"), into);
    }
}

#[test]
fn every_default_stands_in_the_table_with_its_reason() {
    let mut real = BTreeMap::new();
    defaults(&schema(), "", &mut real);
    assert!(real.len() > 25);
    let mut told = BTreeMap::new();
    for row in rows(
        &page("conf/DEFAULTS.md"),
        "What the configuration can change",
    ) {
        let [key, default, why] = row.as_slice() else {
            panic!("{row:?}");
        };
        assert!(why.len() > 10, "{key} has no reason");
        let bare = |cell: &str| cell.trim_matches('`').to_owned();
        assert!(
            told.insert(bare(key), bare(default)).is_none(),
            "{key} stands twice"
        );
    }
    assert_eq!(told, real);
}

#[test]
fn what_cannot_be_changed_is_what_the_source_says() {
    let rows = rows(&page("conf/DEFAULTS.md"), "What it cannot change");
    assert!(rows.len() > 10);
    for row in rows {
        let [what, value, place, why] = row.as_slice() else {
            panic!("{row:?}");
        };
        let (file, name) = place.split_once(' ').unwrap();
        let bare = |cell: &str| cell.trim_matches('`').to_owned();
        let source = fs::read_to_string(PathBuf::from(root()).join(bare(file))).unwrap();
        let name = format!("const {}: ", bare(name));
        let line = source.lines().find(|line| line.contains(&name));
        let end = format!("= {};", bare(value));
        assert!(
            line.is_some_and(|line| line.ends_with(&end)),
            "{what}: {line:?}"
        );
        assert!(why.len() > 10, "{what} has no reason");
    }
}
