//! What a scripted provider does with one request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::seam::{Broken, Head};

/// One thing that happens on an exchange.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Bytes that have come with those before.
    Also(Bytes),
    Break(Broken),
    Bytes(Bytes),
    Hang,
    Head(Head),
    Wait(Duration),
}

/// One scripted attempt. After its last act the answer has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Play {
    /// Before there is a connection.
    pub open: Vec<Act>,
    /// While the request is sent.
    pub send: Vec<Act>,
    /// The answer.
    pub acts: Vec<Act>,
}

/// A chat chunk that says this.
pub(super) fn says(text: &str) -> String {
    chunk(&format!(
        r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}"#
    ))
}

/// The chunk that says whose turn it is.
pub(super) fn role() -> String {
    chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#)
}

/// The chunk with a finish reason.
pub(super) fn finish(reason: &str) -> String {
    chunk(&format!(
        r#"{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}"#
    ))
}

/// A chat chunk with this choice.
pub(super) fn chunk(choice: &str) -> String {
    format!(r#"{{"id":"c","model":"up","choices":[{choice}]}}"#)
}

pub(super) const DONE: &str = "[DONE]";

/// A whole chat completion.
pub(super) const HELLO: &str = r#"{"id":"c","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

/// A chat completion that was filtered.
pub(super) const FILTERED: &str = r#"{"id":"c","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}"#;

impl Play {
    /// A status and this JSON.
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::head(status)
            .header("content-type", "application/json")
            .bytes(body)
    }

    /// OpenAI's error of this code.
    pub(super) fn error(status: u16, code: &str) -> Self {
        let body =
            format!(r#"{{"error":{{"message":"no","type":"t","param":null,"code":"{code}"}}}}"#);
        Self::json(status, body)
    }

    /// A good answer, plain.
    pub(super) fn hello() -> Self {
        Self::json(200, HELLO)
    }

    /// A good answer, streamed.
    pub(super) fn stream() -> Self {
        Self::sse().events([&*role(), &says("Hel"), &says("lo"), &finish("stop"), DONE])
    }

    /// A head alone.
    pub(super) fn head(status: u16) -> Self {
        let head = Head {
            status: StatusCode::from_u16(status).unwrap(),
            headers: http::HeaderMap::new(),
        };
        Self {
            acts: vec![Act::Head(head)],
            ..Self::default()
        }
    }

    /// The head of a stream.
    pub(super) fn sse() -> Self {
        Self::head(200).header("content-type", "text/event-stream")
    }

    /// No connection.
    pub(super) fn refused() -> Self {
        Self {
            open: vec![Act::Break(Broken::Connect)],
            ..Self::default()
        }
    }

    /// Nothing ever comes.
    pub(super) fn silent() -> Self {
        Self::default().hang()
    }

    /// It breaks before the head.
    pub(super) fn breaks(broken: Broken) -> Self {
        Self::default().broken(broken)
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        for act in &mut self.acts {
            if let Act::Head(head) = act {
                let name: HeaderName = name.parse().unwrap();
                head.headers
                    .insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        self
    }

    pub(super) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.acts.push(Act::Bytes(bytes.into()));
        self
    }

    /// Events, each in a read of its own.
    pub(super) fn events<'a>(self, data: impl IntoIterator<Item = &'a str>) -> Self {
        data.into_iter().fold(self, |play, data| play.event(data))
    }

    pub(super) fn event(self, data: &str) -> Self {
        self.bytes(format!("data: {data}\n\n"))
    }

    /// An event that has come with the one before.
    pub(super) fn also(mut self, data: &str) -> Self {
        let event = format!("data: {data}\n\n");
        self.acts.push(Act::Also(event.into()));
        self
    }

    pub(super) fn wait(mut self, time: Duration) -> Self {
        self.acts.push(Act::Wait(time));
        self
    }

    /// Waits before all of the answer.
    pub(super) fn after(mut self, time: Duration) -> Self {
        self.acts.insert(0, Act::Wait(time));
        self
    }

    pub(super) fn hang(mut self) -> Self {
        self.acts.push(Act::Hang);
        self
    }

    pub(super) fn broken(mut self, broken: Broken) -> Self {
        self.acts.push(Act::Break(broken));
        self
    }

    /// The same acts with the answer's bytes in pieces of so many.
    pub(super) fn in_pieces(mut self, size: usize) -> Self {
        self.acts = self
            .acts
            .into_iter()
            .flat_map(|act| match act {
                Act::Bytes(bytes) => bytes
                    .chunks(size)
                    .map(|piece| Act::Bytes(Bytes::copy_from_slice(piece)))
                    .collect(),
                other
                @ (Act::Also(_) | Act::Break(_) | Act::Hang | Act::Head(_) | Act::Wait(_)) => {
                    vec![other]
                }
            })
            .collect();
        self
    }

    /// All of its body.
    pub(super) fn body(&self) -> Vec<u8> {
        let bytes = self.acts.iter().filter_map(|act| match act {
            Act::Also(bytes) | Act::Bytes(bytes) => Some(bytes.as_ref()),
            Act::Break(_) | Act::Hang | Act::Head(_) | Act::Wait(_) => None,
        });
        bytes.collect::<Vec<_>>().concat()
    }
}
