//! Any bytes as a configuration: nothing but problems may come of it.

use std::io;

use crate::cli::import::litellm;
use crate::config::{Nothing, load};

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

/// Takes `data` for LiteLLM's configuration: what comes of it loads, or nothing
/// comes of it and a reason is told.
pub fn import(data: &[u8]) {
    let nothing = |_: &str| Err(io::ErrorKind::NotFound.into());
    match litellm("fuzz.yaml", data, &nothing) {
        Ok(imported) => assert!(imported.yaml.contains("providers:"), "there is one"),
        Err(refused) => {
            let why = refused.why;
            assert!(!why.is_empty(), "a refusal has a reason");
            let ours = why.contains("a mistake of the import") && !why.contains("4 MiB");
            assert!(!ours, "{why}");
        }
    }
}
