//! What a plain 200 says.

use std::ops::Range;

use super::error::{ErrorSays, in_200};
use super::event::is_filtered;
use super::said;
use super::usage;
use crate::base::Endpoint;
use crate::outcome::{Outcome, Says};
use crate::usage::Tokens;
use crate::wire::json::{self, Kind};

/// A whole plain answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// An answer.
    Answer {
        /// The value of the top-level `model`, whatever it is.
        model: Option<Range<usize>>,
        /// What it says it used.
        usage: Option<Tokens>,
        /// The tier that served it, where that may have prices of its own.
        service_tier: Option<&'static str>,
        /// Bytes of text, thoughts and tool calls in it, as they stand in the
        /// JSON, to estimate by where it says nothing of usage.
        said_bytes: u32,
    },
    /// A 200 that is none, and what it says it used all the same.
    Failed(Outcome, ErrorSays, Option<Tokens>),
    /// An answer that was filtered before it said anything.
    Filtered {
        /// As in an answer.
        model: Option<Range<usize>>,
        /// As in an answer.
        usage: Option<Tokens>,
        /// As in an answer.
        service_tier: Option<&'static str>,
    },
}

/// What stands at the top level.
#[derive(Default)]
struct Top {
    model: Option<Range<usize>>,
    error: bool,
    choices: Option<said::Choice>,
    data: bool,
    output: bool,
    said_output: bool,
    failed: bool,
    filtered: bool,
    usage: Option<Tokens>,
    service_tier: Option<&'static str>,
    output_bytes: u32,
}

