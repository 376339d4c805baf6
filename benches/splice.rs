//! What finding a request's models costs, beside other ways to find them.
//!
//! `cargo bench --bench splice`; the README beside this file says how to read
//! it.

use std::collections::HashMap;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use serde_json::value::RawValue;
use standin::wire::Edits;
use standin::wire::Peek;
use standin::wire::json;
use standin::wire::{Splice, splice};

/// The same job as `Peek::read`, as serde_json does it best: four members are
/// kept as they came, all others are only checked.
#[derive(Deserialize)]
struct Wanted<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    models: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
}

/// Prose with what prose has: quotes, line ends, some letters beyond ASCII.
fn prose(length: usize) -> String {
    const SENTENCES: [&str; 8] = [
        "The quick answer is that nothing here was ever meant to last. ",
        "She said \"not today\", and closed the door behind her.\n",
        "In the café on the corner they still serve it the old way — slowly. ",
        "What follows is a list of the things that we agreed upon last week:\n\n",
        "- the first draft goes to the editor, the second one to the printer\n",
        "Nobody knew how the letter had come to lie between the pages of that book. ",
        "It had rained for three days when the river rose above the lower bridge. ",
        "\"Then let us go,\" he answered, although he had no wish to leave.\n",
    ];
    let mut text = String::new();
    let mut state = length as u32;
    while text.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(SENTENCES[(state >> 29) as usize]);
    }
    text
}

/// A chat of about `size` bytes, in turns of very different length.
fn chat(size: usize, model_first: bool) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut length = 0;
    let mut turn = 0;
    while length + 200 < size {
        let wanted = [300, 1_200, 150, 2_500][turn % 4].min(size - length - 190);
        let content = prose(wanted);
        length += content.len() + 60;
        let role = ["user", "assistant"][turn % 2];
        messages.push(serde_json::json!({ "role": role, "content": content }));
        turn += 1;
    }
    let messages = serde_json::to_string(&messages).expect("plain values");
    body(&messages, model_first)
}

/// One question about a picture of about `size` bytes.
fn picture(size: usize) -> Vec<u8> {
    let base64: String = (0..size)
        .map(|at| char::from(b"ABCDEFGHabcdefgh01234567+/xyzXYZ"[(at * 7 + at / 5) % 32]))
        .collect();
    let messages = serde_json::json!([{ "role": "user", "content": [
        { "type": "text", "text": "What is in this picture?" },
        { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{base64}") } },
    ]}]);
    body(&messages.to_string(), false)
}

fn body(messages: &str, model_first: bool) -> Vec<u8> {
    let model = r#""model":"openai/gpt-4o","models":["openai/gpt-4o","google/gemini-1.5-pro"]"#;
    let rest = format!(r#""messages":{messages},"temperature":0.7,"stream":true"#);
    if model_first {
        format!("{{{model},{rest}}}").into_bytes()
    } else {
        format!("{{{rest},{model}}}").into_bytes()
    }
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("2KB-first", chat(2 << 10, true)),
        ("2KB-last", chat(2 << 10, false)),
        ("32KB-first", chat(32 << 10, true)),
        ("32KB-last", chat(32 << 10, false)),
        ("1MB-first", chat(1 << 20, true)),
        ("1MB-last", chat(1 << 20, false)),
        ("8MB-first", chat(8 << 20, true)),
        ("8MB-last", chat(8 << 20, false)),
        ("1MB-picture", picture(1 << 20)),
    ]
}

fn read(c: &mut Criterion) {
    for (name, body) in bodies() {
        let mut group = c.benchmark_group(format!("read/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        let id = BenchmarkId::from_parameter;
        group.bench_with_input(id("peek"), &body, |b, body| {
            b.iter(|| Peek::read(black_box(body)).expect("a valid body"));
        });
        group.bench_with_input(id("serde_json-struct"), &body, |b, body| {
            b.iter(|| {
                let wanted: Wanted<'_> =
                    serde_json::from_slice(black_box(body)).expect("a valid body");
                black_box((wanted.models, wanted.stream, wanted.stream_options));
                wanted.model.is_some()
            });
        });
        // What `peek` does besides: serde_json takes what it ignores unread.
        group.bench_with_input(id("serde_json-struct-utf8"), &body, |b, body| {
            b.iter(|| {
                let text = std::str::from_utf8(black_box(body)).expect("a valid body");
                let wanted: Wanted<'_> = serde_json::from_str(text).expect("a valid body");
                wanted.model.is_some()
            });
        });
        group.bench_with_input(id("serde_json-map"), &body, |b, body| {
            b.iter(|| {
                serde_json::from_slice::<HashMap<&str, &RawValue>>(black_box(body))
                    .expect("a valid body")
                    .len()
            });
        });
        group.bench_with_input(id("simd-json-tape"), &body, |b, body| {
            let mut copy = Vec::new();
            b.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(body));
                simd_json::to_tape(&mut copy).expect("a valid body").0.len()
            });
        });
        group.bench_with_input(id("memcpy"), &body, |b, body| {
            let mut copy = Vec::with_capacity(body.len());
            b.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(body));
                black_box(copy.as_slice()).len()
            });
        });
        group.finish();
    }
}

fn make(c: &mut Criterion) {
    let edits = Edits {
        drop: vec!["seed".into()],
        rename: vec![("max_tokens".into(), "max_completion_tokens".into())],
        set: vec![("store".into(), Bytes::from_static(b"false"))],
    };
    let none = Edits::default();
    let mut group = c.benchmark_group("splice");
    for (name, body) in bodies() {
        let body = Bytes::from(body);
        let peek = Peek::read(&body).expect("a valid body");
        for (kind, edits) in [("model", &none), ("edits", &edits)] {
            let wish = Splice {
                model: "gpt-4o-2024-11-20",
                edits,
                ask_usage: true,
            };
            group.bench_function(BenchmarkId::new(kind, name), |b| {
                b.iter(|| splice(black_box(&body), &peek, &wish));
            });
        }
    }
    group.finish();
}

/// Events of a stream are small: what counts is what a scan costs to begin.
fn event(c: &mut Criterion) {
    let event = br#"{"id":"chatcmpl-8sZ0fQ2wXb","object":"chat.completion.chunk","created":1717171717,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#;
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Bytes(event.len() as u64));
    group.bench_function("object", |b| {
        b.iter(|| {
            let mut model = 0..0;
            json::object(black_box(event), |member| {
                if member.key.is("model") {
                    model = member.value_at;
                }
            })
            .expect("a valid event");
            model
        });
    });
    group.bench_function("serde_json-struct", |b| {
        b.iter(|| {
            serde_json::from_slice::<Wanted<'_>>(black_box(event))
                .expect("a valid event")
                .model
                .is_some()
        });
    });
    group.finish();
}

criterion_group!(benches, read, make, event);
criterion_main!(benches);
