//! What the README shows is what happens: the same first request as the
//! demo's, the same walk, and configurations that are good.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use standin::config::{Surroundings, load};

const README: &str = include_str!("../README.md");

/// The texts of the code blocks in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    README
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

#[test]
fn the_first_request_is_the_demo_s() {
    let curl = blocks("sh")
        .into_iter()
        .find(|block| block.starts_with("curl"));
    let body = curl.unwrap().split('\'').nth(3).unwrap();
    assert_eq!(body, standin::cli::FIRST_REQUEST);
}

#[test]
fn the_demo_prints_the_walk_that_is_shown() {
    let demo = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["demo", "--once"])
        .output()
        .unwrap();
    assert!(
        demo.status.success(),
        "{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    let said = String::from_utf8(demo.stdout).unwrap();
    let shown = blocks("text")[0];
    for line in shown.lines() {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    assert_eq!(
        said.matches("returned a completion").count(),
        2,
        "plain and streamed"
    );
    assert!(said.contains("data: [DONE]"));
}

/// A certificate and its key, in PEM.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
});

struct Furnished;

impl Surroundings for Furnished {
    fn var(&self, _: &str) -> Option<String> {
        Some("value".to_owned())
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
fn its_configurations_are_good() {
    let all = blocks("yaml");
    assert!(!all.is_empty());
    for text in all {
        if let Err(problems) = load("README.md", text.as_bytes(), &Furnished) {
            panic!("{problems}");
        }
    }
}

#[test]
fn every_file_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1) {
        let file = link.split([')', '#']).next().unwrap();
        assert!(root.join(file).exists(), "{file}");
    }
}
