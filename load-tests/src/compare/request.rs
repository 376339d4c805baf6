//! The requests of a run, as bytes.

use serde_json::{Value, json};

use super::script::{HEADER, words};

/// The candidate that answers.
pub(super) const WELL: &str = "mock/gpt-4o-mini";

/// A chat of so many bytes, with these candidates in its list, that is
/// answered as `answer` says.
pub(super) fn chat(candidates: &[&str], bytes: usize, answer: &str) -> Vec<u8> {
    let body = |words: &str| {
        let mut body = json!({
            "model": candidates.first(),
            "messages": [{ "role": "user", "content": words }],
            "temperature": 0.5,
            "max_tokens": 400,
        });
        if candidates.len() > 1 {
            body["models"] = candidates.into();
        }
        if answer.starts_with("stream") {
            body["stream"] = Value::Bool(true);
            body["stream_options"] = json!({ "include_usage": true });
        }
        body.to_string()
    };
    let body = body(&words(bytes.saturating_sub(body("").len())));
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: proxy.test\r\n\
         content-type: application/json\r\naccept: application/json\r\n\
         user-agent: compare/1\r\nauthorization: Bearer sk-client\r\n{HEADER}: {answer}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_the_size_that_was_asked_for() {
        let bytes = chat(&[WELL], 2048, "plain 2048");
        let body = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        assert_eq!(bytes.len() - body, 2048);
        let body: Value = serde_json::from_slice(&bytes[body..]).unwrap();
        assert_eq!(body["model"], WELL);
        assert!(body.get("models").is_none() && body.get("stream").is_none());
    }
}
