//! Which headers may cross, in both directions.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Lines;

/// Prefix of Standin's own headers; they never cross from outside.
const OWN: &str = "x-standin-";

/// Hop-by-hop headers (RFC 9110 section 7.6.1) and those that Standin writes
/// itself for each hop.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
    )
}

/// Headers that ask for something else than the answer to a POST: a part of
/// it, nothing where it has not changed (RFC 9110 sections 13 and 14), another
/// method. A provider that heeds them gives no answer, and would be taken for
/// broken though the client broke it.
fn asks_otherwise(name: &str) -> bool {
    matches!(
        name,
        "range"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
    )
}

/// Whether a client's header stays with Standin: credentials and identity of
/// the client, what proxies wrote, what belongs to the hop.
fn stays_up(name: &str) -> bool {
    is_of_one_hop(name)
        || asks_otherwise(name)
        || matches!(
            name,
            "host"
                | "expect"
                | "accept-encoding"
                | "content-encoding"
                | "http2-settings"
                | "authorization"
                | "proxy-authorization"
                | "x-api-key"
                | "api-key"
                | "x-goog-api-key"
                | "openai-organization"
                | "openai-project"
                | "cookie"
                | "forwarded"
                | "x-real-ip"
                | "x-request-id"
        )
        || name.starts_with("x-forwarded-")
        || name.starts_with(OWN)
}

/// Whether an upstream's header stays with Standin.
fn stays_down(name: &str) -> bool {
    is_of_one_hop(name)
        || matches!(
            name,
            "proxy-authenticate"
                | "set-cookie"
                | "alt-svc"
                | "strict-transport-security"
                | "openai-organization"
                | "x-request-id"
        )
        || name.starts_with(OWN)
}

/// The client's headers that go upstream with every attempt.
pub fn up(from: &HeaderMap) -> Lines {
    crossing(from, stays_up)
}

/// Whether headers of a client that go upstream include one that speaks of who
/// asks, what they may or who pays. Providers and gateways have ever more of
/// them, so words count, not names: `x-goog-user-project`,
/// `ocp-apim-subscription-key`, `cf-aig-authorization`, `helicone-auth`,
/// `x-portkey-api-key`. A header too many only means that the refusals of the
/// requests that bring it cool nothing down.
pub fn brings_rights(headers: &Lines) -> bool {
    let mut names = headers.iter().map(|(name, _)| name.as_str());
    names.any(speaks_of_rights)
}

fn speaks_of_rights(name: &str) -> bool {
    /// In any place of a name.
    const PARTS: [&str; 17] = [
        "account",
        "auth",
        "billing",
        "credential",
        "delegat",
        "identity",
        "impersonat",
        "organisation",
        "organization",
        "permission",
        "principal",
        "project",
        "quota",
        "secret",
        "subscription",
        "tenant",
        "workspace",
    ];
    // What nearly every request brings is not looked at word by word.
    if matches!(
        name,
        "accept" | "accept-language" | "content-type" | "user-agent" | "traceparent" | "tracestate"
    ) || name.starts_with("x-stainless-")
    {
        return false;
    }
    // Numbers of tokens are no rights; these two only name the request, or
    // what it may be answered from.
    if name.ends_with("idempotency-key") || name.ends_with("cache-key") {
        return false;
    }
    // Vertex: takes the client's own choice of paid or shared capacity.
    name == "x-vertex-ai-llm-request-type"
        || PARTS.iter().any(|part| name.contains(part))
        || name.split(['-', '_']).any(|word| {
            matches!(
                word,
                "org" | "jwt" | "bearer" | "signature" | "assertion" | "iam"
            ) || ["key", "keys", "token"]
                .iter()
                .any(|end| word.ends_with(end))
        })
}

/// The upstream's headers that go to the client. Its request id is not among
/// them: that goes under another name.
pub fn down(from: &HeaderMap) -> Lines {
    crossing(from, stays_down)
}

fn crossing(from: &HeaderMap, stays: fn(&str) -> bool) -> Lines {
    let nominated = nominated(from);
    let crosses = |name: &HeaderName| !stays(name.as_str()) && !nominated.contains(name);
    from.iter().filter(|(name, _)| crosses(name)).collect()
}

