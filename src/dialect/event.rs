//! What one event of a stream says.

use std::ops::Range;

use super::codes::is_filter;
use super::said::{self, Choice};
use super::usage;
use crate::base::Endpoint;
use crate::usage::Tokens;
use crate::wire::json::{self, Syntax};

/// What an event is worth before commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// `[DONE]`.
    Done,
    /// An error instead of an answer.
    Error,
    /// The content policy ended the answer, or a part of it.
    Filtered,
    /// Pings, roles, empty deltas, opening events: nothing said yet.
    Polite,
    /// Something is said, or something that we do not know.
    Said,
}

/// One event, read. Ranges are into its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is worth before commit.
    pub worth: Worth,
    /// After it the answer has come to its end: a finish reason, a terminal
    /// `response.*` event, `[DONE]`.
    pub finishes: bool,
    /// An error in a shape that clients take for one: a top-level object
    /// `error`, or an error event of the Responses API.
    pub tells_error: bool,
    /// The value of the top-level `model` (`response.model` on
    /// `/v1/responses`), whatever it is.
    pub model: Option<Range<usize>>,
    /// Where a `model` is to stand in an answer that has none: before the
    /// first member.
    pub no_model: Option<usize>,
    /// The member `"usage": null` with the comma that goes with it.
    pub null_usage: Option<Range<usize>>,
    /// `choices` is empty and `usage` is not: the event that asking for usage
    /// adds.
    pub is_usage_only: bool,
    /// `sequence_number` of the Responses API.
    pub sequence: Option<u64>,
    /// What the answer says it used so far. Of a stream's events the last that
    /// says so counts: where several do, they count on from one another.
    pub usage: Option<Tokens>,
    /// The tier that served it, where that may have prices of its own.
    pub service_tier: Option<&'static str>,
    /// Bytes of text, thoughts and tool calls in it, as they stand in the JSON,
    /// to estimate by where no usage comes.
    pub said_bytes: u32,
}

impl Event {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// The data is neither `[DONE]` nor one JSON object.
    pub fn read(endpoint: Endpoint, name: Option<&[u8]>, data: &[u8]) -> Result<Self, Syntax> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Self::bare(Worth::Done, true));
        }
        // Gemini wraps a stream's error in an array.
        if json::kind(data.trim_ascii_start()) == Some(json::Kind::Array) {
            json::value(data)?;
            let inner = json::elements(data).next().unwrap_or_default();
            return Self::read_object(endpoint, name, &data[inner]).map(|inner| Self {
                tells_error: false,
                model: None,
                null_usage: None,
                ..inner
            });
        }
        Self::read_object(endpoint, name, data)
    }

    fn read_object(endpoint: Endpoint, name: Option<&[u8]>, data: &[u8]) -> Result<Self, Syntax> {
        match endpoint {
            Endpoint::Responses => read_response(name, data),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => {
                read_choices(name, data)
            }
        }
    }

    fn bare(worth: Worth, finishes: bool) -> Self {
        Self {
            worth,
            finishes,
            tells_error: false,
            model: None,
            no_model: None,
            null_usage: None,
            is_usage_only: false,
            sequence: None,
            usage: None,
            service_tier: None,
            said_bytes: 0,
        }
    }
}

/// What stands at the top level of a chat or completion event.
#[derive(Default)]
struct Top {
    choices: Option<Choice>,
    no_choices: bool,
    error: bool,
    tells_error: bool,
    blocked: bool,
    ping: bool,
    other: bool,
    /// Where the first member begins.
    first: Option<usize>,
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    null_usage: Option<Range<usize>>,
    groq_usage: Option<Tokens>,
    service_tier: Option<&'static str>,
}

