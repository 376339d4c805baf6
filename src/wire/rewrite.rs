//! Changes the top-level `model` of a JSON document while it streams past, and
//! keeps what an answer says of itself there.
//!
//! For answers too long to be held. It looks at structure only and never at
//! whether the rest is valid: bytes go through whatever it thinks of them.

use bytes::Bytes;
use memchr::memchr2;

use super::json::{self, Key};

/// Longer keys than this are not ours, however they are escaped:
/// `service_tier` is twelve characters of at most six bytes each.
const LONGEST_KEY: usize = 72;

/// Bytes of a value that are kept. A `usage` has a few hundred; a longer one
/// is not kept at all, so that no provider decides what memory we need.
const LONGEST_KEPT: usize = 16 << 10;

/// Replaces the value of the top-level member `model`, where it is a string.
#[derive(Debug)]
pub struct Rewriter {
    /// What stands there instead: a JSON string.
    model: Bytes,
    /// Open objects and arrays.
    depth: u32,
    in_string: bool,
    /// Whether the last byte was a backslash inside a string.
    escaped: bool,
    /// What the current string is.
    string: Piece,
    /// Whether the next string at the top level is a key.
    expects_key: bool,
    /// Which member of ours the value belongs to that follows or is underway.
    at: Option<Kept>,
    /// The key so far.
    key: Vec<u8>,
    /// What has come of each member's value, by its place in [`Kept::ALL`]; with
    /// white space around it.
    kept: [Vec<u8>; 3],
    /// Whether the outermost object has been closed.
    closed: bool,
}

/// Top-level members whose values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// `model`, as it came.
    Model,
    /// `service_tier`
    ServiceTier,
    /// `usage`
    Usage,
}

impl Kept {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Model, "model"),
        (Self::ServiceTier, "service_tier"),
        (Self::Usage, "usage"),
    ];
}

/// What a string is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Key,
    Model,
    Other,
}

impl Rewriter {
    /// `model` is the JSON string that is to stand there.
    pub fn new(model: Bytes) -> Self {
        Self {
            model,
            depth: 0,
            in_string: false,
            escaped: false,
            string: Piece::Other,
            expects_key: false,
            at: None,
            key: Vec::new(),
            kept: Default::default(),
            closed: false,
        }
    }

    /// Whether the document has come to its end: its outermost object or
    /// array is closed.
    pub fn is_complete(&self) -> bool {
        self.closed
    }

    /// The value of a member as it came, once it has come whole; of several the
    /// last. `None` where there is none, where it is not valid JSON, or where it
    /// is longer than such a value ever is.
    pub fn kept(&self, member: Kept) -> Option<&[u8]> {
        if self.at == Some(member) && !self.closed {
            return None;
        }
        let value = self.kept.get(member as usize)?.trim_ascii();
        json::value(value).ok().map(|_| value)
    }

