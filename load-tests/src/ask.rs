//! The requests of a run: each is made from the seed and its number alone, so
//! that a failure can be looked at again.

use std::fmt;

use serde_json::{Value, json};
use standin::mock::roll;

/// What is said in every answer, after the request's own id.
pub(crate) const WORDS: &str = "one two three four";
/// What every client sends as its key.
pub(crate) const KEY: &str = "sk-client";
/// Begins every id, and stands nowhere else.
pub(crate) const MARK: &str = "tid-";
/// The candidate that always answers.
pub(crate) const STEADY: &str = "steady/m";
/// The providers that never do.
pub(crate) const FAILING: [&str; 2] = ["shaky", "flaky"];
/// A model whose first home refuses connections and whose second is one of
/// theirs.
const MOVED: &str = "house/moved";
/// So many models each home of a failing provider is asked for in turn.
const MODELS: u64 = 16;

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
    pub(crate) candidates: Vec<String>,
    /// The only one of them that may answer, where that is settled.
    pub(crate) answerer: Option<&'static str>,
    /// Whether a stream is to tell its usage.
    pub(crate) wants_usage: bool,
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
}

impl Ask {
    /// A request of a chaos run, in which every failing provider goes by so
    /// many names (see [`home`]).
    pub(crate) fn chaos(seed: u64, number: u64, homes: u64) -> Self {
        let dice = roll(seed, number);
        let mut candidates = failing(dice, number, homes);
        // The healthy one is first, second and third in turn.
        let place = usize::try_from(number % 3).unwrap_or(0);
        candidates.rotate_right((place + 1) % 3);
        Self {
            answerer: Some(STEADY),
            ..Self::drawn(seed, number, candidates)
        }
    }

    /// A request of any kind for these candidates.
    pub(crate) fn drawn(seed: u64, number: u64, candidates: Vec<String>) -> Self {
        let dice = roll(seed, number);
        let kind = kind(seed, number);
        let wants_usage = kind.is_stream() && dice >> 16 & 3 == 0;
        let body = body(kind, &candidates, dice, wants_usage);
        Self::new(number, kind, candidates, wants_usage, &body)
    }

    /// A chat for these candidates whose body has so many bytes (more where it
    /// needs them).
    pub(crate) fn sized(number: u64, kind: Kind, candidates: &[&str], bytes: usize) -> Self {
        let with_prompt = |prompt: &str| {
            let mut body = json!({ "messages": [{ "role": "user", "content": prompt }] });
            if kind.is_stream() {
                body["stream"] = json!(true);
            }
            match candidates {
                [only] => body["model"] = json!(only),
                all => body["models"] = json!(all),
            }
            body
        };
        let bare = with_prompt("").to_string().len();
        let body = with_prompt(&"x".repeat(bytes.saturating_sub(bare)));
        let candidates = candidates.iter().copied().map(str::to_owned).collect();
        Self::new(number, kind, candidates, false, &body)
    }

    /// The same with one header more.
    pub(crate) fn header(mut self, name: &str, value: impl fmt::Display) -> Self {
        let line = format!("\r\n{name}: {value}");
        let request_line = self.bytes.iter().position(|byte| *byte == b'\r');
        let at = request_line.unwrap_or(0);
        self.bytes.splice(at..at, line.into_bytes());
        self
    }

    fn new(
        number: u64,
        kind: Kind,
        candidates: Vec<String>,
        wants_usage: bool,
        body: &Value,
    ) -> Self {
        let id = format!("{MARK}{number:08}z");
        let body = body.to_string();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: standin\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\nx-test-id: {id}\r\ncontent-length: {}\r\n\r\n",
            kind.path(),
            body.len()
        );
        Self {
            number,
            kind,
            id,
            candidates,
            answerer: None,
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

/// The name under which this request knows a failing provider. Live state is
/// kept for each name: with many, what one request brings about is seldom
/// there for the next to see.
pub(crate) fn home(provider: &str, homes: u64, number: u64) -> String {
    match homes {
        0 | 1 => provider.to_owned(),
        _ => format!("{provider}-{}", number % homes),
    }
}

fn failing(dice: u64, number: u64, homes: u64) -> Vec<String> {
    let model = |provider| {
        let home = home(provider, homes, number);
        match homes {
            0 | 1 => format!("{home}/m"),
            _ => format!("{home}/m{}", number / homes % MODELS),
        }
    };
    let [shaky, flaky] = FAILING.map(model);
    let pair = match dice >> 32 & 15 {
        0 => [shaky, MOVED.to_owned()],
        even if even % 2 == 0 => [shaky, flaky],
        _ => [flaky, shaky],
    };
    // The healthy one stands last until it is rotated to its place.
    pair.into_iter().chain([STEADY.to_owned()]).collect()
}

fn body(kind: Kind, candidates: &[String], dice: u64, wants_usage: bool) -> Value {
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
            let ask = Ask::chaos(7, number, 1);
            ask.candidates.iter().position(|name| *name == STEADY)
        };
        let places: Vec<_> = (0..6).map(place).collect();
        assert_eq!(places, [0, 1, 2, 0, 1, 2].map(Some));
    }

    #[test]
    fn a_request_s_id_tells_its_number() {
        assert_eq!(number(&Ask::chaos(1, 4711, 1).id), Some(4711));
        assert_eq!(number("other"), None);
    }

    #[test]
    fn a_request_depends_on_nothing_but_seed_and_number() {
        assert_eq!(Ask::chaos(3, 99, 64).bytes, Ask::chaos(3, 99, 64).bytes);
        assert_ne!(Ask::chaos(3, 99, 64).bytes, Ask::chaos(4, 99, 64).bytes);
    }

    #[test]
    fn neighbours_ask_different_homes_where_there_are_many() {
        let shaky = |number| home("shaky", 64, number);
        assert_ne!(shaky(1), shaky(2));
        assert_eq!(shaky(1), shaky(65));
        assert_eq!(home("shaky", 1, 5), "shaky");
    }

    #[test]
    fn a_padded_body_has_its_size_whatever_its_list() {
        let body = |candidates: &[&str]| {
            let ask = Ask::sized(0, Kind::ChatStream, candidates, 2048);
            let text = String::from_utf8(ask.bytes).unwrap();
            text.split_once("\r\n\r\n").unwrap().1.len()
        };
        assert_eq!(body(&["primary/m", "backup/m"]), 2048);
        assert_eq!(body(&["backup/m"]), 2048);
    }
}
