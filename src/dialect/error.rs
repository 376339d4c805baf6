//! What a provider's error says, in every provider's spelling.

use std::borrow::Cow;

use simd_json::BorrowedValue;
use simd_json::prelude::*;

use super::codes::{
    BAD_KEY, BAD_REQUEST, BESIDE, CREDENTIAL, MODEL_PARAM, MODERATION, NO_MODEL, OUTSIZED,
    OWN_TIER, RATE_LIMIT, TOO_LONG,
};
use crate::outcome::{Blame, Outcome, Says};
use crate::wire::json;
use crate::wire::reset::Moment;

/// What an error's body says, beside its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorSays {
    /// The provider's `code`, where it is a word that can be shown.
    pub code: Option<String>,
    /// The provider's `param`, likewise.
    pub param: Option<String>,
    /// When to come again.
    pub retry: Option<Moment>,
    moderated: bool,
    too_long: bool,
    no_model: bool,
    rate_limited: bool,
    bad_request: bool,
    credential: bool,
    /// Gemini's reason for a 400 that is a 401.
    bad_key: bool,
    /// About something that the request brought, or asked for beside the
    /// model.
    beside: bool,
    /// This one request asks for more than there ever is.
    outsized: bool,
    /// It is JSON: the API itself has answered, no guard in front of it.
    spoke: bool,
}

impl ErrorSays {
    /// Reads an error body in any provider's shape. A body that is no JSON
    /// says nothing.
    pub fn read(body: &[u8]) -> Self {
        // The scan bounds the nesting before a tree is made.
        if json::value(body).is_err() {
            return Self::default();
        }
        let mut owned = body.to_vec();
        let Ok(root) = simd_json::to_borrowed_value(&mut owned) else {
            return Self::default();
        };
        Self::of(&root)
    }

    fn of<'a, 'b>(root: &'a BorrowedValue<'b>) -> Self {
        let root = match root.get_idx(0) {
            Some(first) if root.is_array() => first,
            _ => root,
        };
        // `response.failed` of the Responses API has it one level further in.
        let within = |at: &'a BorrowedValue<'b>| at.get("error").filter(|error| !error.is_null());
        let error = within(root)
            .or_else(|| root.get("response").and_then(within))
            .unwrap_or(root);
        let inner = error.get("innererror").or_else(|| error.get("inner_error"));
        let message = error
            .as_str()
            .or_else(|| error.get_str("message"))
            .or_else(|| error.get_str("detail"))
            .unwrap_or_default();
        let code = error.get("code").and_then(word);
        let param = error.get("param").and_then(word);
        let words: Vec<Cow<'_, str>> = [
            code.clone(),
            error.get("type").and_then(word),
            error.get("status").and_then(word),
            inner.and_then(|inner| inner.get("code")).and_then(word),
        ]
        .into_iter()
        .flatten()
        .chain(details(error).filter_map(|detail| word(detail.get("reason")?)))
        .collect();
        let says = |list: &[&str]| words.iter().any(|word| list.contains(&&**word));
        let reasons = error.get("metadata").and_then(|m| m.get("reasons"));
        let message = message.to_ascii_lowercase();
        let plain = without_quotes(&message);
        let of_param = error
            .get_str("param")
            .is_some_and(|param| !MODEL_PARAM.contains(&param));
        let is_beside = |word: &str| BESIDE.contains(&word);
        let beside = of_param
            || plain_words(&plain).any(is_beside)
            || words.iter().any(|word| word.split('_').any(is_beside));
        Self {
            moderated: says(&MODERATION) || reasons.is_some() || blocked(root),
            too_long: says(&["context_length_exceeded", "string_above_max_length"])
                || TOO_LONG.iter().any(|phrase| message.contains(phrase)),
            no_model: !of_param
                && (says(&NO_MODEL) || !beside && names_no_model(code.as_deref(), &plain)),
            rate_limited: says(&RATE_LIMIT),
            bad_request: says(&BAD_REQUEST),
            credential: says(&CREDENTIAL) && !of_param,
            bad_key: says(&[BAD_KEY]),
            beside,
            outsized: says(&OWN_TIER) || asks_too_much(&plain),
            spoke: true,
            retry: retry(error),
            code: code.map(Cow::into_owned),
            param: param.map(Cow::into_owned),
        }
    }
}

/// A code or a parameter's name: what can be shown, `[A-Za-z0-9_.-]{1,64}`.
fn word<'a>(value: &'a BorrowedValue<'_>) -> Option<Cow<'a, str>> {
    let text = match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(value.as_u64()?.to_string()),
    };
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    fits.then_some(text)
}

/// Gemini's way of saying that a prompt was blocked.
fn blocked(root: &BorrowedValue<'_>) -> bool {
    ["promptFeedback", "prompt_feedback"]
        .into_iter()
        .filter_map(|name| root.get(name))
        .any(|feedback| feedback.get_str("blockReason").is_some())
}