    /// Keeps bytes of the value that is underway.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(kept) = self.at.and_then(|at| self.kept.get_mut(at as usize))
            && kept.len() <= LONGEST_KEPT
        {
            kept.extend_from_slice(bytes);
        }
    }

    /// Takes the next bytes and gives out what goes on, in order.
    pub fn push(&mut self, chunk: &Bytes, mut emit: impl FnMut(Bytes)) {
        let swallows = self.in_string && self.string == Piece::Model;
        let mut given = if swallows { chunk.len() } else { 0 };
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.in_string {
                let from = at;
                let is_key = self.string == Piece::Key;
                at = self.in_string(chunk, at);
                if !is_key && self.at.is_some() {
                    self.keep(&chunk[from..at]);
                }
                if !self.in_string && self.string == Piece::Model {
                    emit(self.model.clone());
                    given = at;
                }
                continue;
            }
            if byte == b'"' && self.depth == 1 && !self.expects_key && self.at == Some(Kept::Model)
            {
                emit(chunk.slice(given..at));
                given = chunk.len();
            }
            let is_before = self.string == Piece::Key;
            self.structure(byte);
            if self.at.is_some() && !self.closed && !is_before {
                self.keep(&chunk[at..=at]);
            }
            at += 1;
        }
        if given < chunk.len() {
            emit(chunk.slice(given..));
        }
    }

    /// Goes on in a string, to its end or the chunk's; gives where it got to.
    fn in_string(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = chunk.get(at) {
            let step = if self.escaped {
                self.escaped = false;
                1
            } else if byte == b'\\' {
                self.escaped = true;
                1
            } else if byte == b'"' {
                self.in_string = false;
                if self.string == Piece::Key {
                    self.at = self.ours();
                }
                return at + 1;
            } else {
                memchr2(b'"', b'\\', &chunk[at..]).unwrap_or(chunk.len() - at)
            };
            if self.string == Piece::Key && self.key.len() <= LONGEST_KEY {
                self.key.extend_from_slice(&chunk[at..at + step]);
            }
            at += step;
        }
        at
    }

    /// The member of ours whose key has just come; its value is kept anew.
    fn ours(&mut self) -> Option<Kept> {
        let key = Key::within(&self.key, 0..self.key.len());
        let mut all = Kept::ALL.into_iter();
        let (ours, _) = all.find(|(_, name)| key.is(name))?;
        self.kept.get_mut(ours as usize)?.clear();
        Some(ours)
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.string = match (self.depth, self.expects_key, self.at == Some(Kept::Model)) {
                    (1, true, _) => {
                        self.key.clear();
                        Piece::Key
                    }
                    (1, false, true) => Piece::Model,
                    _ => Piece::Other,
                };
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.expects_key = byte == b'{';
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.expects_key = false;
                self.closed |= self.depth == 0;
            }
            b':' => {
                self.expects_key = false;
                if self.depth == 1 {
                    self.string = Piece::Other;
                }
            }
            b',' if self.depth == 1 => {
                self.expects_key = true;
                self.at = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(document: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
        let mut rewriter = Rewriter::new(Bytes::from_static(b"\"house/best\""));
        let mut out = Vec::new();
        let mut from = 0;
        for &to in cuts.iter().chain([&document.len()]) {
            let chunk = Bytes::copy_from_slice(&document[from..to]);
            rewriter.push(&chunk, |piece| out.extend_from_slice(&piece));
            from = to;
        }
        (out, rewriter.is_complete())
    }

    const DOCUMENT: &str = r#"{"object":"list","data":[{"model":"inner","x":"a\"b"},1.5],
        "note":"\"model\":\"no\"","m\u006fdel" : "gpt-4o-2024","usage":{"model":"deep"}} "#;

    #[test]
    fn only_the_top_level_model_changes_whatever_the_chunking() {
        let expected = DOCUMENT.replace("\"gpt-4o-2024\"", "\"house/best\"");
        for cut in 0..=DOCUMENT.len() {
            let (out, complete) = rewritten(DOCUMENT.as_bytes(), &[cut]);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "cut at {cut}");
            assert!(complete);
        }
        let every: Vec<usize> = (1..DOCUMENT.len()).collect();
        let (out, _) = rewritten(DOCUMENT.as_bytes(), &every);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_the_answer_says_of_itself_is_kept_whatever_the_chunking() {
        let document = r#"{"usage":null,"service_tier":"flex","data":[{"usage":{"a":1}}],
            "m\u006fdel" : "gpt-4o\u002d2024" , "usage" : {"a":[1,{"b":"}\",{"}],"service_tier":7} }"#;
        let kept = |cuts: &[usize]| {
            let mut rewriter = Rewriter::new(Bytes::from_static(b"\"m\""));
            let mut from = 0;
            for &to in cuts.iter().chain([&document.len()]) {
                rewriter.push(
                    &Bytes::copy_from_slice(&document.as_bytes()[from..to]),
                    |_| (),
                );
                from = to;
            }
            [Kept::Model, Kept::ServiceTier, Kept::Usage].map(|member| {
                let value = rewriter.kept(member).unwrap_or_default();
                String::from_utf8(value.to_vec()).unwrap()
            })
        };
        let expected = [
            "\"gpt-4o\\u002d2024\"",
            "\"flex\"",
            r#"{"a":[1,{"b":"}\",{"}],"service_tier":7}"#,
        ];
        for cut in 0..=document.len() {
            assert_eq!(kept(&[cut]), expected, "cut at {cut}");
        }
        let every: Vec<usize> = (1..document.len()).collect();
        assert_eq!(kept(&every), expected);
    }

    #[test]
    fn nothing_is_kept_of_what_did_not_come_or_is_too_long() {
        let long = format!(r#"{{"usage":{{"a":"{}"}}}}"#, "x".repeat(LONGEST_KEPT));
        for document in [
            r#"{"usage":{"a":1"#,
            r#"{"usage":12"#,
            r#"{"usage":"#,
            "{}",
            &long,
        ] {
            let mut rewriter = Rewriter::new(Bytes::from_static(b"\"m\""));
            for chunk in document.as_bytes().chunks(1000) {
                rewriter.push(&Bytes::copy_from_slice(chunk), |_| ());
            }
            assert_eq!(rewriter.kept(Kept::Usage), None);
            assert!(rewriter.kept[Kept::Usage as usize].len() <= LONGEST_KEPT + 1000);
        }
    }

    #[test]
    fn an_end_that_does_not_come_is_seen() {
        for cut in 1..DOCUMENT.len() - 2 {
            let (_, complete) = rewritten(&DOCUMENT.as_bytes()[..cut], &[]);
            assert!(!complete, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_json_goes_through() {
        for text in ["", "<html>", "}}}}\"", "[1,2", "{\"model\":3,\"a\":[]}"] {
            assert_eq!(rewritten(text.as_bytes(), &[]).0, text.as_bytes());
        }
    }
}
