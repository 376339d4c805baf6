//! Where an answer is cut: every place of every kind of answer in turn.

use std::collections::HashSet;
use std::fmt;

use standin::mock::{At, Framing, Reply, Step};

use crate::ask::{Ask, Kind, WORDS};
use crate::modes::{MODE, WELL};

/// Tells the torn provider where to break off; it goes upstream as any header
/// of a client's.
pub(crate) const CUT: &str = "x-mock-cut";

/// A plain answer is held back up to a mebibyte: longer ones can be cut after
/// commit.
const VAST: usize = 1_200_000;

/// One of so many plain chats gets such an answer.
const VAST_EACH: u64 = 64;

/// Neighbouring requests cut at places far apart, so that a short run too sees
/// all parts of an answer. A prime longer than any answer, so that every place
/// comes.
const STRIDE: u64 = 7919;

/// One way to break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cut {
    /// With RST instead of FIN.
    is_reset: bool,
    /// In an answer that is chunked; else it has a `content-length`.
    is_chunked: bool,
    /// In an answer of more than a mebibyte.
    pub(crate) is_vast: bool,
    /// After so many bytes on the wire.
    place: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.is_reset { "rst" } else { "fin" };
        let framing = if self.is_chunked { "chunked" } else { "length" };
        let size = if self.is_vast { "vast" } else { "small" };
        write!(f, "{way} {framing} {size} {}", self.place)
    }
}

impl Cut {
    /// Takes the header's value.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [way, framing, size, place] = words.try_into().ok()?;
        Some(Self {
            is_reset: way == "rst",
            is_chunked: framing == "chunked",
            is_vast: size == "vast",
            place: place.parse().ok()?,
        })
    }

    /// The right answer, broken off here. `id` is the request's own.
    pub(crate) fn reply(self, id: &str) -> Reply {
        let answer = match self.is_vast {
            true => Reply::json(200, vast(id)).header("content-type", "application/json"),
            false => Reply::answer(WORDS),
        };
        let framing = match self.is_chunked {
            true => Framing::Chunked,
            false => Framing::Length,
        };
        let step = match self.is_reset {
            true => Step::Reset,
            false => Step::Cut,
        };
        let place = usize::try_from(self.place).unwrap_or(usize::MAX);
        let answer = answer.echo().header(MODE, WELL).framing(framing);
        answer.at(At::Wire(place), step)
    }
}

/// A chat of that size.
fn vast(id: &str) -> String {
    let padding = "x".repeat(VAST);
    format!(
        r#"{{"id":"{id}","padding":"{padding}","object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{id} {WORDS}"}},"finish_reason":"stop"}}]}}"#
    )
}

/// Longer than any answer of this kind, in bytes on the wire.
const fn longest(kind: Kind) -> u64 {
    match kind {
        Kind::Chat => 850,
        Kind::ChatStream => 2600,
        Kind::Completion => 720,
        Kind::CompletionStream => 1800,
        Kind::Embeddings => 450,
        Kind::Responses => 1000,
        Kind::ResponsesStream => 4300,
    }
}

/// All kinds, and how many ways there are to cut each answer at one place.
const KINDS: [Kind; 7] = [
    Kind::Chat,
    Kind::ChatStream,
    Kind::Completion,
    Kind::CompletionStream,
    Kind::Embeddings,
    Kind::Responses,
    Kind::ResponsesStream,
];
const WAYS: u64 = 4;

/// Which places come next, and which were met.
#[derive(Debug, Default)]
pub(super) struct Places {
    turns: [u64; KINDS.len()],
    met: HashSet<(usize, Cut)>,
    vast: u64,
}

