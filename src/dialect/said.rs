//! Whether something is said in an answer's parts. Shared by events and
//! plain answers.

use std::ops::Range;

use crate::wire::json::{self, Kind};

/// What one choice comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Text, a tool call, reasoning, a refusal, or a part that we do not know.
    pub(super) said: bool,
    /// Its `finish_reason` is set.
    pub(super) finished: bool,
    /// Its `finish_reason` is `content_filter`.
    pub(super) filtered: bool,
    /// It carries an `error` of its own, as OpenRouter's do.
    pub(super) failed: bool,
}

/// Reads `choices`: the sum of what its elements come to.
pub(super) fn choices(array: &[u8]) -> Choice {
    json::elements(array).fold(Choice::default(), |sum, at| {
        let one = choice(&array[at]);
        Choice {
            said: sum.said || one.said,
            finished: sum.finished || one.finished,
            filtered: sum.filtered || one.filtered,
            failed: sum.failed || one.failed,
        }
    })
}

fn choice(object: &[u8]) -> Choice {
    let mut choice = Choice::default();
    for member in json::members(object) {
        let value = &object[member.value_at];
        if member.key.is("delta") || member.key.is("message") {
            choice.said |= speaks(value);
        } else if member.key.is("finish_reason") {
            if let Some(reason) = json::string(value) {
                choice.finished = true;
                choice.filtered = reason == "content_filter";
            }
        } else if member.key.is("error") {
            choice.failed = !is_empty(value);
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

/// Whether a `delta` or a `message` says anything beside whose turn it is.
fn speaks(object: &[u8]) -> bool {
    if json::kind(object) != Some(Kind::Object) {
        return !is_empty(object);
    }
    json::members(object).any(|member| {
        !member.key.is("role")
            && !member.key.is("annotations")
            && !is_empty(&object[member.value_at])
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
