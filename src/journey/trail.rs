//! What happened to each candidate, in order.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;
use tokio::time::Instant;

use super::failure::Failure;
use super::plan::Pass;
use crate::base::ModelName;
use crate::config::Target;
use crate::outcome::{Outcome, Skip};
use crate::wire::json;

/// What happened to each candidate, in order.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    entries: Vec<Entry>,
}

/// One candidate's turn at one target, or its being passed over.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Passed over without an attempt; the target where the name is known.
    Skipped(ModelName, Option<Arc<Target>>, Skip),
    /// Tried.
    Tried(Box<Tried>),
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Whose turn, and where.
    pub pass: Pass,
    /// How it ended; nothing where it answered.
    pub outcome: Option<Outcome>,
    /// The HTTP status that came, where one says something: an error's or the
    /// answer's.
    pub status: Option<u16>,
    /// Whether it failed only because the request asked for that.
    pub is_drill: bool,
    /// When it began; nothing where nothing was sent: what others had failed
    /// with, or a drill, counts as its try.
    pub began: Option<Instant>,
    /// Until the answer or the failure.
    pub took: Duration,
    /// Until when the provider asked us to stay away.
    pub until: Option<Instant>,
    /// The provider's own code, where it is a word.
    pub code: Option<String>,
    /// The parameter it complained of, likewise.
    pub param: Option<String>,
}

impl Trail {
    /// Notes a candidate, or a target of it, that was passed over.
    pub fn skipped(&mut self, candidate: ModelName, target: Option<Arc<Target>>, why: Skip) {
        self.entries.push(Entry::Skipped(candidate, target, why));
    }

    /// Notes a failure.
    pub fn failed(&mut self, pass: Pass, failure: &Failure, began: Option<Instant>) {
        self.note_failed(pass, failure, began, false);
    }

    /// Notes a failure that was asked for.
    pub fn drilled(&mut self, pass: Pass, failure: &Failure) {
        self.note_failed(pass, failure, None, true);
    }

    fn note_failed(
        &mut self,
        pass: Pass,
        failure: &Failure,
        began: Option<Instant>,
        is_drill: bool,
    ) {
        self.entries.push(Entry::Tried(Box::new(Tried {
            pass,
            outcome: Some(failure.outcome),
            status: failure.status(),
            is_drill,
            began,
            took: began.map_or(Duration::ZERO, |began| began.elapsed()),
            until: failure.wait.map(|wait| Instant::now() + wait),
            code: failure.says.code.clone(),
            param: failure.says.param.clone(),
        })));
    }

    /// Notes the answer.
    pub fn answered(&mut self, pass: Pass, status: u16, began: Instant) {
        self.entries.push(Entry::Tried(Box::new(Tried {
            pass,
            outcome: None,
            status: Some(status),
            is_drill: false,
            began: Some(began),
            took: began.elapsed(),
            until: None,
            code: None,
            param: None,
        })));
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The attempts among them.
    pub fn tried(&self) -> impl Iterator<Item = &Tried> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Skipped(..) => None,
            Entry::Tried(tried) => Some(tried.as_ref()),
        })
    }

    /// The value of `x-standin-attempts`.
    pub fn header(&self) -> HeaderValue {
        let mut line = String::with_capacity(48 * self.entries.len());
        for entry in &self.entries {
            if !line.is_empty() {
                line.push_str(", ");
            }
            match entry {
                Entry::Skipped(name, _, why) => {
                    encode(name.as_str(), IN_WALK, &mut line);
                    line.push_str("=skipped:");
                    line.push_str(why.label());
                }
                Entry::Tried(tried) => {
                    encode(tried.pass.candidate.as_str(), IN_WALK, &mut line);
                    line.push('=');
                    if tried.is_drill {
                        line.push_str("drill:");
                    }
                    tried.word(&mut line);
                }
            }
        }
        HeaderValue::try_from(line).unwrap_or(HeaderValue::from_static(""))
    }

    /// The member `attempts` of a final error.
    pub fn attempts(&self) -> Value {
        // What is written here can be read here.
        serde_json::from_str(&self.json()).unwrap_or_default()
    }

    /// The same as text, for the ledger: each answer pays for it.
    pub fn json(&self) -> String {
        let mut all = Vec::with_capacity(160 * self.entries.len());
        all.push(b'[');
        for entry in &self.entries {
            if all.len() > 1 {
                all.push(b',');
            }
            entry.write(&mut all);
        }
        all.push(b']');
        String::from_utf8(all).unwrap_or_default()
    }
}

