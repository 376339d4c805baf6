//! What a provider's error says, in every provider's spelling.

use simd_json::BorrowedValue;
use simd_json::prelude::*;

use crate::outcome::{Blame, Outcome, Says};
use crate::wire::json;
use crate::wire::reset::Moment;

/// Codes by which providers say that their content policy refused the prompt.
/// OpenAI: `content_policy_violation`, `moderation_blocked`, `invalid_prompt`;
/// Azure: `content_filter` with the inner `ResponsibleAIPolicyViolation`;
/// Gemini: the block reasons.
const MODERATION: [&str; 9] = [
    "content_policy_violation",
    "content_filter",
    "moderation_blocked",
    "invalid_prompt",
    "ResponsibleAIPolicyViolation",
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "data_inspection_failed",
];

/// Codes by which providers say that there is no such model.
const NO_MODEL: [&str; 5] = [
    "model_not_found",
    "model_not_available",
    "DeploymentNotFound",
    "invalid_model",
    "unknown_model",
];

/// Codes by which an error inside a 200 says that it is a rate limit.
const RATE_LIMIT: [&str; 10] = [
    "429",
    "RateLimitError",
    "requests",
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "too_many_requests",
    "insufficient_quota",
    "RESOURCE_EXHAUSTED",
    "tokens",
];

/// Codes and types by which an error inside a 200 says that the request is
/// at fault.
const BAD_REQUEST: [&str; 8] = [
    "400",
    "413",
    "422",
    "invalid_request_error",
    "invalid_request",
    "BadRequestError",
    "INVALID_ARGUMENT",
    "context_length_exceeded",
];

/// Phrases by which providers say that a prompt does not fit; not all of them
/// have a code for it. Lower case.
const TOO_LONG: [&str; 8] = [
    "maximum context length",
    "context length",
    "context window",
    "context_length",
    "prompt is too long",
    "input token count",
    "exceeds the maximum number of tokens",
    "too many tokens",
];

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
        let words: Vec<String> = [
            code.clone(),
            error.get("type").and_then(word),
            error.get("status").and_then(word),
            inner.and_then(|inner| inner.get("code")).and_then(word),
        ]
        .into_iter()
        .flatten()
        .collect();
        let says = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let reasons = error.get("metadata").and_then(|m| m.get("reasons"));
        Self {
            moderated: says(&MODERATION) || reasons.is_some() || blocked(root),
            too_long: says(&["context_length_exceeded", "string_above_max_length"])
                || speaks_of_length(message),
            no_model: names_no_model(&says, code.as_deref(), param.as_deref(), message),
            rate_limited: says(&RATE_LIMIT),
            bad_request: says(&BAD_REQUEST),
            retry: retry(error),
            code,
            param,
        }
    }
}

/// A code or a parameter's name: what can be shown, `[A-Za-z0-9_.-]{1,64}`.
fn word(value: &BorrowedValue<'_>) -> Option<String> {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.as_u64()?.to_string(),
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

fn speaks_of_length(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    TOO_LONG.iter().any(|phrase| message.contains(phrase))
}

/// Whether a 404 is about the model. A code decides; without one the message
/// does, leaving out what it quotes: a client can put any word there.
fn names_no_model(
    says: &impl Fn(&[&str]) -> bool,
    code: Option<&str>,
    param: Option<&str>,
    message: &str,
) -> bool {
    if says(&NO_MODEL) {
        return true;
    }
    let about_else = param.is_some_and(|param| param != "model");
    let coded = code.is_some_and(|code| {
        // These say no more than the status does.
        let is_bare = ["not_found", "not_found_error", "NotFound", "NotFoundError"];
        !code.bytes().all(|b| b.is_ascii_digit())
            && !is_bare.iter().any(|bare| code.eq_ignore_ascii_case(bare))
    });
    if about_else || coded {
        return false;
    }
    let plain = without_quotes(message).to_ascii_lowercase();
    ["model", "deployment", "no endpoints found"]
        .iter()
        .any(|word| plain.contains(word))
}

fn without_quotes(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut quote = None;
    for c in message.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '`' | '"' | '\'') => quote = Some(c),
            None => plain.push(c),
        }
    }
    plain
}

