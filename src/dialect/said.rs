//! Whether something is said in an answer's parts. Shared by events and
//! plain answers.

use std::ops::Range;

use super::codes::is_filter;
use super::usage;
use crate::usage::Tokens;
use crate::wire::json::{self, Kind};

/// What one choice comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// It is one: an object.
    pub(super) there: bool,
    /// Text, a tool call, reasoning, a refusal, or a part that we do not know.
    pub(super) said: bool,
    /// Its `finish_reason` is set.
    pub(super) finished: bool,
    /// Its `finish_reason` says that a content policy ended it.
    pub(super) filtered: bool,
    /// It carries an `error` of its own, as OpenRouter's do.
    pub(super) failed: bool,
    /// Bytes of text, thoughts and tool calls, as they stand in the JSON.
    pub(super) bytes: u32,
    /// What it says it used, as Moonshot's last one does.
    pub(super) usage: Option<Tokens>,
}

/// Reads `choices`: the sum of what its elements come to.
pub(super) fn choices(array: &[u8]) -> Choice {
    json::elements(array).fold(Choice::default(), |sum, at| {
        let one = choice(&array[at]);
        Choice {
            there: sum.there || one.there,
            said: sum.said || one.said,
            finished: sum.finished || one.finished,
            filtered: sum.filtered || one.filtered,
            failed: sum.failed || one.failed,
            bytes: sum.bytes.saturating_add(one.bytes),
            usage: one.usage.or(sum.usage),
        }
    })
}

fn choice(object: &[u8]) -> Choice {
    let mut choice = Choice {
        there: json::kind(object) == Some(Kind::Object),
        ..Choice::default()
    };
    for member in json::members(object) {
        let value = &object[member.value_at];
        if member.key.is("delta") || member.key.is("message") {
            let (speaks, bytes) = speaks(value);
            choice.said |= speaks;
            choice.bytes = choice.bytes.saturating_add(bytes);
        } else if member.key.is("finish_reason") {
            if let Some(reason) = json::string(value) {
                choice.finished = true;
                choice.filtered = is_filter(&reason);
            }
        } else if member.key.is("error") {
            choice.failed = !is_empty(value);
        } else if member.key.is("text") {
            choice.said |= !is_empty(value);
            choice.bytes = choice.bytes.saturating_add(length(value));
        } else if member.key.is("usage") {
            choice.usage = usage::tokens(value);
        } else if !is_about(member.key) {
            choice.said |= !is_empty(value);
        }
    }
    choice.said |= choice.finished && !choice.filtered && !choice.failed;
    choice
}

/// Members of a choice that say something about it and nothing in it.
fn is_about(key: json::Key<'_>) -> bool {
    [
        "index",
        "logprobs",
        "native_finish_reason",
        "stop_reason",
        "content_filter_results",
        "content_filter_result",
        "content_filter_offsets",
        "token_ids",
        "prompt_token_ids",
        "prompt_logprobs",
        "seed",
    ]
    .iter()
    .any(|name| key.is(name))
}

/// Whether a `delta` or a `message` says anything beside whose turn it is, and
/// in how many bytes. Where thoughts stand there under two names they are the
/// same thoughts; sound and pictures are not text.
fn speaks(object: &[u8]) -> (bool, u32) {
    if json::kind(object) != Some(Kind::Object) {
        return (!is_empty(object), length(object));
    }
    let mut speaks = false;
    let mut bytes = 0_u32;
    let mut thoughts = 0_u32;
    for member in json::members(object) {
        let value = &object[member.value_at];
        if member.key.is("role") || member.key.is("annotations") || is_empty(value) {
            continue;
        }
        speaks = true;
        let here = if member.key.is("content") {
            content(value)
        } else if member.key.is("refusal") {
            length(value)
        } else if member.key.is("reasoning_content") || member.key.is("reasoning") {
            thoughts = thoughts.max(length(value));
            0
        } else if member.key.is("tool_calls") {
            sum(json::elements(value).map(|at| called(&value[at])))
        } else if member.key.is("function_call") {
            function(value)
        } else {
            0
        };
        bytes = bytes.saturating_add(here);
    }
    (speaks, bytes.saturating_add(thoughts))
}

