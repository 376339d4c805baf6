//! The requests of a chaos run: each is made from the seed and its number
//! alone, so that a failure can be looked at again.

use serde_json::{Value, json};
use standin::mock::roll;

/// What is said in every answer, after the request's own id.
pub(crate) const WORDS: &str = "one two three four";
/// Begins every id, and stands nowhere else.
pub(crate) const MARK: &str = "tid-";
/// The candidate that always answers.
pub(crate) const STEADY: &str = "steady/m";
/// The candidates that never do; the third one's first home refuses
/// connections.
const FAILING: [[&str; 2]; 3] = [
    ["shaky/m", "flaky/m"],
    ["flaky/m", "shaky/m"],
    ["shaky/m", "house/moved"],
];

/// A request's endpoint, and whether it streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    ChatStream,
    Completion,
    CompletionStream,
    Embeddings,
    Responses,
    ResponsesStream,
}

impl Kind {
    /// All of them; chat, which most traffic is, twice.
    const DRAWN: [Self; 9] = [
        Self::Chat,
        Self::Chat,
        Self::ChatStream,
        Self::ChatStream,
        Self::Completion,
        Self::CompletionStream,
        Self::Embeddings,
        Self::Responses,
        Self::ResponsesStream,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat | Self::ChatStream => "/v1/chat/completions",
            Self::Completion | Self::CompletionStream => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses | Self::ResponsesStream => "/v1/responses",
        }
    }

    pub(crate) fn is_stream(self) -> bool {
        match self {
            Self::ChatStream | Self::CompletionStream | Self::ResponsesStream => true,
            Self::Chat | Self::Completion | Self::Embeddings | Self::Responses => false,
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// Its `x-test-id`, which an answer of its own carries.
    pub(crate) id: String,
    /// In the order of its list.
    pub(crate) candidates: [&'static str; 3],
    /// Whether a stream is to tell its usage.
    pub(crate) wants_usage: bool,
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let dice = roll(seed, number);
        let kind = kind(seed, number);
        let mut candidates = failing(dice);
        // The healthy one is first, second and third in turn.
        let place = usize::try_from(number % 3).unwrap_or(0);
        candidates.rotate_right((place + 1) % 3);
        let wants_usage = kind.is_stream() && dice >> 16 & 3 == 0;
        let id = format!("{MARK}{number:08}z");
        let body = body(kind, candidates, dice, wants_usage).to_string();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: standin\r\nauthorization: Bearer sk-client\r\n\
             content-type: application/json\r\nx-test-id: {id}\r\ncontent-length: {}\r\n\r\n",
            kind.path(),
            body.len()
        );
        Self {
            number,
            kind,
            id,
            candidates,
            wants_usage,
            bytes: (head + &body).into_bytes(),
        }
    }
}

/// The kind of the request with this number: the providers decide by it.
pub(crate) fn kind(seed: u64, number: u64) -> Kind {
    let drawn = roll(seed, number) % Kind::DRAWN.len() as u64;
    let drawn = usize::try_from(drawn).unwrap_or(0);
    Kind::DRAWN[drawn]
}

/// The number in an id.
pub(crate) fn number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix(MARK)?.strip_suffix('z')?;
    digits.parse().ok()
}

fn failing(dice: u64) -> [&'static str; 3] {
    let pair = match dice >> 32 & 15 {
        0 => FAILING[2],
        even if even % 2 == 0 => FAILING[0],
        _ => FAILING[1],
    };
    // The healthy one stands last until it is rotated to its place.
    [pair[0], pair[1], STEADY]
}

fn body(kind: Kind, candidates: [&str; 3], dice: u64, wants_usage: bool) -> Value {
    // Prompts from nothing to a few kilobytes, and now and then a large one:
    // more than a socket's buffer, so that an early answer finds it half sent.
    let length = match dice >> 40 & 255 {
        0 => 300_000,
        some => usize::try_from(some).unwrap_or(0) * 16,
    };
    let prompt = format!("Count to four. {}", "x".repeat(length));
    let mut body = match kind {
        Kind::Chat | Kind::ChatStream => {
            json!({ "messages": [{ "role": "user", "content": prompt }] })
        }
        Kind::Completion | Kind::CompletionStream => json!({ "prompt": prompt }),
        Kind::Embeddings | Kind::Responses | Kind::ResponsesStream => json!({ "input": prompt }),
    };
    if dice >> 20 & 1 == 0 {
        body["models"] = json!(candidates);
    } else {
        body["model"] = json!(candidates[0]);
        body["models"] = json!(candidates[1..]);
    }
    if kind.is_stream() {
        body["stream"] = json!(true);
    }
    if wants_usage && kind != Kind::ResponsesStream {
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_healthy_candidate_is_first_second_and_third_in_turn() {
        let place = |number| {
            let ask = Ask::new(7, number);
            ask.candidates.iter().position(|name| *name == STEADY)
        };
        let places: Vec<_> = (0..6).map(place).collect();
        assert_eq!(places, [0, 1, 2, 0, 1, 2].map(Some));
    }

    #[test]
    fn a_request_s_id_tells_its_number() {
        assert_eq!(number(&Ask::new(1, 4711).id), Some(4711));
        assert_eq!(number("other"), None);
    }

    #[test]
    fn a_request_depends_on_nothing_but_seed_and_number() {
        assert_eq!(Ask::new(3, 99).bytes, Ask::new(3, 99).bytes);
        assert_ne!(Ask::new(3, 99).bytes, Ask::new(4, 99).bytes);
    }
}