impl Plain {
    /// Reads a plain 200. Only what is plainly no answer fails: an error, a
    /// body that is no JSON object, an object without the member that every
    /// answer of this endpoint has, an answer that was filtered before it
    /// said anything. `brings_rights` is as in [`in_200`].
    pub fn read(endpoint: Endpoint, body: &[u8], brings_rights: bool) -> Self {
        let mut top = Top::default();
        let read = json::object(body, |member| {
            let value = &body[member.value_at.clone()];
            if member.key.is("model") {
                top.model = Some(member.value_at);
            } else if member.key.is("error") {
                top.error |= said::is_set(body, &member.value_at);
            } else if member.key.is("object") {
                top.error |= json::string(value).as_deref() == Some("error");
            } else if member.key.is("choices") {
                top.choices = Some(said::choices(value));
            } else if member.key.is("data") {
                top.data = json::kind(value) == Some(Kind::Array);
            } else if member.key.is("output") {
                top.output = json::kind(value) == Some(Kind::Array);
                for at in json::elements(value) {
                    let item = &value[at];
                    top.said_output |= said::speaks_in_output(item);
                    let bytes = said::bytes_in_output(item);
                    top.output_bytes = top.output_bytes.saturating_add(bytes);
                }
            } else if member.key.is("status") {
                top.failed |= json::string(value).as_deref() == Some("failed");
            } else if member.key.is("incomplete_details") {
                top.filtered |= is_filtered(value);
            } else if member.key.is("usage") {
                top.usage = usage::tokens(value);
            } else if member.key.is("service_tier") {
                top.service_tier = usage::service_tier(value);
            } else if member.key.is("promptFeedback") || member.key.is("prompt_feedback") {
                top.filtered |= json::members(value).any(|m| m.key.is("blockReason"));
            }
        });
        // An array that is one error is Gemini's, and no answer either way.
        if read.is_err() || top.error || top.failed {
            let says = ErrorSays::read(body);
            return Self::Failed(in_200(&says, brings_rights), says, top.usage);
        }
        let choice = top.choices.unwrap_or_default();
        let usage = top.usage.or(choice.usage);
        let is_filtered = match endpoint {
            Endpoint::Chat | Endpoint::Completions => {
                (choice.filtered || top.filtered) && !choice.said
            }
            Endpoint::Responses => top.filtered && !top.said_output,
            Endpoint::Embeddings => false,
        };
        let is_answer = match endpoint {
            Endpoint::Chat | Endpoint::Completions => choice.there,
            Endpoint::Embeddings => top.data,
            Endpoint::Responses => top.output,
        };
        if is_filtered {
            Self::Filtered {
                model: top.model,
                usage,
                service_tier: top.service_tier,
            }
        } else if is_answer && (choice.said || !choice.failed) {
            Self::Answer {
                model: top.model,
                usage,
                service_tier: top.service_tier,
                said_bytes: choice.bytes.saturating_add(top.output_bytes),
            }
        } else {
            Self::Failed(
                Outcome::BadAnswer(Says::Broken),
                ErrorSays::default(),
                usage,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Plain {
        Plain::read(Endpoint::Chat, body.as_bytes(), false)
    }

    #[test]
    fn an_answer_is_one() {
        let body = r#"{"id":"1","model":"m-1","choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"error":null}"#;
        let Plain::Answer {
            model: Some(at), ..
        } = chat(body)
        else {
            panic!("no answer");
        };
        assert_eq!(&body[at], "\"m-1\"");
        for (endpoint, body) in [
            (Endpoint::Embeddings, r#"{"object":"list","data":[]}"#),
            (
                Endpoint::Responses,
                r#"{"object":"response","status":"completed","output":[]}"#,
            ),
            (
                Endpoint::Completions,
                r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#,
            ),
            (
                Endpoint::Chat,
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{}]}}]}"#,
            ),
        ] {
            let read = Plain::read(endpoint, body.as_bytes(), false);
            assert!(matches!(read, Plain::Answer { model: None, .. }), "{body}");
        }
    }

    #[test]
    fn what_is_none_fails() {
        for body in [
            "",
            "<html>",
            "null",
            "[]",
            "{}",
            r#"{"choices":[]}"#,
            r#"{"choices":"x"}"#,
            r#"{"choices":[1]}"#,
            "{\"choices\":[{}",
        ] {
            let Plain::Failed(outcome, ..) = chat(body) else {
                panic!("{body} is no answer");
            };
            assert_eq!(outcome, Outcome::BadAnswer(Says::Broken), "{body}");
        }
        let rate = chat(r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#);
        assert!(matches!(
            rate,
            Plain::Failed(Outcome::BadAnswer(Says::RateLimited), ..)
        ));
        let failed = r#"{"object":"response","status":"failed","error":{"code":"server_error","message":"x"},"output":[]}"#;
        let read = Plain::read(Endpoint::Responses, failed.as_bytes(), false);
        assert!(matches!(
            read,
            Plain::Failed(Outcome::BadAnswer(Says::Broken), ..)
        ));
    }

    #[test]
    fn a_filtered_answer_is_none_unless_it_said_something() {
        let empty = r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}"#;
        assert!(matches!(chat(empty), Plain::Filtered { model: None, .. }));
        let partly =
            r#"{"choices":[{"message":{"content":"some"},"finish_reason":"content_filter"}]}"#;
        assert!(matches!(chat(partly), Plain::Answer { .. }));
        for (output, is_filtered) in [
            ("[]", true),
            (
                r#"[{"type":"message","role":"assistant","content":[]}]"#,
                true,
            ),
            (
                r#"[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"","annotations":[]}]}]"#,
                true,
            ),
            (
                r#"[{"type":"message","content":[{"type":"output_text","text":"some"}]}]"#,
                false,
            ),
            (r#"[{"type":"function_call","name":"f"}]"#, false),
        ] {
            let response = format!(
                r#"{{"status":"incomplete","incomplete_details":{{"reason":"content_filter"}},"output":{output}}}"#
            );
            let read = Plain::read(Endpoint::Responses, response.as_bytes(), false);
            assert_eq!(
                matches!(read, Plain::Filtered { model: None, .. }),
                is_filtered,
                "{output}"
            );
        }
    }

    #[test]
    fn what_was_used_and_said_is_read() {
        let body = r#"{"choices":[{"message":{"role":"assistant","content":"1234","reasoning_content":"12"},"finish_reason":"stop"}],"service_tier":"flex","usage":{"prompt_tokens":9,"completion_tokens":0}}"#;
        let Plain::Answer {
            usage: Some(used),
            service_tier,
            said_bytes,
            ..
        } = chat(body)
        else {
            panic!("it says what it used");
        };
        assert_eq!((used.input, used.output), (9, 0));
        assert_eq!((service_tier, said_bytes), (Some("flex"), 6));

        let response = r#"{"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"123"}]},{"type":"message","content":[{"type":"output_text","text":"1234"}]},{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"}]}"#;
        let read = Plain::read(Endpoint::Responses, response.as_bytes(), false);
        let Plain::Answer {
            usage, said_bytes, ..
        } = read
        else {
            panic!("an answer");
        };
        assert_eq!((usage, said_bytes), (None, 10));

        let filtered = r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}"#;
        let Plain::Filtered {
            usage: Some(used), ..
        } = chat(filtered)
        else {
            panic!("filtered");
        };
        assert_eq!(used.input, 9);

        let embedded =
            r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        let read = Plain::read(Endpoint::Embeddings, embedded.as_bytes(), false);
        let Plain::Answer {
            usage: Some(used),
            said_bytes,
            ..
        } = read
        else {
            panic!("an answer");
        };
        assert_eq!((used.input, used.output, said_bytes), (8, 0, 0));
    }
}
