//! Errors of providers, and what they come to.

use super::*;

fn of(status: u16, body: &str) -> Outcome {
    verdict(status, &ErrorSays::read(body.as_bytes()), false)
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
    let gemini = r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]"#;
    assert_eq!(of(400, gemini), Outcome::Auth(Blame::Target));
}

#[test]
fn an_error_inside_a_200_says_whose_fault_it_is() {
    let of = |body: &str| in_200(&ErrorSays::read(body.as_bytes()), false);
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

#[test]
fn a_request_larger_than_the_whole_limit_is_at_fault_itself() {
    let error = |message: &str| {
        format!(
            r#"{{"error":{{"message":"{message}","type":"tokens","param":null,"code":"rate_limit_exceeded"}}}}"#
        )
    };
    for message in [
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 36278. The input or output tokens must be reduced in order to run successfully.",
        "Request too large for gpt-4o",
        "Rate limit reached for m on tokens per min (TPM): Limit 30,000, Requested 36,278.",
        "Rate limit reached: limit: 8000, requested: 8391",
        "Extra usage is required for long context requests.",
    ] {
        let body = error(message);
        let is = of(429, &body);
        assert_eq!(is, Outcome::RateLimited(Blame::Request), "{message}");
        let is = in_200(&ErrorSays::read(body.as_bytes()), false);
        assert_eq!(is, Outcome::BadAnswer(Says::Prompt), "{message}");
    }
    for message in [
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.",
        "Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1.",
        // Nothing fits, whatever its size.
        "Rate limit reached for m on tokens per min (TPM): Limit 0, Requested 5.",
        "This request would exceed the rate limit for your organization of 20,000 input tokens per minute. Please reduce the prompt length.",
        "Rate limit reached for `request too large` on requests per day: Limit 200, Used 200",
        "Requested 5",
    ] {
        let body = error(message);
        let is = of(429, &body);
        assert_eq!(is, Outcome::RateLimited(Blame::Target), "{message}");
        let is = in_200(&ErrorSays::read(body.as_bytes()), false);
        assert_eq!(is, Outcome::BadAnswer(Says::RateLimited), "{message}");
    }
    let flex = r#"{"error":{"message":"x","type":"resource_unavailable","code":null}}"#;
    assert_eq!(of(429, flex), Outcome::RateLimited(Blame::Request));
}

#[test]
fn a_request_dearer_than_what_is_left_is_at_fault_itself() {
    let of = |afford: &str| {
        let body = format!(
            r#"{{"error":{{"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford {afford}.","code":402}}}}"#
        );
        of(402, &body)
    };
    assert_eq!(of("2666"), Outcome::Auth(Blame::Request));
    assert_eq!(of("0"), Outcome::Auth(Blame::Target));
}

#[test]
fn a_credential_that_is_not_taken_is_seen_inside_a_200() {
    let of = |body: &str| in_200(&ErrorSays::read(body.as_bytes()), false);
    for body in [
        r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
        r#"{"error":{"message":"No auth credentials found","code":401}}"#,
        r#"{"error":{"message":"Insufficient credits","code":402}}"#,
        r#"[{"error":{"code":401,"status":"UNAUTHENTICATED","message":"x"}}]"#,
        r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
        r#"{"object":"error","type":"AuthenticationError","message":"x"}"#,
    ] {
        assert_eq!(of(body), Outcome::BadAnswer(Says::Credential), "{body}");
    }
    let money = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(of(money), Outcome::BadAnswer(Says::RateLimited));
    // The one of a server that a tool of this request reaches.
    let tool = r#"{"error":{"type":"invalid_request_error","code":"unauthorized","param":"tools[0].server_url"}}"#;
    assert_eq!(of(tool), Outcome::BadAnswer(Says::Prompt));
}

#[test]
fn a_403_about_what_the_request_brought_says_nothing_of_the_target() {
    for body in [
        r#"{"error":{"message":"x","type":"invalid_request_error","param":"tools[0]","code":null}}"#,
        r#"{"error":{"message":"x","param":"file_id","code":null}}"#,
        r#"{"error":{"message":"x","param":null,"code":"file_access_denied"}}"#,
        r#"{"error":{"message":"Your organization must be verified to use the model `gpt-image-1`.","type":"invalid_request_error","param":null,"code":null}}"#,
        r#"{"error":{"message":"You do not have access to this container.","code":null}}"#,
        r#"{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines."}"#,
        "<html><title>Attention Required! | Cloudflare</title></html>",
        "",
    ] {
        assert_eq!(of(403, body), Outcome::Forbidden(Blame::Request), "{body}");
    }
    for body in [
        "{}",
        r#"{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory","param":null}}"#,
        r#"{"error":{"message":"You are not allowed to sample from this model","type":"invalid_request_error","param":"model"}}"#,
        r#"{"error":{"message":"Project `proj_tools` does not have access to model `stable-image`","code":"model_not_found","param":"None"}}"#,
        r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}"#,
        r#"[{"error":{"code":403,"message":"Permission denied on models/gemini-image","status":"PERMISSION_DENIED"}}]"#,
    ] {
        assert_eq!(of(403, body), Outcome::Forbidden(Blame::Target), "{body}");
    }
}