/// The headers that `Connection` names as being of this hop only.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::CONTENT_TYPE)
        .collect()
}

/// What a request carries on from here: that it has been with Standin (RFC 9110
/// section 7.6.3), whichever HTTP it came by. What others wrote stays before it.
pub const VIA: HeaderValue = HeaderValue::from_static("1.1 standin");

/// How often a request has been with Standin before, as its `via` says: one in
/// an application's pod may stand before one for a team and that one before one
/// for all.
pub fn times_here(headers: &HeaderMap) -> usize {
    let all = headers.get_all(header::VIA).iter();
    all.flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter(|by| {
            let words = by.split(u8::is_ascii_whitespace);
            words.filter(|word| !word.is_empty()).nth(1) == Some(b"standin")
        })
        .count()
}

/// The longest `x-request-id` of a client that is kept.
const MAX_REQUEST_ID: usize = 128;

/// The client's request id, where it is one that can go into logs and other
/// systems: up to 128 printable ASCII characters.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.as_bytes();
    let fits = !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.iter().all(u8::is_ascii_graphic);
    if fits {
        std::str::from_utf8(id).ok()
    } else {
        None
    }
}

/// What a content type says of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `text/event-stream`
    EventStream,
    /// `application/json` or a type with the suffix `+json`.
    Json,
    /// None at all, or an empty one.
    None,
    /// Anything else.
    Other,
}

/// Reads `content-type`, parameters and letter case aside. Two that differ are
/// like one that is unknown: who reads the body next may believe the other.
pub fn media(headers: &HeaderMap) -> Media {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter().map(one_media);
    let first = all.next().unwrap_or(Media::None);
    if all.all(|other| other == first) {
        first
    } else {
        Media::Other
    }
}

fn one_media(value: &HeaderValue) -> Media {
    let value = value.as_bytes();
    let end = value
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(value.len());
    let essence = value[..end].trim_ascii();
    let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
    let suffix = essence.last_chunk::<5>();
    if essence.is_empty() {
        Media::None
    } else if is(b"application/json") {
        Media::Json
    } else if is(b"text/event-stream") {
        Media::EventStream
    } else if suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json")) {
        Media::Json
    } else {
        Media::Other
    }
}

