//! What the README shows is what happens: the same first request as the
//! demo's, and the same walk. Its configurations and links are looked at with
//! the manual's.

use std::process::Command;

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
