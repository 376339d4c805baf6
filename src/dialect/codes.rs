//! Codes, types and phrases by which providers say what was wrong.

/// Codes by which providers say that their content policy refused the prompt.
/// OpenAI: `content_policy_violation`, `moderation_blocked`, `invalid_prompt`;
/// Azure: `content_filter` with the inner `ResponsibleAIPolicyViolation`;
/// Gemini: the block reasons.
pub(super) const MODERATION: [&str; 9] = [
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

/// Finish reasons by which an answer says that a content policy ended it, in
/// any case: OpenAI's, and those that Gemini's OpenAI endpoint hands on
/// (ai.google.dev/api/generate-content#FinishReason), also behind OpenAI's.
const FILTERS: [&str; 8] = [
    "content_filter",
    "safety",
    "prohibited_content",
    "blocklist",
    "recitation",
    "spii",
    "image_safety",
    "image_prohibited_content",
];

/// Whether a finish reason is one of those; `content_filter: SAFETY` is.
pub(super) fn is_filter(reason: &str) -> bool {
    let first = reason.split(':').next().unwrap_or_default();
    FILTERS
        .iter()
        .any(|filter| first.eq_ignore_ascii_case(filter))
}

/// Codes by which providers say that there is no such model.
pub(super) const NO_MODEL: [&str; 5] = [
    "model_not_found",
    "model_not_available",
    "DeploymentNotFound",
    "invalid_model",
    "unknown_model",
];

/// Codes by which an error inside a 200 says that it is a rate limit.
pub(super) const RATE_LIMIT: [&str; 12] = [
    "429",
    "RateLimitError",
    "requests",
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "too_many_requests",
    "insufficient_quota",
    "request_quota_exceeded",
    "RESOURCE_EXHAUSTED",
    "token_quota_exceeded",
    "tokens",
];

/// Google's word for a key that is none
/// (cloud.google.com/apis/design/errors#error_info); Gemini says it in a 400.
pub(super) const BAD_KEY: &str = "API_KEY_INVALID";

/// Codes by which an error inside a 200 says that our credential is not taken.
pub(super) const CREDENTIAL: [&str; 12] = [
    "401",
    "402",
    BAD_KEY,
    "AuthenticationError",
    "UNAUTHENTICATED",
    "Unauthorized",
    "auth_error",
    "authentication_error",
    "billing_error",
    "incorrect_api_key",
    "invalid_api_key",
    "unauthorized",
];

/// Codes and types by which an error inside a 200 says that the request is
/// at fault.
pub(super) const BAD_REQUEST: [&str; 8] = [
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
pub(super) const TOO_LONG: [&str; 8] = [
    "maximum context length",
    "context length",
    "context window",
    "context_length",
    "prompt is too long",
    "input token count",
    "exceeds the maximum number of tokens",
    "too many tokens",
];

/// Phrases by which a refusal says that this one request asks for more than
/// there ever is: OpenAI and Groq, Anthropic, OpenRouter (a 402). Lower case.
pub(super) const OUTSIZED: [&str; 4] = [
    "request too large",
    "long context requests",
    "fewer max_tokens",
    "prompt tokens limit exceeded",
];

/// The code of OpenAI's 429 for a request that asked for flex processing,
/// which others need not ask for.
pub(super) const OWN_TIER: [&str; 1] = ["resource_unavailable"];

/// Names that a `param` can have when the error is about the model after all,
/// and what some gateways write where there is none.
pub(super) const MODEL_PARAM: [&str; 6] = ["", "None", "deployment", "engine", "model", "null"];

/// Words of a code or a message, by which a 403 or a 404 is about something
/// that this request brought, or asked for beside the model. Lower case.
/// `verified` is OpenAI's, where an organization may not use some feature or
/// some model: often the one behind a tool.
pub(super) const BESIDE: [&str; 27] = [
    "attachment",
    "connector",
    "container",
    "content",
    "conversation",
    "data",
    "file",
    "files",
    "flagged",
    "guidelines",
    "image",
    "images",
    "input",
    "mcp",
    "moderation",
    "parameter",
    "parameters",
    "previous",
    "prompt",
    "providers",
    "safety",
    "store",
    "tool",
    "tools",
    "vector",
    "verified",
    "violates",
];