#[test]
fn a_404_about_what_the_request_asked_for_beside_the_model_is_not_about_it() {
    for body in [
        r#"{"error":{"message":"No endpoints found that support tool use.","code":404}}"#,
        r#"{"error":{"message":"No endpoints found that can handle the requested parameters.","code":404}}"#,
        r#"{"error":{"message":"No endpoints found matching your data policy (Free model publication).","code":404}}"#,
        r#"{"error":{"message":"No allowed providers are available for the selected model.","code":404}}"#,
        r#"{"error":{"message":"The model `gpt-image-9` does not exist","param":"tools[0].model","code":"model_not_found"}}"#,
        r#"{"error":{"message":"The file is not there for this model","code":404}}"#,
    ] {
        assert_eq!(of(404, body), Outcome::Rejected, "{body}");
    }
    let image = r#"[{"error":{"code":404,"message":"models/gemini-2-image is not found for API version v1main","status":"NOT_FOUND"}}]"#;
    assert_eq!(of(404, image), Outcome::NotFound(Blame::Target));
}

#[test]
fn rights_of_the_clients_own_take_the_blame() {
    let none = ErrorSays::read(b"{}");
    for (status, is) in [
        (401, Outcome::Auth(Blame::Request)),
        (402, Outcome::Auth(Blame::Request)),
        (403, Outcome::Forbidden(Blame::Request)),
        (404, Outcome::Rejected),
        (429, Outcome::RateLimited(Blame::Request)),
        (500, Outcome::Unavailable),
    ] {
        assert_eq!(verdict(status, &none, true), is, "{status}");
    }
    let gone = ErrorSays::read(br#"{"error":{"code":"model_not_found"}}"#);
    let is = verdict(404, &gone, true);
    assert_eq!(is, Outcome::NotFound(Blame::Request));
    for (code, says) in [
        ("invalid_api_key", Says::Prompt),
        ("rate_limit_exceeded", Says::Prompt),
        ("server_error", Says::Broken),
    ] {
        let body = format!(r#"{{"error":{{"code":"{code}"}}}}"#);
        let is = in_200(&ErrorSays::read(body.as_bytes()), true);
        assert_eq!(is, Outcome::BadAnswer(says), "{code}");
    }
}

#[test]
fn the_body_says_when_to_come_again() {
    let google = |details: &str| {
        format!(r#"[{{"error":{{"code":429,"message":"x","details":[{details}]}}}}]"#)
    };
    let router = |headers: &str| {
        format!(r#"{{"error":{{"code":429,"metadata":{{"headers":{{{headers}}}}}}}}}"#)
    };
    for (body, is) in [
        (google(r#"{"retryDelay":"34.074824224s"}"#), "34.074824224s"),
        (
            google(r#"{"@type":"x"},{"retryDelay":"soon"},{"retryDelay":"3s"}"#),
            "3s",
        ),
        (google(r#"{"retryDelay":"-3s"}"#), ""),
        (google("7"), ""),
        (
            router(
                r#""X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1767225630000""#,
            ),
            "1767225630000",
        ),
        (
            router(r#""X-RateLimit-Reset":1767225630000"#),
            "1767225630000",
        ),
        (router(r#""X-RateLimit-Reset":"9","Retry-After":"4""#), "4"),
        (router(""), ""),
    ] {
        let says = ErrorSays::read(body.as_bytes());
        assert_eq!(says.retry, Moment::read(is), "{body}");
    }
}
