//! Where a request goes at a provider, and how the provider knows us.

use http::{HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Kind;
use crate::base::{Endpoint, Secret};

/// What may stand in one path segment as it is (RFC 3986 `unreserved`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The request target at a provider: path and query. `base` is the base URL's
/// path without a trailing slash.
///
/// Azure's form is
/// `/openai/deployments/{deployment}/{operation}?api-version=…`; its Responses
/// API has no deployment in the path
/// (learn.microsoft.com/azure/ai-services/openai/reference).
pub fn path(
    kind: Kind,
    base: &str,
    endpoint: Endpoint,
    upstream_model: &str,
    api_version: Option<&str>,
) -> String {
    match kind {
        Kind::OpenAi => [base, endpoint.path()].concat(),
        Kind::Azure => {
            let openai = if base.ends_with("/openai") {
                ""
            } else {
                "/openai"
            };
            let deployment = match endpoint {
                Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => {
                    format!("/deployments/{}", segment(upstream_model))
                }
                Endpoint::Responses => String::new(),
            };
            let query = api_version.map_or_else(String::new, |version| {
                format!("?api-version={}", utf8_percent_encode(version, SEGMENT))
            });
            format!("{base}{openai}{deployment}{}{query}", endpoint.path())
        }
    }
}

/// One path segment. `.` and `..` alone would change the path, and no escape
/// keeps a server from reading them as such, so their dots are doubled up as
/// what no deployment is called.
fn segment(name: &str) -> String {
    match name {
        "." | ".." => name.replace('.', "%252E"),
        _ => utf8_percent_encode(name, SEGMENT).to_string(),
    }
}

/// The header that carries the credential; nothing where the key cannot stand
/// in a header.
pub fn api_key_header(kind: Kind, key: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match kind {
        Kind::OpenAi => (header::AUTHORIZATION, format!("Bearer {}", key.reveal())),
        Kind::Azure => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
    };
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_s_address_is_base_and_operation() {
        let to = path(Kind::OpenAi, "/v1", Endpoint::Chat, "gpt-4o", None);
        assert_eq!(to, "/v1/chat/completions");
    }

    #[test]
    fn azure_s_deployment_is_one_escaped_segment() {
        let to = |base, endpoint, name| path(Kind::Azure, base, endpoint, name, Some("2024-10-21"));
        assert_eq!(
            to("", Endpoint::Chat, "gpt4o-prod"),
            "/openai/deployments/gpt4o-prod/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            to("/openai", Endpoint::Embeddings, "a/b?c#d é"),
            "/openai/deployments/a%2Fb%3Fc%23d%20%C3%A9/embeddings?api-version=2024-10-21"
        );
        assert_eq!(
            to("", Endpoint::Responses, "gpt4o"),
            "/openai/responses?api-version=2024-10-21"
        );
        assert!(!to("", Endpoint::Chat, "..").contains(".."));
    }

    #[test]
    fn keys_travel_as_the_provider_wants_them() {
        let key = Secret::from("k1");
        let (name, value) = api_key_header(Kind::OpenAi, &key).unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer k1"[..])
        );
        assert!(value.is_sensitive());
        let (name, value) = api_key_header(Kind::Azure, &key).unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("api-key", &b"k1"[..]));
        assert!(api_key_header(Kind::OpenAi, &Secret::from("a\nb")).is_none());
    }
}
