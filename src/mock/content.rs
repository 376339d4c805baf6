//! What an answer says, before it is framed.

use bytes::Bytes;
use serde_json::Value;

use super::completion::{self, Speech};
use super::reply::Reply;
use super::responses;
use super::seen::{Place, Seen};
use super::step::Step;

/// What a [`Reply`] has to say.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// The body of the 404 that names the request's model.
    Absent,
    /// Any body.
    Body(Bytes),
    /// An event stream, event by event.
    Events(Vec<Bytes>),
    /// An error's body in a 200; without one that of [`Said::Absent`].
    Inside(Option<Bytes>),
    /// The list of these models.
    Models(Vec<String>),
    /// No HTTP of ours.
    Steps(Vec<Step>),
    /// A made-up answer.
    Words(Words),
}

/// A made-up answer.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) pieces: Vec<String>,
    pub(super) filtered: bool,
    /// Whether it streams where the request asks for that.
    pub(super) streams: bool,
}

/// A body in pieces, and what it is.
pub(super) struct Content {
    pub(super) kind: &'static str,
    pub(super) pieces: Vec<Bytes>,
    pub(super) streamed: bool,
}

impl Said {
    pub(super) fn words<'a>(pieces: impl IntoIterator<Item = &'a str>, streams: bool) -> Self {
        Self::Words(Words {
            pieces: pieces.into_iter().map(Into::into).collect(),
            filtered: false,
            streams,
        })
    }

    pub(super) fn filtered() -> Self {
        Self::Words(Words {
            pieces: Vec::new(),
            filtered: true,
            streams: true,
        })
    }

    pub(super) fn models<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Models(names.into_iter().map(Into::into).collect())
    }
}

impl Content {
    /// What this reply says to this request; nothing for raw steps.
    pub(super) fn of(reply: &Reply, seen: &Seen) -> Self {
        match &reply.said {
            Said::Absent => Self::json(absent(seen.model().unwrap_or_default())),
            Said::Body(body) => Self::json(body.clone()),
            Said::Events(events) => Self::events(reply, events.clone()),
            Said::Inside(error) => {
                let error = match error {
                    Some(error) => error.clone(),
                    None => absent(seen.model().unwrap_or_default()),
                };
                match seen.stream() {
                    true => Self::events(reply, vec![inside(&error, seen)]),
                    false => Self::json(error),
                }
            }
            Said::Models(names) => Self::json(completion::models(names, seen)),
            Said::Steps(_) => Self::json(Bytes::new()),
            Said::Words(words) => Self::words(words, reply, seen),
        }
    }

    fn words(words: &Words, reply: &Reply, seen: &Seen) -> Self {
        let speech = Speech::new(words, &reply.voice, seen);
        let streamed = words.streams && seen.stream();
        match seen.place() {
            Place::Chat if streamed => Self::events(reply, speech.chat_events()),
            Place::Chat => Self::json(speech.chat()),
            Place::Completions if streamed => Self::events(reply, speech.text_events()),
            Place::Completions => Self::json(speech.text()),
            Place::Embeddings => Self::json(speech.embedding()),
            Place::Models => Self::json(completion::models(&["mock-model".into()], seen)),
            Place::Responses if streamed => Self::events(reply, responses::events(&speech)),
            Place::Responses => Self::json(responses::plain(&speech)),
        }
    }

    fn json(body: Bytes) -> Self {
        Self {
            kind: "application/json",
            pieces: if body.is_empty() {
                Vec::new()
            } else {
                vec![body]
            },
            streamed: false,
        }
    }

    fn events(reply: &Reply, events: Vec<Bytes>) -> Self {
        let mut pieces = reply.voice.opening.clone();
        pieces.extend(events);
        Self {
            kind: "text/event-stream; charset=utf-8",
            pieces,
            streamed: true,
        }
    }
}

/// An error as a stream's only event. `/responses` has an event for it, all
/// others send the object.
fn inside(error: &Bytes, seen: &Seen) -> Bytes {
    if seen.place() != Place::Responses {
        // Over several lines the object would be several `data` fields.
        let text = String::from_utf8_lossy(error).replace('\n', " ");
        return format!("data: {text}\n\n").into();
    }
    let body: Value = serde_json::from_slice(error).unwrap_or_default();
    let body = body.get(0).unwrap_or(&body);
    let said = |name: &str| body["error"][name].to_string();
    let (code, message, param) = (said("code"), said("message"), said("param"));
    format!(
        "event: error\ndata: {{\"type\":\"error\",\"sequence_number\":0,\"code\":{code},\
         \"message\":{message},\"param\":{param}}}\n\n"
    )
    .into()
}

fn absent(model: &str) -> Bytes {
    let message = Value::from(format!(
        "The model `{model}` does not exist or you do not have access to it."
    ));
    format!(
        r#"{{"error":{{"message":{message},"type":"invalid_request_error","param":null,"code":"model_not_found"}}}}"#
    )
    .into()
}
