//! The page at `/`: one document that needs nothing else. Its style and its
//! script stand in it, and the policy that is sent along names exactly these
//! two, by their hashes.

use std::sync::LazyLock;

use http::HeaderValue;
use ring::digest;

/// A document and the policy that it is sent with.
pub(super) struct Page {
    pub(super) html: String,
    /// `content-security-policy` (w3.org/TR/CSP3).
    pub(super) policy: HeaderValue,
}

/// What is shown to whoever may look.
pub(super) static PAGE: LazyLock<Page> =
    LazyLock::new(|| Page::of(include_str!("index.html"), include_str!("page.js")));

/// What is shown to a browser that has to say the token first.
pub(super) static LOGIN: LazyLock<Page> =
    LazyLock::new(|| Page::of(include_str!("login.html"), include_str!("login.js")));

/// Of every other answer: nothing in it may do anything.
pub(super) const NOTHING: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const STYLE: &str = include_str!("page.css");

impl Page {
    fn of(html: &str, script: &str) -> Self {
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'",
            hash(script),
            hash(STYLE)
        );
        Self {
            html: html
                .replace("{{style}}", STYLE)
                .replace("{{script}}", script),
            // Hashes and words only: nothing of it can fail.
            policy: HeaderValue::try_from(policy).unwrap_or(NOTHING),
        }
    }
}

/// As a policy names a script or a style.
fn hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    format!("sha256-{}", base64(digest.as_ref()))
}

/// RFC 4648 section 4
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(bits >> shift & 63) as usize];
            text.push(if at <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        let empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(hash(""), empty);
    }

    #[test]
    fn a_page_holds_its_own_style_and_script_and_names_nobody_else() {
        for (page, script) in [
            (&*PAGE, include_str!("page.js")),
            (&*LOGIN, include_str!("login.js")),
        ] {
            assert!(page.html.contains(&format!("<style>{STYLE}</style>")));
            assert!(
                page.html
                    .contains(&format!("<script type=\"module\">{script}</script>"))
            );
            assert!(!page.html.contains("{{"), "a place is left empty");
            for word in [
                "src=\"http",
                "href=\"http",
                "@import",
                "url(",
                "innerHTML",
                "outerHTML",
            ] {
                assert!(!page.html.contains(word), "{word}");
            }
            let policy = page.policy.to_str().unwrap();
            assert!(policy.contains(&hash(script)) && policy.contains(&hash(STYLE)));
        }
    }
}