fn read_choices(name: Option<&[u8]>, data: &[u8]) -> Result<Event, Syntax> {
    let mut top = Top::default();
    json::object(data, |member| {
        let value = &data[member.value_at.clone()];
        top.first.get_or_insert(member.key_at.start);
        if member.key.is("choices") {
            top.no_choices = said::is_empty(value);
            top.choices = Some(said::choices(value));
        } else if member.key.is("model") {
            top.model = Some(member.value_at);
        } else if member.key.is("usage") {
            if said::is_set(data, &member.value_at) {
                top.usage = Some(member.value_at);
            } else {
                top.null_usage = Some(member.key_at.start..member.value_at.end);
            }
        } else if member.key.is("error") {
            top.error |= said::is_set(data, &member.value_at);
            top.tells_error |= json::kind(value) == Some(json::Kind::Object);
        } else if member.key.is("object") {
            top.error |= json::string(value).as_deref() == Some("error");
        } else if member.key.is("type") {
            match json::string(value).as_deref() {
                Some("ping") => top.ping = true,
                Some("error") => top.error = true,
                _ => top.other = true,
            }
        } else if member.key.is("promptFeedback") || member.key.is("prompt_feedback") {
            top.blocked |= json::members(value).any(|m| m.key.is("blockReason"));
        } else {
            top.other = true;
            if member.key.is("service_tier") {
                top.service_tier = usage::service_tier(value);
            } else if member.key.is("x_groq") {
                top.groq_usage = usage::within(value);
            }
        }
    })?;
    let named = |what: &[u8]| name == Some(what);
    let choice = top.choices.unwrap_or_default();
    let worth = if top.error || choice.failed || named(b"error") {
        Worth::Error
    } else if choice.said {
        Worth::Said
    } else if choice.filtered || top.blocked {
        Worth::Filtered
    } else if top.choices.is_some() || top.ping || named(b"ping") || !top.other {
        Worth::Polite
    } else {
        Worth::Said
    };
    Ok(Event {
        worth,
        finishes: choice.finished && worth != Worth::Error,
        tells_error: top.tells_error,
        no_model: match (&top.model, &top.choices) {
            (None, Some(_)) => top.first,
            (Some(_), _) | (None, None) => None,
        },
        model: top.model,
        null_usage: top.null_usage.map(|at| with_comma(data, at)),
        is_usage_only: top.no_choices && top.usage.is_some(),
        sequence: None,
        usage: top
            .usage
            .and_then(|at| usage::tokens(&data[at]))
            .or(top.groq_usage)
            .or(choice.usage),
        service_tier: top.service_tier,
        said_bytes: choice.bytes,
    })
}

/// What stands at the top level of a Responses event.
#[derive(Default)]
struct Response {
    kind: Option<String>,
    error: bool,
    tells_error: bool,
    empty_delta: bool,
    calls: bool,
    model: Option<Range<usize>>,
    filtered: bool,
    sequence: Option<u64>,
    usage: Option<Tokens>,
    service_tier: Option<&'static str>,
    /// Bytes of `delta`, where that is text.
    delta_bytes: u32,
}

fn read_response(name: Option<&[u8]>, data: &[u8]) -> Result<Event, Syntax> {
    let mut top = Response::default();
    json::object(data, |member| {
        let value = &data[member.value_at.clone()];
        if member.key.is("type") {
            top.kind = json::string(value).map(Into::into);
        } else if member.key.is("response") {
            let start = member.value_at.start;
            for inner in json::members(value) {
                if inner.key.is("model") {
                    let at = inner.value_at;
                    top.model = Some(start + at.start..start + at.end);
                } else if inner.key.is("incomplete_details") {
                    top.filtered = is_filtered(&value[inner.value_at]);
                } else if inner.key.is("usage") {
                    top.usage = usage::tokens(&value[inner.value_at]);
                } else if inner.key.is("service_tier") {
                    top.service_tier = usage::service_tier(&value[inner.value_at]);
                }
            }
        } else if member.key.is("item") {
            top.calls = said::is_call(value);
        } else if member.key.is("delta") {
            top.empty_delta = said::is_empty(value);
            top.delta_bytes = said::length(value);
        } else if member.key.is("error") {
            top.error |= said::is_set(data, &member.value_at);
            top.tells_error |= json::kind(value) == Some(json::Kind::Object);
        } else if member.key.is("sequence_number") {
            top.sequence = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok());
        }
    })?;
    let kind = top
        .kind
        .as_deref()
        .or_else(|| name.and_then(|name| std::str::from_utf8(name).ok()))
        .unwrap_or_default();
    let (worth, finishes) = match kind {
        "error" | "response.failed" => (Worth::Error, true),
        _ if top.error => (Worth::Error, true),
        "response.incomplete" if top.filtered => (Worth::Filtered, true),
        "response.completed" | "response.incomplete" | "response.cancelled" => (Worth::Said, true),
        "response.output_item.added" if top.calls => (Worth::Said, false),
        "response.created"
        | "response.queued"
        | "response.in_progress"
        | "response.output_item.added"
        | "response.content_part.added"
        | "response.reasoning_summary_part.added"
        | "ping"
        | "keepalive" => (Worth::Polite, false),
        _ if kind.ends_with(".delta") && top.empty_delta => (Worth::Polite, false),
        _ => (Worth::Said, false),
    };
    Ok(Event {
        worth,
        finishes,
        tells_error: top.tells_error
            || matches!(top.kind.as_deref(), Some("error" | "response.failed")),
        model: top.model,
        no_model: None,
        null_usage: None,
        is_usage_only: false,
        sequence: top.sequence,
        usage: top.usage,
        service_tier: top.service_tier,
        // Sound comes in deltas of base64, which are not text.
        said_bytes: if kind.ends_with("audio.delta") {
            0
        } else {
            top.delta_bytes
        },
    })
}

