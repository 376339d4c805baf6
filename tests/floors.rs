//! The order of the house, which the compiler cannot hold: a module uses only
//! the modules listed above it in `lib.rs`, sockets stay where they belong,
//! and no file outgrows its reader.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where pingora may be named.
const PINGORA: [&str; 5] = ["transport", "upstream", "front", "admin", "server"];

/// Where a task may be started.
const SPAWNS: [&str; 2] = ["src/front/mod.rs", "src/mock/listener.rs"];

/// Lines of a file before its tests.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The modules in the order of `lib.rs`.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    });
    let modules: Vec<String> = modules.collect();
    assert!(modules.len() > 10, "lib.rs lists {modules:?}");
    modules
}

/// Every source file with the module it belongs to, and its text without
/// comments.
fn sources() -> Vec<(PathBuf, String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&src).unwrap();
            let first = below.iter().next().unwrap().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(|line| format!("{line}\n"))
                .collect();
            let path = path.strip_prefix(root()).unwrap().to_owned();
            (path, module, code)
        })
        .collect()
}

/// The modules that a text names after `crate::`.
fn used(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").map(|(at, crate_)| {
        let rest = &code[at + crate_.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn a_module_uses_only_those_above_it() {
    let order = order();
    let place = |module: &str| order.iter().position(|m| m == module);
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        let Some(own) = place(&module) else {
            assert!(
                ["lib", "main"].contains(&module.as_str()),
                "{path:?} is in no module"
            );
            continue;
        };
        assert!(
            !code.contains("crate::{"),
            "{path:?}: one `use crate::module` a line"
        );
        for name in used(&code) {
            if place(name).is_some_and(|used| used > own) {
                wrong.push(format!("{}: {module} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pingora_is_named_only_where_sockets_are() {
    for (path, module, code) in sources() {
        let names = code.contains("pingora");
        let may = PINGORA.contains(&module.as_str());
        assert!(!names || may, "{path:?} names pingora");
    }
}

#[test]
fn tasks_are_started_in_one_place() {
    for (path, _, code) in sources() {
        let spawns = code.contains("tokio::spawn(") || code.contains(".spawn(");
        let may = SPAWNS.iter().any(|place| path == Path::new(place));
        let is_test = path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        assert!(!spawns || may || is_test, "{path:?} starts a task");
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    for (path, _, _) in sources() {
        if path.ends_with("tests.rs") || path.iter().any(|part| part == "tests") {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let lines = text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        assert!(
            lines <= LONGEST,
            "{path:?} has {lines} lines before its tests"
        );
    }
}

#[test]
fn every_file_says_what_lives_in_it() {
    for (path, _, _) in sources() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        assert!(text.starts_with("//!"), "{path:?} begins without a word");
    }
}

#[test]
fn nothing_is_left_open() {
    for (path, _, _) in sources() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for word in ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"] {
            assert!(!text.contains(word), "{path:?} has {word}");
        }
    }
}
