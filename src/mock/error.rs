//! Failures in the words of the providers that send them.

use super::content::Said;
use super::reply::Reply;
use super::step::{At, Framing, Step};

impl Reply {
    /// OpenAI's 429, with this `retry-after` as written.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        let reply = Self::json(
            429,
            r#"{"error":{"message":"Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
        );
        match retry_after {
            Some(value) => reply.header("retry-after", value),
            None => reply,
        }
    }

    /// OpenAI's 429 of an account without money.
    pub fn quota_exceeded() -> Self {
        Self::json(
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        )
    }

    /// Gemini's 429: an array around the error, the time to wait inside it
    /// (for example `34s`).
    pub fn gemini_rate_limited(retry_delay: &str) -> Self {
        Self::json(
            429,
            format!(
                r#"[{{"error":{{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}}]}},{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{retry_delay}"}}]}}}}]"#
            ),
        )
    }

    /// OpenAI's 500.
    pub fn internal_error() -> Self {
        Self::json(
            500,
            r#"{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}"#,
        )
    }

    /// A gateway's 502 in HTML.
    pub fn bad_gateway() -> Self {
        Self::plain(
            502,
            "text/html",
            "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>\n",
        )
    }

    /// OpenAI's 503.
    pub fn unavailable() -> Self {
        Self::json(
            503,
            r#"{"error":{"message":"The engine is currently overloaded, please try again later.","type":"engine_overloaded","param":null,"code":null}}"#,
        )
    }

    /// Anthropic's 529.
    pub fn overloaded() -> Self {
        Self::json(
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_mock"}"#,
        )
    }

    /// 400 about a parameter.
    pub fn rejected() -> Self {
        Self::json(
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
        )
    }

    /// OpenAI's 401.
    pub fn auth() -> Self {
        Self::json(
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-mock****************0000. You can find your API key at https://platform.openai.com/account/api-keys.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        )
    }

    /// OpenRouter's 402.
    pub fn payment_required() -> Self {
        Self::json(
            402,
            r#"{"error":{"message":"Insufficient credits. Add more using https://openrouter.ai/settings/credits","code":402}}"#,
        )
    }

    /// OpenAI's 403 that is not about the prompt.
    pub fn forbidden() -> Self {
        Self::json(
            403,
            r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported","param":null,"type":"request_forbidden"}}"#,
        )
    }

    /// OpenAI's 404 about the model that was asked for.
    pub fn model_not_found() -> Self {
        Self::saying(404, Said::Absent)
    }

    /// OpenAI's 400 for a prompt that does not fit.
    pub fn context_length() -> Self {
        Self::json(
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9157 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        )
    }

    /// OpenAI's 400 about the prompt's content.
    pub fn moderated() -> Self {
        Self::json(
            400,
            r#"{"error":{"code":"content_policy_violation","message":"Your request was rejected as a result of our safety system.","param":null,"type":"invalid_request_error"}}"#,
        )
    }

    /// Azure's 400 about the prompt's content.
    pub fn azure_moderated() -> Self {
        Self::json(
            400,
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":true,"severity":"medium"}}}}}"#,
        )
    }

    /// OpenRouter's 403 about the prompt's content.
    pub fn openrouter_moderated() -> Self {
        Self::json(
            403,
            r#"{"error":{"code":403,"message":"Input was flagged by the moderation of the provider","metadata":{"reasons":["violence"],"flagged_input":"how do I","provider_name":"OpenAI","model_slug":"openai/gpt-4o"}}}"#,
        )
    }

    /// A 200 that is a web page.
    pub fn not_json() -> Self {
        Self::plain(
            200,
            "text/html",
            "<!doctype html><title>Sign in</title><p>Please sign in to the network.\n",
        )
    }

    /// No HTTP at all, then FIN.
    pub fn not_http() -> Self {
        Self::steps([Step::send("SSH-2.0-OpenSSH_9.6\r\n"), Step::Cut])
    }
}

/// Every way of failing that a provider has once it has read a request, by
/// name: for tests that walk all of them, and for [`super::Script::random`].
/// Those whose name begins with `silent` last until the peer gives up; those
/// that begin with `stream` fail streams only, a plain request is answered.
/// Connections that are refused or closed unread are the business of
/// [`super::Refused`] and [`super::Greeting`].
pub fn failures() -> Vec<(&'static str, Reply)> {
    let answer = || Reply::answer("one two three four").echo();
    let chunked = || answer().framing(Framing::Chunked);
    vec![
        ("rate limited", Reply::rate_limited(Some("1"))),
        ("rate limited, no time said", Reply::rate_limited(None)),
        ("quota exceeded", Reply::quota_exceeded()),
        ("gemini rate limited", Reply::gemini_rate_limited("1s")),
        ("internal error", Reply::internal_error()),
        ("bad gateway", Reply::bad_gateway()),
        ("unavailable", Reply::unavailable()),
        ("overloaded", Reply::overloaded()),
        ("rejected", Reply::rejected()),
        ("auth", Reply::auth()),
        ("payment required", Reply::payment_required()),
        ("forbidden", Reply::forbidden()),
        ("model not found", Reply::model_not_found()),
        ("context length", Reply::context_length()),
        ("moderated", Reply::moderated()),
        ("azure moderated", Reply::azure_moderated()),
        ("openrouter moderated", Reply::openrouter_moderated()),
        ("error in a 200", Reply::unavailable().inside_200()),
        (
            "rate limit in a 200",
            Reply::rate_limited(None).inside_200(),
        ),
        ("filtered 200", Reply::filtered()),
        ("empty 200", Reply::empty()),
        ("non-JSON 200", Reply::not_json()),
        ("no HTTP", Reply::not_http()),
        ("cut before the head", answer().cut(At::Start)),
        ("reset before the head", answer().reset(At::Start)),
        ("cut after the head", answer().cut(At::Head)),
        ("reset after the head", answer().reset(At::Head)),
        ("cut after the first event", chunked().cut(At::Event(1))),
        ("reset after the first event", chunked().reset(At::Event(1))),
        ("cut inside a chunk", chunked().cut(At::Byte(300))),
        ("reset inside a chunk", chunked().reset(At::Byte(300))),
        (
            "cut after the first words",
            chunked().cut(At::Event(3)).cut(At::End),
        ),
        (
            "reset after the first words",
            chunked().reset(At::Event(3)).reset(At::End),
        ),
        ("cut before the last chunk", chunked().cut(At::End)),
        ("stream ends after the first event", answer().only(1)),
        ("stream ends without finish", answer().only(3)),
        ("no body", answer().only(0)),
        (
            "bad chunk size",
            chunked()
                .at(At::Event(1), Step::send("xyz\r\n"))
                .cut(At::Event(1)),
        ),
        (
            "length too long",
            answer().framing(Framing::Claims(100_000)),
        ),
        ("length too short", answer().framing(Framing::Claims(20))),
        ("two lengths", answer().framing(Framing::TwoLengths)),
        ("early and unread", Reply::rate_limited(None).unread()),
        ("stale afterwards", Reply::unavailable().close_silently()),
        ("silent", answer().stall(At::Start)),
        ("silent after the head", answer().stall(At::Head)),
        (
            "silent after the first event",
            chunked().stall(At::Event(1)),
        ),
        ("silent inside a chunk", chunked().stall(At::Byte(300))),
        (
            "silent after the first words",
            chunked().stall(At::Event(3)).stall(At::End),
        ),
    ]
}
