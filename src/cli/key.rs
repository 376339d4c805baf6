//! `standin key`: keys for clients. Nothing is stored.

use std::io::Write;

use clap::Subcommand;
use ring::rand::{SecureRandom, SystemRandom};

use super::{Failed, print};
use crate::config::{Digest, wrong_key_name};

/// What can be done with clients' keys.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Print a fresh key, once, and the `keys:` entry to paste
    New {
        /// What the configuration, the log and the ledger call it
        name: String,
    },
}

/// Bytes of chance in a key.
const BYTES: usize = 32;

pub(super) fn run(key: Key) -> Result<(), Failed> {
    match key {
        Key::New { name } => new(&name),
    }
}

/// The key alone in the first line of standard output, then the entry; words
/// about them go to standard error.
fn new(name: &str) -> Result<(), Failed> {
    if let Some(why) = wrong_key_name(name) {
        return Err(Failed::Configuration(format!(
            "NAME cannot name a key: {why}"
        )));
    }
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failed::Running("the system gives no random numbers".to_owned()))?;
    let (key, entry) = written(name, &bytes);
    print(&format!("{key}\n{entry}"))?;
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "The first line is the key, for the client: it is shown this once and stored nowhere. The rest goes under `keys:`."
    );
    Ok(())
}

/// A key of these bytes, and its entry.
fn written(name: &str, bytes: &[u8; BYTES]) -> (String, String) {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    let key: String = std::iter::once("sk-standin-".to_owned())
        .chain(digits)
        .collect();
    let sha256 = Digest::of(key.as_bytes());
    let entry = format!("  - name: \"{name}\"\n    sha256: \"{sha256}\"\n");
    (key, entry)
}