impl Entry {
    /// Whose turn it was.
    pub fn candidate(&self) -> &ModelName {
        match self {
            Self::Skipped(name, ..) => name,
            Self::Tried(tried) => &tried.pass.candidate,
        }
    }

    /// Adds it as JSON. Names and numbers only, and categories of ours.
    fn write(&self, to: &mut Vec<u8>) {
        fn text(to: &mut Vec<u8>, name: &str, value: Option<&str>) {
            to.extend_from_slice(name.as_bytes());
            match value {
                Some(value) => json::write_string(to, value),
                None => to.extend_from_slice(b"null"),
            }
        }
        text(to, "{\"model\":", Some(self.candidate().as_str()));
        match self {
            Self::Skipped(_, target, why) => {
                let provider = target.as_ref().map(|target| target.provider.name.as_str());
                text(to, ",\"provider\":", provider);
                text(to, ",\"outcome\":", Some("skipped"));
                text(to, ",\"reason\":", Some(why.label()));
            }
            Self::Tried(tried) => {
                let provider = tried.pass.target.provider.name.as_str();
                text(to, ",\"provider\":", Some(provider));
                text(to, ",\"outcome\":", Some(tried.label()));
                to.extend_from_slice(b",\"status\":");
                // Writing to memory cannot fail.
                let _ = match tried.status {
                    Some(status) => write!(to, "{status}"),
                    None => write!(to, "null"),
                };
                let _ = write!(to, ",\"ms\":{}", tried.took.as_millis());
                if tried.pass.is_last_resort {
                    to.extend_from_slice(b",\"last_resort\":true");
                }
                if tried.is_drill {
                    to.extend_from_slice(b",\"drill\":true");
                }
                if tried.code.is_some() {
                    text(to, ",\"code\":", tried.code.as_deref());
                }
                if tried.param.is_some() {
                    text(to, ",\"param\":", tried.param.as_deref());
                }
            }
        }
        to.push(b'}');
    }
}

impl Tried {
    /// How it ended, in a word; that of a drill says nothing of the target.
    pub(super) fn reason(&self) -> &'static str {
        if self.is_drill { "drill" } else { self.label() }
    }

    /// How it ended, in a word.
    fn label(&self) -> &'static str {
        self.outcome.map_or("answered", Outcome::label)
    }

    /// The status where an error status or the answer came, else the
    /// outcome's name.
    fn word(&self, line: &mut String) {
        match (self.status, self.outcome) {
            (Some(status), _) => {
                // Three digits, as a status has (RFC 9110 section 15).
                for place in [100, 10, 1] {
                    let digit = u32::from(status / place % 10);
                    line.extend(char::from_digit(digit, 10));
                }
            }
            (None, Some(outcome)) => line.push_str(outcome.label()),
            (None, None) => line.push_str("answered"),
        }
    }
}

/// What must not stand in a name within a walk, where it could pass for more
/// than one entry: any client can make one up.
const IN_WALK: &[u8] = b",=%";

/// A name as it can stand in a header: what is not printable ASCII is
/// percent-encoded.
pub(super) fn printable(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| stands(byte, b"")) {
        return name.into();
    }
    let mut out = String::with_capacity(3 * name.len());
    encode(name, b"", &mut out);
    out.into()
}

/// Most names need nothing, and go over in one piece.
fn encode(name: &str, besides: &[u8], out: &mut String) {
    if name.bytes().all(|byte| stands(byte, besides)) {
        out.push_str(name);
        return;
    }
    for byte in name.bytes() {
        if stands(byte, besides) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn stands(byte: u8, besides: &[u8]) -> bool {
    (byte.is_ascii_graphic() || byte == b' ') && !besides.contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_made_printable() {
        assert_eq!(printable("openai/gpt-4o"), "openai/gpt-4o");
        assert_eq!(printable("modèle\r\nx: y"), "mod%C3%A8le%0D%0Ax: y");
        let mut walk = String::new();
        encode("p/x=200, p/y", IN_WALK, &mut walk);
        assert_eq!(walk, "p/x%3D200%2C p/y");
    }

    #[test]
    fn names_that_clients_make_up_stay_names_in_json() {
        let mut trail = Trail::default();
        trail.skipped("a\"b\\\n\u{e9}".into(), None, Skip::Unknown);
        trail.skipped("c".into(), None, Skip::Unknown);
        let told = trail.attempts();
        let one = json!({
            "model": "a\"b\\\n\u{e9}", "provider": null, "outcome": "skipped", "reason": "unknown",
        });
        assert_eq!((&told[0], told.as_array().map(Vec::len)), (&one, Some(2)));
        assert_eq!(told[1]["model"], "c");
        assert_eq!(Trail::default().json(), "[]");
    }
}