/// Whether the body is coded (compressed): `content-encoding` other than
/// `identity`.
pub fn is_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| {
            let value = value.as_bytes().trim_ascii();
            !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn credentials_and_traces_of_the_client_stay() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "X-API-Key",
            "api-key",
            "X-Goog-Api-Key",
            "OpenAI-Organization",
            "OpenAI-Project",
            "Cookie",
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-whatever",
            "X-Real-IP",
            "X-Standin-Fail",
            "Range",
            "If-None-Match",
            "X-HTTP-Method-Override",
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Host",
            "Expect",
            "Accept-Encoding",
        ] {
            assert!(up(&map(&[(name, "1")])).is_empty(), "{name}");
        }
    }

    #[test]
    fn all_others_leave() {
        for name in [
            "OpenAI-Beta",
            "Idempotency-Key",
            "User-Agent",
            "traceparent",
            "Content-Type",
            "x-stainless-lang",
        ] {
            assert_eq!(up(&map(&[(name, "1")])).len(), 1, "{name}");
        }
    }

    #[test]
    fn how_often_a_request_was_here_stands_in_via() {
        let times = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("Via", *line)).collect();
            times_here(&map(&lines))
        };
        assert_eq!(times(&[]), 0);
        assert_eq!(times(&["", ",", "standin", "1.1", "1.1 standing"]), 0);
        assert_eq!(times(&["1.1 vegur", "HTTP/1.1 standin (x)"]), 1);
        let line = "1.1 standin,2  nginx, 1.1\tstandin";
        assert_eq!(times(&[line, "1.1 standin"]), 3);
    }

    #[test]
    fn what_speaks_of_rights_is_seen_whatever_its_name() {
        for name in [
            "x-goog-user-project",
            "x-goog-quota-user",
            "x-goog-iam-authorization-token",
            "Ocp-Apim-Subscription-Key",
            "cf-aig-authorization",
            "cf-access-client-secret",
            "Helicone-Auth",
            "x-portkey-api-key",
            "x-portkey-virtual-key",
            "x-amz-security-token",
            "chatgpt-account-id",
            "anthropic-workspace-id",
            "x-tenant-id",
            "x-org-id",
            "x-billing-account",
            "x-permission-set",
            "x-ms-client-principal-id",
            "x-apikey",
            "x-jwt-assertion",
            "x-vertex-ai-llm-request-type",
        ] {
            let crossing = up(&map(&[(name, "1"), ("accept", "*/*")]));
            assert!(brings_rights(&crossing), "{name}");
        }
    }

    #[test]
    fn ordinary_headers_bring_no_rights() {
        for name in [
            "accept",
            "accept-language",
            "anthropic-beta",
            "anthropic-dangerous-direct-browser-access",
            "anthropic-version",
            "b3",
            "baggage",
            "content-type",
            "content-length",
            "dnt",
            "http-referer",
            "Idempotency-Key",
            "x-idempotency-key",
            "x-stainless-idempotency-key",
            "x-prompt-cache-key",
            "openai-beta",
            "origin",
            "pragma",
            "priority",
            "referer",
            "sec-ch-ua-platform",
            "sec-fetch-mode",
            "sentry-trace",
            "session_id",
            "traceparent",
            "tracestate",
            "user-agent",
            "x-amzn-trace-id",
            "x-client-request-id",
            "x-cloud-trace-context",
            "x-datadog-trace-id",
            "x-estimated-tokens",
            "x-goog-api-client",
            "x-request-id",
            "x-stainless-arch",
            "x-stainless-helper-method",
            "x-stainless-lang",
            "x-stainless-os",
            "x-stainless-package-version",
            "x-stainless-retry-count",
            "x-stainless-runtime",
            "x-stainless-runtime-version",
            "x-stainless-timeout",
            "x-title",
        ] {
            assert!(
                !brings_rights(&map(&[(name, "1")]).iter().collect()),
                "{name}"
            );
        }
        // What stays with Standin brings nothing.
        let stays = [("authorization", "1"), ("openai-project", "1")];
        assert!(!brings_rights(&up(&map(&stays))));
    }

    #[test]
    fn what_connection_names_is_of_this_hop() {
        let from = map(&[
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("X-End", "2"),
        ]);
        let to = up(&from);
        assert_eq!(to.len(), 1);
        assert!(to.contains(&HeaderName::from_static("x-end")));
    }

    #[test]
    fn what_binds_a_browser_to_the_provider_is_not_handed_on() {
        for name in [
            "Set-Cookie",
            "Alt-Svc",
            "Strict-Transport-Security",
            "OpenAI-Organization",
            "X-Standin-Model",
            "X-Request-Id",
        ] {
            assert!(down(&map(&[(name, "1")])).is_empty(), "{name}");
        }
        for name in ["OpenAI-Processing-Ms", "Retry-After", "x-should-retry"] {
            assert_eq!(down(&map(&[(name, "1")])).len(), 1, "{name}");
        }
    }

    #[test]
    fn only_a_printable_request_id_is_kept() {
        assert_eq!(request_id(&map(&[("x-request-id", "a-1")])), Some("a-1"));
        assert_eq!(request_id(&map(&[("x-request-id", "a b")])), None);
        assert_eq!(request_id(&map(&[("x-request-id", "")])), None);
        let long = "a".repeat(129);
        assert_eq!(request_id(&map(&[("x-request-id", &long)])), None);
        assert_eq!(request_id(&map(&[])), None);
    }

    #[test]
    fn content_types_are_read_whatever_their_case() {
        for (value, is) in [
            ("application/json", Media::Json),
            ("Application/JSON; charset=utf-8", Media::Json),
            ("application/problem+json", Media::Json),
            ("text/event-stream;charset=UTF-8", Media::EventStream),
            ("text/plain", Media::Other),
            ("", Media::None),
        ] {
            assert_eq!(media(&map(&[("content-type", value)])), is, "{value}");
        }
        assert_eq!(media(&HeaderMap::new()), Media::None);
        for (other, is) in [
            ("application/json; charset=utf-8", Media::Json),
            ("text/plain", Media::Other),
            ("", Media::Other),
        ] {
            let two = [
                ("content-type", "application/json"),
                ("content-type", other),
            ];
            assert_eq!(media(&map(&two)), is, "{other}");
        }
    }
}