/// Bytes of a content: text, or a list of parts.
fn content(value: &[u8]) -> u32 {
    length(value).saturating_add(sum(json::elements(value).map(|at| part(&value[at]))))
}

/// Bytes of text in a part of a content.
fn part(part: &[u8]) -> u32 {
    let members = json::members(part).filter(|member| {
        ["text", "refusal", "thinking"]
            .iter()
            .any(|name| member.key.is(name))
    });
    sum(members.map(|member| length(&part[member.value_at])))
}

/// Bytes of a tool call.
fn called(call: &[u8]) -> u32 {
    let members = json::members(call).filter(|member| member.key.is("function"));
    sum(members.map(|member| function(&call[member.value_at])))
}

/// Bytes of a function's name and arguments.
fn function(function: &[u8]) -> u32 {
    let members = json::members(function)
        .filter(|member| member.key.is("name") || member.key.is("arguments"));
    sum(members.map(|member| length(&function[member.value_at])))
}

/// Bytes between a string's quotes, escapes and all; of anything else none.
pub(super) fn length(value: &[u8]) -> u32 {
    match json::kind(value) {
        Some(Kind::String) => {
            u32::try_from(value.trim_ascii().len().saturating_sub(2)).unwrap_or(u32::MAX)
        }
        None | Some(Kind::Array | Kind::Bool | Kind::Null | Kind::Number | Kind::Object) => 0,
    }
}

fn sum(bytes: impl Iterator<Item = u32>) -> u32 {
    bytes.fold(0, u32::saturating_add)
}

/// Bytes of text, thoughts and tool calls in an item of a response's `output`.
pub(super) fn bytes_in_output(item: &[u8]) -> u32 {
    let bytes = json::members(item).map(|member| {
        let value = &item[member.value_at];
        if member.key.is("content") || member.key.is("summary") {
            content(value)
        } else if ["name", "arguments", "input"]
            .iter()
            .any(|name| member.key.is(name))
        {
            length(value)
        } else {
            0
        }
    });
    sum(bytes)
}

/// Whether an item of a response's `output` is a call of a tool, which is
/// something from its name on.
pub(super) fn is_call(item: &[u8]) -> bool {
    json::members(item).any(|member| {
        let kind = || json::string(&item[member.value_at.clone()]);
        member.key.is("type") && kind().is_some_and(|kind| kind.ends_with("_call"))
    })
}

/// Whether an item of a response's `output` says anything: a message has a
/// part with text in it, a thought a word of it; any other item is something.
pub(super) fn speaks_in_output(item: &[u8]) -> bool {
    let mut is_shell = false;
    let mut said = false;
    for member in json::members(item) {
        let value = &item[member.value_at];
        if member.key.is("type") {
            let kind = json::string(value);
            is_shell = matches!(kind.as_deref(), Some("message" | "reasoning"));
        } else if member.key.is("content") || member.key.is("summary") {
            said |= json::elements(value).any(|at| speaks_in_part(&value[at]));
        }
    }
    said || !is_shell
}

fn speaks_in_part(part: &[u8]) -> bool {
    json::members(part).any(|member| {
        !member.key.is("type")
            && !member.key.is("annotations")
            && !member.key.is("logprobs")
            && !is_empty(&part[member.value_at])
    })
}

/// `null`, `""`, `[]`, `{}`.
pub(super) fn is_empty(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    match json::kind(value) {
        None | Some(Kind::Null) => true,
        Some(Kind::String) => value.len() <= 2,
        Some(Kind::Array | Kind::Object) => value
            .get(1..value.len().saturating_sub(1))
            .is_none_or(|inner| inner.trim_ascii().is_empty()),
        Some(Kind::Bool | Kind::Number) => false,
    }
}

/// Whether a member is there and not `null`.
pub(super) fn is_set(document: &[u8], at: &Range<usize>) -> bool {
    json::kind(&document[at.clone()]) != Some(Kind::Null)
}