/// Whether a 404 without a code of its own is about the model: the message
/// decides, without what it quotes, where a client can put any word.
fn names_no_model(code: Option<&str>, plain: &str) -> bool {
    let coded = code.is_some_and(|code| {
        // These say no more than the status does.
        let is_bare = ["not_found", "not_found_error", "NotFound", "NotFoundError"];
        !code.bytes().all(|b| b.is_ascii_digit())
            && !is_bare.iter().any(|bare| code.eq_ignore_ascii_case(bare))
    });
    // OpenRouter; other endings are about what the request asks of them.
    let no_home = plain.contains("no endpoints found for");
    !coded && (no_home || plain.contains("model") || plain.contains("deployment"))
}

/// The words of a message that stand alone: parts of a model's name do not.
fn plain_words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// Whether a refusal for want of quota or money is due to the size of this
/// one request. OpenAI and Groq write `Limit 30000, Requested 36278`, where a
/// spent limit has `Limit 30000, Used 29500, Requested 1200`; OpenRouter
/// writes how much one `can only afford`. With a limit of nothing every
/// request is too large.
fn asks_too_much(plain: &str) -> bool {
    // Most speak of no number.
    let number = |name| {
        let has_any = plain.bytes().any(|b| b.is_ascii_digit());
        has_any.then(|| number_after(plain, name)).flatten()
    };
    let limit = number("limit");
    if limit == Some(0) || number("afford") == Some(0) {
        return false;
    }
    let requested = number("requested");
    limit
        .zip(requested)
        .is_some_and(|(limit, requested)| requested > limit)
        || OUTSIZED.iter().any(|phrase| plain.contains(phrase))
}

/// The first number that directly follows the word, thousands separated or
/// not.
fn number_after(text: &str, word: &str) -> Option<u64> {
    text.match_indices(word).find_map(|(at, _)| {
        let rest = text[at + word.len()..].trim_start_matches([' ', ':']);
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != ',')
            .unwrap_or(rest.len());
        let digits = rest[..end].trim_end_matches(',');
        digits.replace(',', "").parse().ok()
    })
}

/// Without what stands in quotes; one that is never closed goes to the end.
fn without_quotes(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(open) = memchr::memchr3(b'`', b'"', b'\'', rest.as_bytes()) {
        let (before, quoted) = rest.split_at(open);
        plain.push_str(before);
        let mut quoted = quoted.chars();
        let quote = quoted.next();
        rest = quote
            .and_then(|quote| quoted.as_str().split_once(quote))
            .map_or("", |(_, after)| after);
    }
    plain + rest
}

/// Google's list of what more there is to say.
fn details<'a, 'b>(error: &'a BorrowedValue<'b>) -> impl Iterator<Item = &'a BorrowedValue<'b>> {
    let list = error.get("details").and_then(|details| details.as_array());
    list.into_iter().flatten()
}

/// When to come again: Google's `RetryInfo` among an error's details
/// (cloud.google.com/apis/design/errors), or the headers that OpenRouter puts
/// into its error's metadata.
fn retry(error: &BorrowedValue<'_>) -> Option<Moment> {
    if let Some(moment) =
        details(error).find_map(|detail| Moment::read(detail.get_str("retryDelay")?))
    {
        return Some(moment);
    }
    let headers = error.get("metadata")?.get("headers")?.as_object()?;
    ["retry-after", "x-ratelimit-reset"]
        .into_iter()
        .find_map(|name| {
            let mut all = headers.iter();
            let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            match value.as_str() {
                Some(text) => Moment::read(text),
                None => Moment::read(&value.as_u64()?.to_string()),
            }
        })
}

/// What an answer with an error status comes to. Where the request brought
/// rights of the client's own, it may be these that were refused.
pub fn verdict(status: u16, says: &ErrorSays, brings_rights: bool) -> Outcome {
    let blame = |is_of_request: bool| {
        if is_of_request || brings_rights {
            Blame::Request
        } else {
            Blame::Target
        }
    };
    match status {
        401 => Outcome::Auth(blame(false)),
        402 => Outcome::Auth(blame(says.outsized)),
        429 => Outcome::RateLimited(blame(says.outsized)),
        400 if says.bad_key => Outcome::Auth(blame(false)),
        400 | 403 | 422 if says.moderated => Outcome::Moderated,
        400 | 413 | 422 if says.too_long => Outcome::ContextLength,
        // A guard in front of the API refuses what stands in a request.
        403 => Outcome::Forbidden(blame(says.beside || !says.spoke)),
        404 if says.no_model => Outcome::NotFound(blame(false)),
        400..=499 => Outcome::Rejected,
        500..=599 => Outcome::Unavailable,
        _ => Outcome::BadAnswer(Says::Broken),
    }
}

/// What an error inside a 200 comes to, with or without rights of the
/// client's own.
pub fn in_200(says: &ErrorSays, brings_rights: bool) -> Outcome {
    let is_limit = says.rate_limited || says.outsized;
    Outcome::BadAnswer(if is_limit || says.credential {
        if says.outsized || brings_rights {
            Says::Prompt
        } else if is_limit {
            Says::RateLimited
        } else {
            Says::Credential
        }
    } else if says.moderated || says.too_long || says.bad_request {
        Says::Prompt
    } else {
        Says::Broken
    })
}

#[cfg(test)]
mod tests;
