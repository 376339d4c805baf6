//! Captured answers of providers, one in each file of `tests/answers`, and
//! what each comes to.
//!
//! The first line of a file is `ENDPOINT STATUS OUTCOME`, or `stream` for the
//! status of a streamed 200; behind an empty line stands the body.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail their test"
)]

use std::fs;

use bytes::Bytes;
use standin::base::Endpoint;
use standin::dialect::{ErrorSays, Event, Plain, Worth, in_200, verdict};
use standin::outcome::{Outcome, Says};
use standin::wire::sse::Framer;

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
    let Outcome::BadAnswer(says) = outcome else {
        return label.to_owned();
    };
    let says = match says {
        Says::Broken => "broken",
        Says::Credential => "credential",
        Says::Prompt => "prompt",
        Says::RateLimited => "rate_limited",
    };
    format!("{label}:{says}")
}

fn plain(endpoint: Endpoint, body: &[u8]) -> String {
    match Plain::read(endpoint, body) {
        Plain::Answer { .. } => "answer".to_owned(),
        Plain::Failed(outcome, _) => word(outcome),
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
            Worth::Error => return word(in_200(&ErrorSays::read(&data))),
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

#[test]
fn every_captured_answer_comes_to_what_its_file_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/answers");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (line, body) = text.split_once("\n\n").unwrap();
        let [at, status, expected] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?} in {}", path.display());
        };
        let body = body.as_bytes();
        let is = match status {
            "stream" => streamed(endpoint(at), body),
            "200" => plain(endpoint(at), body),
            status => word(verdict(status.parse().unwrap(), &ErrorSays::read(body))),
        };
        if is != expected {
            wrong.push(format!("{}: {is}, not {expected}", path.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 40, "the files are there");
}