impl Places {
    /// Where the next answer of this kind is cut.
    pub(super) fn next(&mut self, kind: Kind) -> Cut {
        let nth = KINDS.iter().position(|one| *one == kind).unwrap_or(0);
        let turn = self.turns[nth];
        self.turns[nth] += 1;
        let is_vast = kind == Kind::Chat && turn % VAST_EACH == VAST_EACH - 1;
        let place = (turn / WAYS).wrapping_mul(STRIDE);
        Cut {
            is_reset: turn & 1 == 1,
            is_chunked: turn & 2 == 2,
            is_vast,
            place: match is_vast {
                true => VAST as u64 - place % (VAST as u64 / 8),
                false => place % longest(kind),
            },
        }
    }

    /// Notes that a provider was asked for this.
    pub(super) fn meet(&mut self, ask: &Ask, cut: Cut) {
        match cut.is_vast {
            true => self.vast += 1,
            false => {
                self.met.insert((ask.kind as usize, cut));
            }
        }
    }

    /// How many were met, of how many.
    pub(super) fn met(&self) -> (usize, u64) {
        let all = KINDS.iter().map(|kind| longest(*kind) * WAYS).sum();
        (self.met.len(), all)
    }

    /// How many of more than a mebibyte.
    pub(super) fn vast(&self) -> u64 {
        self.vast
    }
}

#[cfg(test)]
mod tests {
    use standin::mock::{Mock, Script};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_cut_is_read_as_it_was_written() {
        let mut places = Places::default();
        for _ in 0..200 {
            let cut = places.next(Kind::Chat);
            assert_eq!(Cut::read(&cut.to_string()), Some(cut));
        }
        assert_eq!(Cut::read("here"), None);
    }

    #[test]
    fn every_place_comes_in_every_way() {
        let mut places = Places::default();
        let met: HashSet<Cut> = (0..WAYS * longest(Kind::Embeddings))
            .map(|_| places.next(Kind::Embeddings))
            .collect();
        assert_eq!(met.len() as u64, WAYS * longest(Kind::Embeddings));
        assert!(KINDS.iter().all(|kind| longest(*kind) < STRIDE));
    }

    /// What a provider says to this request, cut there.
    async fn said(mock: &Mock, ask: &Ask, cut: Cut) -> usize {
        let mut peer = TcpStream::connect(mock.addr()).await.unwrap();
        let text = String::from_utf8(ask.bytes.clone()).unwrap();
        let text = text.replacen(
            "\r\n",
            &format!("\r\n{CUT}: {cut}\r\nconnection: close\r\n"),
            1,
        );
        peer.write_all(text.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        all.len()
    }

    #[tokio::test]
    async fn no_answer_is_longer_than_its_places_go_nor_much_shorter() {
        let script = Script::at_head(|seen| {
            let cut = seen.header(CUT).and_then(Cut::read).unwrap();
            cut.reply(seen.test_id().unwrap())
        });
        let mock = Mock::start(script).await.unwrap();
        for kind_of_answer in KINDS {
            // Standin asks for usage where the client does not.
            let is_longest = |ask: &Ask| {
                let tells = matches!(ask.kind, Kind::ChatStream | Kind::CompletionStream);
                ask.kind == kind_of_answer && (ask.wants_usage || !tells)
            };
            let mut asks = (1_000_000..).map(|n| Ask::drawn(1, n, vec!["torn/m".to_owned()]));
            let ask = asks.find(is_longest).unwrap();
            let cut = |is_chunked, place| Cut {
                is_reset: false,
                is_chunked,
                is_vast: false,
                place,
            };
            let longest = longest(kind_of_answer);
            let length = |is_chunked| said(&mock, &ask, cut(is_chunked, u64::MAX));
            let (chunked, plain) = (length(true).await as u64, length(false).await as u64);
            let context = format!("{kind_of_answer:?}: {chunked} and {plain} of {longest}");
            assert!(chunked.max(plain) < longest, "{context}");
            assert!(longest < plain.min(chunked) * 2, "{context}");
            assert_eq!(said(&mock, &ask, cut(true, 100)).await, 100);
        }
    }
}
