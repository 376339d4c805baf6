//! Captured answers of providers, one in each file of `tests/answers`, and
//! what each comes to.
//!
//! The first line of a file is `ENDPOINT STATUS OUTCOME`, or `stream` for the
//! status of a streamed 200. Behind the outcome may stand `wait=TIME`, how long
//! the provider asks to be left alone, and `requests=LEFT/TIME` and
//! `tokens=LEFT/TIME`, what it says is left; where one is missing, nothing may
//! be said. Then come headers, one a line, and behind an empty line the body.
//! Our clock shows the first moment of 2026.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail their test"
)]

use std::fs;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use standin::base::Endpoint;
use standin::dialect::{ErrorSays, Event, Plain, Worth, in_200, verdict};
use standin::outcome::{Blame, Outcome, Says};
use standin::wire::sse::Framer;
use standin::wire::{Left, Quota, reset};

fn endpoint(name: &str) -> Endpoint {
    match name {
        "chat" => Endpoint::Chat,
        "completions" => Endpoint::Completions,
        "embeddings" => Endpoint::Embeddings,
        "responses" => Endpoint::Responses,
        other => panic!("{other} is no endpoint"),
    }
}

fn word(outcome: Outcome) -> String {
    let label = outcome.label();
    let more = match outcome {
        Outcome::BadAnswer(Says::Broken) => ":broken",
        Outcome::BadAnswer(Says::Credential) => ":credential",
        Outcome::BadAnswer(Says::Prompt) => ":prompt",
        Outcome::BadAnswer(Says::RateLimited) => ":rate_limited",
        Outcome::Auth(Blame::Request)
        | Outcome::Forbidden(Blame::Request)
        | Outcome::NotFound(Blame::Request)
        | Outcome::RateLimited(Blame::Request)
        | Outcome::Reset(Blame::Request)
        | Outcome::Timeout(Blame::Request) => ":request",
        Outcome::Auth(Blame::Target)
        | Outcome::ClientGone
        | Outcome::Connect
        | Outcome::ContextLength
        | Outcome::Cut
        | Outcome::Forbidden(Blame::Target)
        | Outcome::Moderated
        | Outcome::NotFound(Blame::Target)
        | Outcome::RateLimited(Blame::Target)
        | Outcome::Rejected
        | Outcome::Reset(Blame::Target)
        | Outcome::Timeout(Blame::Target)
        | Outcome::Unavailable => "",
    };
    format!("{label}{more}")
}

fn plain(endpoint: Endpoint, body: &[u8]) -> String {
    match Plain::read(endpoint, body, false) {
        Plain::Answer { .. } => "answer".to_owned(),
        Plain::Failed(outcome, ..) => word(outcome),
        Plain::Filtered { .. } => word(Outcome::Moderated),
    }
}

/// The first event that decides.
fn streamed(endpoint: Endpoint, body: &[u8]) -> String {
    let mut framer = Framer::default();
    framer.push(Bytes::copy_from_slice(body));
    let mut filtered = false;
    while let Some(frame) = framer.next().unwrap() {
        let Some(data) = frame.data() else { continue };
        match Event::read(endpoint, frame.event(), &data).unwrap().worth {
            Worth::Said => return "answer".to_owned(),
            Worth::Error => return word(in_200(&ErrorSays::read(&data), false)),
            Worth::Filtered => filtered = true,
            Worth::Done | Worth::Polite => {}
        }
    }
    word(if filtered {
        Outcome::Moderated
    } else {
        Outcome::BadAnswer(Says::Broken)
    })
}

/// The times of a file's first line, from its headers and its body.
fn times(head: &str, status: &str, body: &[u8]) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let mut said = String::new();
    let answered = matches!(status, "200" | "stream");
    if !answered && let Some(wait) = reset::wait(&headers, ErrorSays::read(body).retry, now) {
        said += &format!(" wait={wait:?}");
    }
    let quota = Quota::read(&headers, now);
    for (name, left) in [("requests", quota.requests), ("tokens", quota.tokens)] {
        let Some(Left { remaining, reset }) = left else {
            continue;
        };
        said += &match reset {
            Some(reset) => format!(" {name}={remaining}/{reset:?}"),
            None => format!(" {name}={remaining}/-"),
        };
    }
    said
}

#[test]
fn every_captured_answer_comes_to_what_its_file_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let line = head.lines().next().unwrap();
        let [at, status, expected] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?} in {}", path.display());
        };
        let body = body.as_bytes();
        let is = match status {
            "stream" => streamed(endpoint(at), body),
            "200" => plain(endpoint(at), body),
            status => word(verdict(
                status.parse().unwrap(),
                &ErrorSays::read(body),
                false,
            )),
        };
        let is = is + &times(head, status, body);
        if is != expected {
            wrong.push(format!("{}: {is}, not {expected}", path.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 60, "the files are there");
}