/// When to come again: Google's `RetryInfo` among an error's details
/// (cloud.google.com/apis/design/errors), or the headers that OpenRouter puts
/// into its error's metadata.
fn retry(error: &BorrowedValue<'_>) -> Option<Moment> {
    let in_details = error.get("details").and_then(|d| d.as_array());
    if let Some(moment) = in_details
        .into_iter()
        .flatten()
        .find_map(|detail| Moment::read(detail.get_str("retryDelay")?))
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

/// What an answer with an error status comes to.
pub fn verdict(status: u16, says: &ErrorSays) -> Outcome {
    match status {
        401 | 402 => Outcome::Auth(Blame::Target),
        429 => Outcome::RateLimited(Blame::Target),
        400 | 403 | 422 if says.moderated => Outcome::Moderated,
        400 | 413 | 422 if says.too_long => Outcome::ContextLength,
        403 => Outcome::Forbidden(Blame::Target),
        404 if says.no_model => Outcome::NotFound(Blame::Target),
        400..=499 => Outcome::Rejected,
        500..=599 => Outcome::Unavailable,
        _ => Outcome::BadAnswer(Says::Broken),
    }
}

/// What an error inside a 200 comes to.
pub fn in_200(says: &ErrorSays) -> Outcome {
    Outcome::BadAnswer(if says.rate_limited {
        Says::RateLimited
    } else if says.moderated || says.too_long || says.bad_request {
        Says::Prompt
    } else {
        Says::Broken
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Outcome {
        verdict(status, &ErrorSays::read(body.as_bytes()))
    }

    #[test]
    fn a_404_is_about_the_model_only_where_it_says_so() {
        for body in [
            r#"{"error":{"message":"The model `gpt-9` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            r#"[{"error":{"code":404,"message":"models/gemini-9 is not found for API version v1main","status":"NOT_FOUND"}}]"#,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#,
            r#"{"error":"model \"llama9\" not found, try pulling it first"}"#,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
            r#"{"error":{"message":"No endpoints found for a/b.","code":404}}"#,
            r#"{"error":{"object":"error","type":"invalid_request_error","code":"NOT_FOUND","message":"Model not found, inaccessible, and/or not deployed"}}"#,
        ] {
            assert_eq!(of(404, body), Outcome::NotFound(Blame::Target), "{body}");
        }
        for body in [
            r#"{"error":{"message":"Previous response with id 'model-gpt-4o' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#,
            r#"{"error":{"message":"No such file: 'the model'","param":"file_id","code":null}}"#,
            r#"{"error":{"message":"No such File object: \"model\""}}"#,
            r#"{"detail":"Not Found"}"#,
            "<html>404</html>",
            "",
        ] {
            assert_eq!(of(404, body), Outcome::Rejected, "{body}");
        }
    }

    #[test]
    fn a_content_policy_is_seen_in_every_spelling() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"code":"content_policy_violation","message":"no"}}"#,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ),
            (
                400,
                r#"{"error":{"code":"x","inner_error":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ),
            (400, r#"{"error":{"code":"moderation_blocked"}}"#),
            (
                403,
                r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}}"#,
            ),
            (422, r#"{"error":{"type":"content_filter"}}"#),
            (400, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#),
            (
                400,
                r#"[{"error":{"code":400,"status":"PROHIBITED_CONTENT"}}]"#,
            ),
        ] {
            assert_eq!(of(status, body), Outcome::Moderated, "{body}");
        }
        assert_eq!(
            of(403, r#"{"error":{"message":"no access"}}"#),
            Outcome::Forbidden(Blame::Target)
        );
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_seen() {
        for (status, body) in [
            (
                400,
                r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"The input token count (1048577) exceeds the maximum number of tokens allowed"}}]"#,
            ),
            (413, r#"{"error":{"message":"context window exceeded"}}"#),
        ] {
            assert_eq!(of(status, body), Outcome::ContextLength, "{body}");
        }
    }

    #[test]
    fn other_statuses_speak_for_themselves() {
        for (status, is) in [
            (400, Outcome::Rejected),
            (401, Outcome::Auth(Blame::Target)),
            (402, Outcome::Auth(Blame::Target)),
            (403, Outcome::Forbidden(Blame::Target)),
            (404, Outcome::Rejected),
            (409, Outcome::Rejected),
            (413, Outcome::Rejected),
            (422, Outcome::Rejected),
            (429, Outcome::RateLimited(Blame::Target)),
            (500, Outcome::Unavailable),
            (503, Outcome::Unavailable),
            (529, Outcome::Unavailable),
            (302, Outcome::BadAnswer(Says::Broken)),
        ] {
            assert_eq!(of(status, "{}"), is, "{status}");
        }
    }

    #[test]
    fn an_error_inside_a_200_says_whose_fault_it_is() {
        let of = |body: &str| in_200(&ErrorSays::read(body.as_bytes()));
        let rate = r#"{"error":{"code":429,"message":"slow down"}}"#;
        assert_eq!(of(rate), Outcome::BadAnswer(Says::RateLimited));
        let prompt = r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#;
        assert_eq!(of(prompt), Outcome::BadAnswer(Says::Prompt));
        let broken = r#"{"error":{"message":"internal","type":"server_error"}}"#;
        assert_eq!(of(broken), Outcome::BadAnswer(Says::Broken));
    }

    #[test]
    fn only_words_are_shown_and_the_delay_is_read() {
        let says = ErrorSays::read(
            br#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]"#,
        );
        assert_eq!(says.code.as_deref(), Some("429"));
        assert_eq!(says.retry, Moment::read("34s"));
        let says = ErrorSays::read(br#"{"error":{"code":"see https://x y","param":"messages.0"}}"#);
        assert_eq!(
            (says.code, says.param.as_deref()),
            (None, Some("messages.0"))
        );
    }

    #[test]
    fn a_body_nested_without_end_says_nothing() {
        let body = format!("{{\"error\":{}", "[".repeat(60_000));
        assert_eq!(ErrorSays::read(body.as_bytes()), ErrorSays::default());
    }
}
