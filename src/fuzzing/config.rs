//! Any bytes as a configuration: nothing but problems may come of it.

use std::io;
use std::path::Path;

use crate::config::{Surroundings, load};

/// No variable, no file.
struct Nothing;

impl Surroundings for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Loads `data` and shows what came of it.
pub fn config(data: &[u8]) {
    match load("fuzz.yaml", data, &Nothing) {
        Ok(config) => {
            for name in &config.listed {
                assert!(config.model(name).is_some(), "a listed model is one");
            }
        }
        Err(problems) => {
            assert!(!problems.all.is_empty(), "a refusal has a reason");
            assert!(!problems.to_string().is_empty(), "and says it");
        }
    }
}
