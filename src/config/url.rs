//! A base URL → its parts. Messages never repeat the URL: it may carry a
//! password.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::meant::BaseUrl;

/// Reads `https://api.openai.com/v1`; slashes at its end are left out.
///
/// # Errors
/// What is wrong, and what would be right.
pub(super) fn base_url(text: &str) -> Result<BaseUrl, &'static str> {
    const FORM: &str = "begins with `https://` or `http://` and a host: \
                        `https://api.example.com/v1`";
    let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(FORM),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err("has no user or password: put the credential into `api_key`");
    }
    if path.contains('?') {
        return Err("has no query (`?…`): only scheme, host, port and path");
    }
    if path.contains('#') {
        return Err("has no fragment (`#…`): only scheme, host, port and path");
    }
    let (host, port) = split(authority).ok_or("has a port from 1 to 65535 after its host")?;
    let host = host_name(host).ok_or(FORM)?;
    let path = path.trim_end_matches('/');
    if !path.bytes().all(in_path) || path.split('/').any(|part| part == "." || part == "..") {
        return Err("has a path of letters, digits and `-._~%!$&'()*+,;=:@`, without `.` and `..`");
    }
    let endpoints = [
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/responses",
    ];
    if endpoints.iter().any(|endpoint| path.ends_with(endpoint)) {
        return Err(
            "ends before the endpoint's own path, which is added to it: \
                    leave `/chat/completions` and the like out",
        );
    }
    Ok(BaseUrl {
        tls,
        host,
        port: port.unwrap_or(if tls { 443 } else { 80 }),
        path: path.to_owned(),
    })
}

/// Host and port; `None` where the port is none.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after_bracket..].find(':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at(after_bracket + colon);
    let port = &port[1..];
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some((host, Some(port)))
}

/// A DNS name, an IPv4 address or an IPv6 address in brackets; lower case,
/// without the brackets.
fn host_name(host: &str) -> Option<String> {
    if let Some(inside) = host.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let name = host.to_ascii_lowercase();
    let last = name.rsplit('.').next()?;
    if last.bytes().all(|b| b.is_ascii_digit()) {
        // What ends in a number is an address or nothing.
        return name.parse::<Ipv4Addr>().ok().map(|_| name);
    }
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    (name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

/// RFC 3986's `pchar`, and the slash.
fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_four_parts() {
        for (text, tls, host, port, path) in [
            (
                "https://api.openai.com/v1",
                true,
                "api.openai.com",
                443,
                "/v1",
            ),
            ("HTTP://Localhost:8000//", false, "localhost", 8000, ""),
            ("http://[::1]:11434/v1/", false, "::1", 11434, "/v1"),
            ("http://[::1]", false, "::1", 80, ""),
            ("http://my_service", false, "my_service", 80, ""),
            (
                "http://127.0.0.1/a%20b/@x",
                false,
                "127.0.0.1",
                80,
                "/a%20b/@x",
            ),
        ] {
            let want = BaseUrl {
                tls,
                host: host.into(),
                port,
                path: path.into(),
            };
            assert_eq!(base_url(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "api.openai.com",
            "ftp://x",
            "://x",
            "https://",
            "https:///v1",
            "https://x:0",
            "https://x:",
            "https://x:99999",
            "https://x:80:90",
            "https://x:+80",
            "https://u:p@x",
            "https://x?a=b",
            "https://x#f",
            "https://a b",
            "https://x/a b",
            "https://x/é",
            "https://é",
            "https://.x",
            "https://x.",
            "https://1.2.3",
            "https://1.2.3.4.5",
            "https://256.1.1.1",
            "https://[::1",
            "https://[zz]",
            "https://::1",
            "https://[1.2.3.4]",
            "https://x/../y",
            "https://x/v1/chat/completions",
            "https://x\\y",
            "https://x/%0a\n",
            "https://[::1]x:1",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
