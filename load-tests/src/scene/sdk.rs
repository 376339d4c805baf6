//! What the tests with the official SDKs need: one model for each thing that
//! can happen.

use serde_json::json;
use standin::mock::{At, Reply, Script, Seen};

use super::Scene;

/// The models that `GET /v1/models` lists, and times short enough to wait for.
const CONFIG: &str = "models:
  house/served: { targets: [{ provider: north, upstream_model: down }, { provider: south, upstream_model: good }] }
  north/busy: { fallbacks: [south/good] }
  north/silent: { timeouts: { total: 2s } }
  south/good: {}
failover:
  first_token_timeout: 1s
  answer_timeout: 1s
";

pub(super) fn scene() -> Scene {
    let providers = vec![("north", north()), ("south", south()), ("east", east())];
    Scene::new(providers, CONFIG)
}

/// Fails.
fn north() -> Script {
    Script::by_model([
        ("bad", Script::from(Reply::rejected())),
        ("broken", Reply::internal_error().into()),
        ("busy", Reply::rate_limited(Some("1")).into()),
        ("crowded", Reply::rate_limited(Some("1")).into()),
        ("denied", Reply::auth().into()),
        ("down", Reply::unavailable().into()),
        ("filtered", Reply::moderated().into()),
        ("full", Reply::rate_limited(Some("3600")).into()),
        ("long", Reply::context_length().into()),
        ("silent", Reply::answer("never").stall(At::Start).into()),
        (
            "stalled",
            Reply::answer("never heard").stall(At::Event(1)).into(),
        ),
        ("torn", torn().into()),
    ])
}

/// Answers.
fn south() -> Script {
    Script::by_model([
        ("good", Script::from(Reply::answer("Hello from the south"))),
        ("json", Reply::answer(r#"{"city": "Paris"}"#).into()),
        ("large", large().into()),
        ("tools", Script::new(tools)),
    ])
}

/// Answers that their readers leave: it counts them, and nobody else's.
fn east() -> Script {
    Script::by_model([
        ("endless", Reply::stream_completion(WORDS).stall(AMONG)),
        ("silent", Reply::answer("never").stall(At::Start)),
    ])
}

/// Ten words: more events than any endpoint's stream has before them.
const WORDS: [&str; 10] = [
    "one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight ", "nine ", "ten",
];
/// Somewhere among them, whatever the endpoint.
const AMONG: At = At::Event(7);

/// Breaks off after it has said something.
fn torn() -> Reply {
    Reply::stream_completion(WORDS).cut(AMONG)
}

/// A plain answer too long to be held, which breaks off.
fn large() -> Reply {
    let text = "x".repeat(2 << 20);
    Reply::completion(&text).cut(At::Byte(3 << 19))
}

/// Asks for the weather in two cities.
fn tools(seen: &Seen) -> Reply {
    let call = |index: usize, city: &str| {
        json!({
            "id": format!("call_{index}"),
            "type": "function",
            "function": {
                "name": "weather",
                "arguments": json!({ "city": city }).to_string(),
            },
        })
    };
    if !seen.stream() {
        return Reply::json(
            200,
            json!({
                "id": "chatcmpl-tools", "object": "chat.completion", "created": 1,
                "model": "tools-2026-01-01",
                "choices": [{
                    "index": 0,
                    "message": {
                        "role": "assistant", "content": null,
                        "tool_calls": [call(0, "Paris"), call(1, "Rome")],
                    },
                    "finish_reason": "tool_calls",
                }],
                "usage": { "prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17 },
            })
            .to_string(),
        );
    }
    let chunk = |delta: serde_json::Value, finish: Option<&str>| {
        json!({
            "id": "chatcmpl-tools", "object": "chat.completion.chunk", "created": 1,
            "model": "tools-2026-01-01",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        })
        .to_string()
    };
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": null }), None)];
    for (index, city) in ["Paris", "Rome"].into_iter().enumerate() {
        let mut begin = call(index, city);
        begin["index"] = json!(index);
        begin["function"]["arguments"] = json!("");
        chunks.push(chunk(json!({ "tool_calls": [begin] }), None));
        let arguments = json!({ "city": city }).to_string();
        let (head, tail) = arguments.split_at(5);
        for piece in [head, tail] {
            let piece = json!({ "index": index, "function": { "arguments": piece } });
            chunks.push(chunk(json!({ "tool_calls": [piece] }), None));
        }
    }
    chunks.push(chunk(json!({}), Some("tool_calls")));
    chunks.push("[DONE]".to_owned());
    Reply::stream(chunks)
}
