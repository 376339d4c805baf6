//! Where the configuration comes from.

use std::path::{Path, PathBuf};

use crate::config::{self, Config, Surroundings};

/// Used where nothing else is named and it exists.
const USUAL_FILE: &str = "conf/standin.yaml";

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in catalogue, by the environment.
    Builtin,
    /// A file, read again at each reload.
    File(PathBuf),
    /// A text that does not change: the demo's.
    Text(String),
}

impl Source {
    /// The file that was named; else `$STANDIN_CONFIG`; else the usual file
    /// where it exists; else the catalogue.
    pub fn find(named: Option<PathBuf>) -> Self {
        let by_environment = || {
            let named = std::env::var_os("STANDIN_CONFIG").map(PathBuf::from)?;
            (!named.as_os_str().is_empty()).then_some(named)
        };
        match named.or_else(by_environment) {
            Some(file) => Self::File(file),
            None if Path::new(USUAL_FILE).exists() => Self::File(USUAL_FILE.into()),
            None => Self::Builtin,
        }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// Every problem, one a line, as `FILE:LINE:COL: what is wrong`.
    pub fn load(&self) -> Result<Config, String> {
        let loaded = match self {
            Self::Builtin => config::builtin(&Process),
            Self::Text(text) => config::load("demo", text.as_bytes(), &Process),
            Self::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read(path).map_err(|error| format!("{name}:1:1: {error}"))?;
                config::load(&name, &text, &Process)
            }
        };
        loaded.map_err(|problems| problems.to_string())
    }
}

/// The process's own environment and files.
struct Process;

impl Surroundings for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<Vec<u8>, std::io::Error> {
        std::fs::read(path)
    }
}