/// `incomplete_details: {"reason": "content_filter"}`
pub(super) fn is_filtered(details: &[u8]) -> bool {
    json::members(details).any(|member| {
        member.key.is("reason")
            && json::string(&details[member.value_at]).is_some_and(|reason| is_filter(&reason))
    })
}

/// A member of an object with the comma behind it, or, for the last member,
/// the one before it, so that what is left is an object still.
fn with_comma(data: &[u8], member: Range<usize>) -> Range<usize> {
    let after = &data[member.end..];
    let gap = after.iter().take_while(|b| b.is_ascii_whitespace()).count();
    if after.get(gap) == Some(&b',') {
        return member.start..member.end + gap + 1;
    }
    let before = data[..member.start].trim_ascii_end();
    match before.last() {
        Some(b',') => before.len() - 1..member.end,
        _ => member,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(data: &str) -> Event {
        Event::read(Endpoint::Chat, None, data.as_bytes()).unwrap()
    }

    fn response(data: &str) -> Event {
        Event::read(Endpoint::Responses, None, data.as_bytes()).unwrap()
    }

    #[test]
    fn courtesies_say_nothing() {
        for data in [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{}}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[]}}]}"#,
            r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"type":"ping"}"#,
            "{}",
        ] {
            assert_eq!(chat(data).worth, Worth::Polite, "{data}");
        }
        let named = Event::read(Endpoint::Chat, Some(b"ping"), br#"{"x":1}"#).unwrap();
        assert_eq!(named.worth, Worth::Polite);
    }

    #[test]
    fn anything_said_counts() {
        for data in [
            r#"{"choices":[{"delta":{"content":"H"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"hm","content":""}}]}"#,
            r#"{"choices":[{"delta":{"refusal":"no"}}]}"#,
            r#"{"choices":[{"delta":{"something_new":{"a":1}}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
            r#"{"choices":[{"text":"H"}]}"#,
            r#"{"unknown":"thing"}"#,
        ] {
            assert_eq!(chat(data).worth, Worth::Said, "{data}");
        }
    }

    #[test]
    fn filters_and_errors_are_no_answers() {
        let filtered = chat(r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#);
        assert_eq!((filtered.worth, filtered.finishes), (Worth::Filtered, true));
        let late =
            chat(r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"content_filter"}]}"#);
        assert_eq!(late.worth, Worth::Said);
        for reason in ["SAFETY", "Recitation", "content_filter: PROHIBITED_CONTENT"] {
            let event = chat(&format!(
                r#"{{"choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#
            ));
            assert_eq!(event.worth, Worth::Filtered, "{reason}");
        }
        let blocked = chat(r#"{"choices":[],"promptFeedback":{"blockReason":"SAFETY"}}"#);
        assert_eq!(blocked.worth, Worth::Filtered);
        for data in [
            r#"{"error":{"message":"x"}}"#,
            r#"{"error":{"message":"x"},"choices":[{"delta":{"content":"x"}}]}"#,
            r#"{"object":"error","message":"x"}"#,
            r#"{"type":"error","error":{}}"#,
            r#"[{"error":{"code":503}}]"#,
        ] {
            assert_eq!(chat(data).worth, Worth::Error, "{data}");
        }
        assert_eq!(
            chat(r#"{"error":null,"choices":[{"delta":{"content":"x"}}]}"#).worth,
            Worth::Said
        );
    }

    #[test]
    fn the_end_is_known() {
        assert!(chat(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).finishes);
        assert!(!chat(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#).finishes);
        let done = chat(" [DONE] ");
        assert_eq!((done.worth, done.finishes), (Worth::Done, true));
        assert!(Event::read(Endpoint::Chat, None, b"{\"choices\":[").is_err());
    }

    #[test]
    fn places_are_where_they_are() {
        let data = r#"{"id":"1","model":"gpt-4o-2024","usage": null , "choices":[]}"#;
        let event = chat(data);
        assert_eq!(&data[event.model.unwrap()], "\"gpt-4o-2024\"");
        assert_eq!(&data[event.null_usage.unwrap()], "\"usage\": null ,");
        let data = r#"{"choices":[] , "usage":null}"#;
        assert_eq!(&data[chat(data).null_usage.unwrap()], ", \"usage\":null");
        assert_eq!(&data[..0], "");
        let only = r#"{"usage":null}"#;
        assert_eq!(&only[chat(only).null_usage.unwrap()], "\"usage\":null");
        assert!(chat(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#).is_usage_only);
        assert!(!chat(r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#).is_usage_only);
    }

    #[test]
    fn a_response_opens_speaks_and_ends() {
        let created = r#"{"type":"response.created","sequence_number":0,"response":{"id":"r","model":"gpt-4o-x","error":null}}"#;
        let event = response(created);
        assert_eq!((event.worth, event.finishes), (Worth::Polite, false));
        assert_eq!(&created[event.model.unwrap()], "\"gpt-4o-x\"");
        assert_eq!(event.sequence, Some(0));
        for (data, worth, finishes) in [
            (
                r#"{"type":"response.output_text.delta","delta":"H"}"#,
                Worth::Said,
                false,
            ),
            (
                r#"{"type":"response.output_text.delta","delta":""}"#,
                Worth::Polite,
                false,
            ),
            (
                r#"{"type":"response.output_item.added","item":{}}"#,
                Worth::Polite,
                false,
            ),
            (
                r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
                Worth::Polite,
                false,
            ),
            (
                r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f","arguments":""}}"#,
                Worth::Said,
                false,
            ),
            (
                r#"{"type":"response.completed","response":{}}"#,
                Worth::Said,
                true,
            ),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#,
                Worth::Error,
                true,
            ),
            (
                r#"{"type":"error","code":"x","message":"y"}"#,
                Worth::Error,
                true,
            ),
            (
                r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}"#,
                Worth::Filtered,
                true,
            ),
            (
                r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
                Worth::Said,
                true,
            ),
            (r#"{"type":"response.brand_new.thing"}"#, Worth::Said, false),
        ] {
            let event = response(data);
            assert_eq!((event.worth, event.finishes), (worth, finishes), "{data}");
        }
    }

    #[test]
    fn usage_is_read_wherever_a_stream_has_it() {
        let used = |event: Event| event.usage.map(|used| (used.input, used.output));
        for (data, expected) in [
            (
                r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
                Some((9, 4)),
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#,
                Some((9, 0)),
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"usage":{}}"#,
                None,
            ),
            (r#"{"choices":[{"delta":{"content":"a"}}]}"#, None),
            // Groq
            (
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":9,"completion_tokens":4}}}"#,
                Some((9, 4)),
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"x_groq":{"id":"r"}}"#,
                None,
            ),
            // Moonshot
            (
                r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":4}}]}"#,
                Some((9, 4)),
            ),
        ] {
            assert_eq!(used(chat(data)), expected, "{data}");
        }
        let completed = response(
            r#"{"type":"response.completed","response":{"service_tier":"priority","usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}}"#,
        );
        assert_eq!(completed.service_tier, Some("priority"));
        assert_eq!(used(completed), Some((9, 4)));
        let created = response(
            r#"{"type":"response.created","response":{"service_tier":"auto","usage":null}}"#,
        );
        assert_eq!(created.service_tier, None);
        assert_eq!(used(created), None);
        let flex = chat(r#"{"choices":[],"service_tier":"flex"}"#);
        assert_eq!(flex.service_tier, Some("flex"));
    }

    #[test]
    fn what_is_said_is_counted_in_bytes() {
        for (data, bytes) in [
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                0,
            ),
            (r#"{"choices":[{"delta":{"content":"12345"}}]}"#, 5),
            (r#"{"choices":[{"delta":{"content":"\n\u00e9"}}]}"#, 8),
            (r#"{"choices":[{"text":"123"},{"text":"45"}]}"#, 5),
            (
                r#"{"choices":[{"delta":{"reasoning":"123","reasoning_content":"123","reasoning_details":[{"text":"123"}]}}]}"#,
                3,
            ),
            (r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, 2),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                3,
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":"12"},{"type":"text","text":"3"}]}}]}"#,
                3,
            ),
            (
                r#"{"choices":[{"delta":{"audio":{"id":"a","data":"AAAAAAAA"}}}]}"#,
                0,
            ),
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, 0),
            ("[DONE]", 0),
        ] {
            assert_eq!(chat(data).said_bytes, bytes, "{data}");
        }
        for (data, bytes) in [
            (r#"{"type":"response.output_text.delta","delta":"123"}"#, 3),
            (
                r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#,
                2,
            ),
            (
                r#"{"type":"response.output_audio.delta","delta":"AAAA"}"#,
                0,
            ),
            (r#"{"type":"response.output_text.done","text":"123"}"#, 0),
            (
                r#"{"type":"response.completed","response":{"output":[{"type":"message","content":[{"type":"output_text","text":"123"}]}]}}"#,
                0,
            ),
        ] {
            assert_eq!(response(data).said_bytes, bytes, "{data}");
        }
    }
}
