//! What the lean provider answers: the request says so in a header of its
//! own, and the path by which it is reached says whether it fails.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::{count, number};

/// The request's header that says what the answer is: `plain BYTES` or
/// `stream EVENTS MICROSECONDS`, the time being that between two events.
pub(super) const HEADER: &str = "x-answer";
/// What the provider calls its model.
pub(super) const MODEL: &str = "gpt-4o-mini-2024-07-18";

/// Where every request is answered with a 429 that says nothing more, …
pub(super) const LIMITED: &str = "limited";
/// … one that holds for an hour, …
pub(super) const COOLING: &str = "cooling";
/// … and a stream whose first event is an error.
pub(super) const ERRS: &str = "errs";

/// What is written for a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// Each is written on its own.
    pub(super) pieces: Arc<[Vec<u8>]>,
    /// Between two of them.
    pub(super) every: Duration,
}

/// Replies by what asked for them; there are few.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    known: Vec<(Vec<u8>, Reply)>,
}

impl Scripts {
    /// The reply to a request with this target and this header.
    pub(super) fn reply(&mut self, target: &[u8], header: &[u8]) -> Result<Reply, String> {
        let failing = [LIMITED, COOLING, ERRS].into_iter().find(|name| {
            let name = name.as_bytes();
            target.get(1..).is_some_and(|rest| rest.starts_with(name))
        });
        let wanted = failing.map_or(header, str::as_bytes);
        if let Some((_, reply)) = self.known.iter().find(|(known, _)| known == wanted) {
            return Ok(reply.clone());
        }
        let reply = match failing {
            Some(LIMITED) => refusal(""),
            Some(COOLING) => refusal("retry-after: 3600\r\n"),
            Some(_) => error_in_stream(),
            None => asked_for(header)
                .ok_or_else(|| format!("what is {:?}?", String::from_utf8_lossy(header)))?,
        };
        self.known.push((wanted.to_owned(), reply.clone()));
        Ok(reply)
    }
}

fn asked_for(header: &[u8]) -> Option<Reply> {
    let words: Vec<&[u8]> = header.split(|byte| *byte == b' ').collect();
    match words.as_slice() {
        [b"plain", bytes] => Some(plain(usize::try_from(number(bytes)?).ok()?)),
        [b"stream", events, every] => {
            let every = Duration::from_micros(number(every)?);
            Some(stream(number(events)?, every))
        }
        _ => None,
    }
}

/// A chat's answer of so many bytes.
fn plain(bytes: usize) -> Reply {
    let body = |content: &str| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000,
            "model": MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": content },
                "finish_reason": "stop",
            }],
            "usage": { "prompt_tokens": 500, "completion_tokens": 400, "total_tokens": 900 },
        })
        .to_string()
    };
    let padding = bytes.saturating_sub(body("").len());
    let body = body(&words(padding));
    once(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A chat's stream of so many events, which says something from its first on.
fn stream(events: u64, every: Duration) -> Reply {
    let event = |delta: serde_json::Value, finish: serde_json::Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": MODEL,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
            "usage": null,
        })
        .to_string()
    };
    let first = event(json!({ "role": "assistant", "content": "So" }), json!(null));
    let said = event(json!({ "content": " it goes on" }), json!(null));
    let finish = event(json!({}), json!("stop"));
    let usage = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": MODEL, "choices": [],
        "usage": { "prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700 },
    })
    .to_string();
    let said = (4..events).map(|_| said.as_str());
    let data = [first.as_str()].into_iter().chain(said);
    let data = data.chain([finish.as_str(), usage.as_str(), "[DONE]"]);
    let mut pieces: Vec<Vec<u8>> = data.map(chunk).collect();
    if let Some(first) = pieces.first_mut() {
        first.splice(0..0, STREAM.bytes());
    }
    if let Some(last) = pieces.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    Reply {
        pieces: pieces.into(),
        every,
    }
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(data: &str) -> Vec<u8> {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", count(event.as_bytes())).into()
}

fn refusal(more: &str) -> Reply {
    let body =
        r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    once(format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n{more}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn error_in_stream() -> Reply {
    let error = r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#;
    let mut bytes: Vec<u8> = STREAM.into();
    bytes.extend(chunk(error));
    bytes.extend(b"0\r\n\r\n");
    Reply {
        pieces: [bytes].into(),
        every: Duration::ZERO,
    }
}

fn once(whole: String) -> Reply {
    Reply {
        pieces: [whole.into_bytes()].into(),
        every: Duration::ZERO,
    }
}

/// So many bytes of words.
pub(super) fn words(bytes: usize) -> String {
    "all work and no play makes a dull test "
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::answer::Answer;
    use super::*;

    fn read(target: &str, header: &str) -> Answer {
        let reply = Scripts::default().reply(target.as_bytes(), header.as_bytes());
        let mut answer = Answer::new();
        let whole = reply.unwrap().pieces.concat();
        assert!(answer.read(&whole, b"retry-after").unwrap());
        answer
    }

    #[test]
    fn answers_have_the_size_that_was_asked_for() {
        assert_eq!(read("/v1/chat/completions", "plain 2048").length, 2048);
        assert_eq!(read("/v1/chat/completions", "plain 32768").length, 32768);
        let stream = read("/v1/chat/completions", "stream 200 20000");
        assert_eq!((stream.events, stream.is_done()), (200, true));
    }

    #[test]
    fn the_path_decides_who_fails() {
        let limited = read("/limited/v1/chat/completions", "plain 2048");
        assert_eq!((limited.status, limited.marked), (429, false));
        let cooling = read("/cooling/v1/chat/completions", "plain 2048");
        assert_eq!((cooling.status, cooling.marked), (429, true));
        let errs = read("/errs/v1/chat/completions", "stream 200 0");
        assert_eq!((errs.status, errs.events), (200, 1));
    }

    #[test]
    fn an_unknown_script_is_an_error() {
        assert!(Scripts::default().reply(b"/v1", b"pluin 3").is_err());
    }
}
