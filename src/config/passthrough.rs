//! Paths that go to one provider as they are: patterns, and which of them a
//! path is under.

use std::sync::Arc;

use super::meant::{Config, Provider};
use crate::base::{Endpoint, ModelName};

/// What stands for a provider's base URL in a client's path.
pub(super) const ROOT: &str = "/v1";

/// Where `GET /v1/models` and what is below it is answered here.
const MODELS: &str = "/v1/models";

/// An entry of `passthrough`.
#[derive(Clone, Debug)]
pub struct Passthrough {
    /// As it is written: a path, or with `/*` at its end all below it.
    pub pattern: Pattern,
    /// Where its requests go.
    pub provider: Arc<Provider>,
    /// `PROVIDER/*`: a key may use it whose `models` admit all names of the
    /// provider, since the model of such a request is not known.
    pub scope: ModelName,
}

impl Passthrough {
    /// An entry, its scope from the provider's name.
    pub(super) fn new(pattern: Pattern, provider: Arc<Provider>) -> Self {
        let scope = ModelName::from(&*format!("{}/*", provider.name));
        Self {
            pattern,
            provider,
            scope,
        }
    }
}

/// A path, or with `/*` at its end all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind its name.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_suffix("/*").unwrap_or(text);
        if path.contains('*') {
            return Err("has its `*` elsewhere than as the end's `/*`");
        }
        let is_below = text.strip_prefix(ROOT).and_then(|rest| rest.get(1..));
        if !text.starts_with("/v1/") || is_below.is_none_or(str::is_empty) {
            return Err("is no path below `/v1/`, such as `/v1/audio/*`");
        }
        if !is_clean(path) || path.ends_with('/') || path.contains('%') {
            return Err("has an empty segment, dots, a query or escapes: write the plain path");
        }
        let pattern = Self(text.into());
        let is_own = |own: &str| pattern.admits(own);
        if Endpoint::ALL.iter().any(|own| is_own(own.route()))
            || is_own(MODELS)
            || is_own("/v1/models/id")
            || path.starts_with("/v1/models/")
        {
            return Err("covers an endpoint that Standin answers itself");
        }
        Ok(pattern)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every path under it begins with, and whether more has to follow.
    fn beginning(&self) -> (&str, bool) {
        match self.0.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (&self.0, false),
        }
    }

    fn admits(&self, path: &str) -> bool {
        let (beginning, goes_on) = self.beginning();
        path.strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() != goes_on)
    }
}

/// Puts the longest first: a path takes the first that it is under.
pub(super) fn sort(entries: &mut [Passthrough]) {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.pattern.beginning().0.len()));
}

impl Config {
    /// The entry that a client's path is under, the longest pattern before
    /// others, and the path below the provider's base URL. A path in which a
    /// reader could find another one is under none.
    pub fn passed<'a, 'p>(&'a self, path: &'p str) -> Option<(&'a Passthrough, &'p str)> {
        let mut entries = self.passthrough.iter();
        let entry = entries.find(|entry| entry.pattern.admits(path))?;
        let below = path.strip_prefix(ROOT)?;
        is_clean(path).then_some((entry, below))
    }
}

/// Whether a path means the same to all its readers: no empty segment, none
/// that stands for another folder, and no escape that hides a slash or a dot,
/// or an escape in its turn. One slash may stand at the end.
fn is_clean(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else {
        return false;
    };
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    segments.split('/').all(is_clean_segment)
}

fn is_clean_segment(segment: &str) -> bool {
    // Some servers leave out what follows a semicolon.
    let name = segment.split(';').next().unwrap_or_default();
    if matches!(name, "" | "." | "..") {
        return false;
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let meant = if byte == b'%' {
            let digits = bytes.next().zip(bytes.next());
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let both = digits.and_then(|(high, low)| Some(digit(high)? * 16 + digit(low)?));
            match both.and_then(|both| u8::try_from(both).ok()) {
                Some(b'%' | b'.' | b'/' | b';') | None => return false,
                Some(meant) => meant,
            }
        } else if byte.is_ascii_graphic() {
            byte
        } else {
            return false;
        };
        if matches!(meant, b'\\' | b'?' | b'#') || meant.is_ascii_control() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pattern: &str, path: &str) -> bool {
        Pattern::read(pattern).unwrap().admits(path)
    }

    #[test]
    fn a_pattern_is_a_path_or_all_below_one() {
        assert!(admits("/v1/audio/*", "/v1/audio/speech"));
        assert!(admits("/v1/audio/*", "/v1/audio/a/b"));
        assert!(!admits("/v1/audio/*", "/v1/audio/"));
        assert!(!admits("/v1/audio/*", "/v1/audio"));
        assert!(!admits("/v1/audio/*", "/v1/audiobooks"));
        assert!(admits("/v1/files", "/v1/files"));
        assert!(!admits("/v1/files", "/v1/files/"));
        assert!(!admits("/v1/files", "/v1/files2"));
        assert!(admits("/v1/responses/*", "/v1/responses/resp_1"));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for bad in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v2/audio/*",
            "v1/audio/*",
            "/v1/audio/",
            "/v1//audio",
            "/v1/../audio",
            "/v1/audio/../*",
            "/v1/*/speech",
            "/v1/audio*",
            "/v1/audio/**",
            "/v1/audio?x=1",
            "/v1/a b",
            "/v1/%61udio",
            "/v1/audio/;x",
            "/v1/%2e%2e/x",
            "/v1/*",
            "/v1/chat/*",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/v1/responses",
            "/v1/models",
            "/v1/models/*",
            "/v1/models/gpt-4o",
            "/v1/models/gpt-4o/*",
        ] {
            assert!(Pattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_that_may_lead_elsewhere_is_none() {
        for good in [
            "/v1/audio/speech",
            "/v1/files/a.b",
            "/v1/files/...",
            "/v1/files/..a",
            "/v1/files/file-1/content",
            "/v1/files/",
            "/v1/files/a%20b%c3%a9",
            "/v1/batches/x:cancel",
        ] {
            assert!(is_clean(good), "{good}");
        }
        for bad in [
            "",
            "v1/files",
            "/v1/files/..",
            "/v1/files/../x",
            "/v1/files/./x",
            "/v1/files/.",
            "/v1/files//x",
            "//v1/files",
            "/v1/files//",
            "/v1/files/%2e%2E/x",
            "/v1/files/.%2e/x",
            "/v1/files/a%2fb",
            "/v1/files/a%5Cb",
            "/v1/files/a\\..\\b",
            "/v1/files/%252e%252e/x",
            "/v1/files/..;/x",
            "/v1/files/..;a=b/x",
            "/v1/files/;/x",
            "/v1/files/..%3b/x",
            "/v1/files/a%00",
            "/v1/files/a%0d%0ab",
            "/v1/files/a%3fb",
            "/v1/files/a%2",
            "/v1/files/a%",
            "/v1/files/a%zz",
            "/v1/files/a%+1",
            "/v1/files/\u{e9}",
        ] {
            assert!(!is_clean(bad), "{bad}");
        }
    }
}
