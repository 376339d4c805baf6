//! What the two processes say to each other: JSON with its length before it,
//! four bytes, little endian. Pure bytes.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of all that is here.
const VERSION: u32 = 1;

/// The longest message: a thousand addresses have less.
const LONGEST: usize = 1 << 20;

/// Bytes of a message's length.
pub(super) const LENGTH: usize = 4;

/// What is said.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// Whoever says this gives up, and why.
    Failed(String),
    /// The new process may open the ledger and serve.
    Go,
    /// The new process is there.
    Hello { process: u32, version: String },
    /// The old process accepts no more.
    Leaving,
    /// The new process has all that it needs but the ledger.
    Ready {
        /// The places of the sockets that it will serve, in the list it got.
        kept: Vec<usize>,
        /// The folder of its ledger, where there is one already.
        ledger: Option<PathBuf>,
    },
    /// The new process accepts.
    Serving,
    /// So many descriptors follow, in this order.
    Sockets(Vec<Socket>),
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(in super::super) struct Socket {
    pub(in super::super) door: Door,
    /// As the configuration has it: its port may be 0.
    pub(in super::super) configured: SocketAddr,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Door {
    Admin,
    Listen,
}

#[derive(Serialize)]
struct Said<'a> {
    standin: u32,
    say: &'a Word,
}

/// The version is read before anything that depends on it.
#[derive(Deserialize)]
struct Heard<'a> {
    standin: u32,
    #[serde(borrow)]
    say: &'a RawValue,
}

/// A whole message.
pub(super) fn write(say: &Word) -> Vec<u8> {
    let standin = VERSION;
    // Only a path that is no text cannot be written: nobody understands nothing.
    let text = serde_json::to_vec(&Said { standin, say }).unwrap_or_default();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &text].concat()
}

/// How long the message after this is.
///
/// # Errors
/// Too long, in words that follow "it".
pub(super) fn length(bytes: [u8; LENGTH]) -> Result<usize, String> {
    let length = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err("says what is no message".to_owned());
    }
    Ok(length)
}

/// What a message says.
///
/// # Errors
/// It is of another version, or none, in words that follow "it".
pub(super) fn read(text: &[u8]) -> Result<Word, String> {
    let strange = |_| "says what is no message".to_owned();
    let heard: Heard<'_> = serde_json::from_slice(text).map_err(strange)?;
    if heard.standin != VERSION {
        let theirs = heard.standin;
        return Err(format!(
            "hands over in version {theirs}, and this process in version {VERSION}"
        ));
    }
    serde_json::from_str(heard.say.get()).map_err(strange)
}
