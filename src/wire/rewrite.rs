//! Changes the top-level `model` of a JSON document while it streams past.
//!
//! For answers too long to be held. It looks at structure only and never at
//! whether the rest is valid: bytes go through whatever it thinks of them.

use bytes::Bytes;
use memchr::memchr2;

use super::json::Key;

/// Longer keys than this are not ours, however they are escaped: `model` is
/// five characters of at most six bytes each.
const LONGEST_KEY: usize = 30;

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
    /// Whether the value that follows is that of `model`.
    at_model: bool,
    /// The key so far.
    key: Vec<u8>,
    /// Whether the outermost object has been closed.
    closed: bool,
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
            at_model: false,
            key: Vec::new(),
            closed: false,
        }
    }

    /// Whether the document has come to its end: its outermost object or
    /// array is closed.
    pub fn is_complete(&self) -> bool {
        self.closed
    }

    /// Takes the next bytes and gives out what goes on, in order.
    pub fn push(&mut self, chunk: &Bytes, mut emit: impl FnMut(Bytes)) {
        let swallows = self.in_string && self.string == Piece::Model;
        let mut given = if swallows { chunk.len() } else { 0 };
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.in_string {
                at = self.in_string(chunk, at);
                if !self.in_string && self.string == Piece::Model {
                    emit(self.model.clone());
                    given = at;
                }
                continue;
            }
            if byte == b'"' && self.depth == 1 && !self.expects_key && self.at_model {
                emit(chunk.slice(given..at));
                given = chunk.len();
            }
            self.structure(byte);
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
                    self.at_model = Key::within(&self.key, 0..self.key.len()).is("model");
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

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.string = match (self.depth, self.expects_key, self.at_model) {
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
            b':' => self.expects_key = false,
            b',' if self.depth == 1 => {
                self.expects_key = true;
                self.at_model = false;
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
