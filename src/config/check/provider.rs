//! Providers: address, credential, headers, timeouts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::{Surroundings, tls};
use crate::base::{ProviderName, Secret};
use crate::config::catalogue::Known;
use crate::config::meant::{Credential, HttpVersion, Provider, Timeouts};
use crate::config::node::{Key, Scalar};
use crate::config::prices;
use crate::config::problem::{Found, Place, shown, shown_key};
use crate::config::shape::{self, Fields};
use crate::config::url::base_url;
use crate::dialect::Kind;
use crate::tls::server_name;

/// Bytes of a credential's file; the longest tokens have a few KiB.
const MAX_KEY_FILE: usize = 64 << 10;

/// Headers that a provider cannot be given: the connection's own, those that
/// the request's body decides, and those that Standin sets itself.
const NOT_OURS_TO_SET: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Reads one provider; `index` is the place that it takes. `None` where something that it cannot do without is
/// wrong, which is then told.
pub(super) fn provider(
    name: &Key,
    index: usize,
    fields: &Fields<'_>,
    usual: &Timeouts,
    around: &dyn Surroundings,
    found: &mut Found,
) -> Option<Arc<Provider>> {
    if let Some(why) = wrong_name(&name.text) {
        found.add(name.place, why);
    }
    let kind = kind(fields, found);
    let url = fields.text("base_url", found).and_then(|(scalar, place)| {
        base_url(scalar.text.trim())
            .and_then(|url| {
                if url.tls {
                    server_name(&url.host)?;
                }
                Ok(url)
            })
            .map_err(|why| found.add(place, format!("`base_url` {why}")))
            .ok()
    });
    let credential = credential(fields, around, found);
    let name_of = |name: &str| header_name(name, kind, &credential);
    let headers = headers(fields, &name_of, found);
    let api_version = api_version(fields, kind, name.place, found);
    let http = match fields.choice("http", found) {
        Some("1") => HttpVersion::Http1,
        Some("2") => HttpVersion::Http2,
        _ => HttpVersion::Auto,
    };
    let tls = tls::client(fields, url.as_ref().map(|url| url.tls), around, found);
    let timeouts = timeouts(&fields.section("timeouts", found), usual, found);
    let known = url.as_ref().and_then(|url| Known::at(&url.host));
    let stream_usage = match (fields.node("stream_usage"), known) {
        (None, Some(known)) => known.stream_usage,
        _ => fields.boolean("stream_usage", found).unwrap_or(true),
    };
    let prices = url.as_ref().map_or(&[][..], |url| prices::at(&url.host));
    Some(Arc::new(Provider {
        name: ProviderName::from(&*name.text),
        index,
        kind,
        base_url: url?,
        headers,
        credential,
        api_version,
        stream_usage,
        http,
        tls,
        timeouts,
        rules: known.map(|known| known.rules.clone()).unwrap_or_default(),
        prices,
    }))
}

/// The wire format; the default where it cannot be read.
pub(in crate::config) fn kind(fields: &Fields<'_>, found: &mut Found) -> Kind {
    match fields.choice("kind", found) {
        Some("azure") => Kind::Azure,
        _ => Kind::OpenAi,
    }
}

pub(in crate::config) fn wrong_name(name: &str) -> Option<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        return None;
    }
    let name = shown(name);
    Some(format!(
        "`{name}` cannot name a provider: it takes up to 64 letters, digits, `.`, `_` and `-`"
    ))
}

/// Timeouts, each the usual one where it is not written.
pub(super) fn timeouts(fields: &Fields<'_>, usual: &Timeouts, found: &mut Found) -> Timeouts {
    Timeouts {
        connect: fields.duration("connect", found).unwrap_or(usual.connect),
        first_token: fields
            .duration("first_token", found)
            .unwrap_or(usual.first_token),
        answer: fields.duration("answer", found).unwrap_or(usual.answer),
        idle: fields.duration("idle", found).unwrap_or(usual.idle),
        total: fields.duration("total", found).unwrap_or(usual.total),
    }
}

fn credential(fields: &Fields<'_>, around: &dyn Surroundings, found: &mut Found) -> Credential {
    let key = fields.text("api_key", found);
    let file = fields.text("api_key_file", found);
    if let (Some((_, place)), Some(_)) = (key, file) {
        found.add(
            place,
            "`api_key` and `api_key_file` are both there: leave one of the two out",
        );
    }
    if let Some((path, place)) = file {
        if let Err(why) = readable(path, around) {
            found.add(place, why);
        }
        return Credential::File(Path::new(&*path.text).to_owned());
    }
    if let Some((key, place)) = key {
        return match secret(&key.text) {
            Ok(secret) => Credential::Inline(secret),
            Err(why) => {
                found.add(place, format!("`api_key` {why}"));
                Credential::None
            }
        };
    }
    Credential::None
}

/// Why a file that is named cannot be read.
pub(super) fn unreadable(name: &str, error: &io::Error, path: &str) -> String {
    let kind = error.kind();
    let why = if kind == io::ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else {
        kind.to_string()
    };
    format!("`{name}` cannot be read: {why} (path: {path})")
}

/// Whether a file holds a credential now. It is read again when it is used.
fn readable(path: &Scalar, around: &dyn Surroundings) -> Result<(), String> {
    let shown = path.shown();
    let bytes = around.file(Path::new(&*path.text));
    let bytes = bytes.map_err(|error| unreadable("api_key_file", &error, &shown))?;
    if bytes.len() > MAX_KEY_FILE {
        return Err(format!(
            "{shown} is larger than 64 KiB, so it holds no credential alone"
        ));
    }
    let text = str::from_utf8(&bytes).map_err(|_| format!("{shown} is not text"))?;
    secret(text)
        .map(drop)
        .map_err(|why| format!("the credential in {shown} {why}"))
}

/// A credential that can stand in a header: printable ASCII without blanks;
/// an end of line after it is left out.
///
/// # Errors
/// What is wrong, without any part of the credential.
pub(in crate::config) fn secret(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err("is empty");
    }
    if is_shell_variable(text) {
        return Err("is the name of a variable, not its value: write `${NAME}`, with braces");
    }
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Secret::from(text));
    }
    Err(if text.contains(['\r', '\n']) {
        "has more than one line: a credential is one line"
    } else {
        "has a character that no credential has: it is printable ASCII without blanks"
    })
}

/// `$NAME`, as a shell has it: sent as it stands, it would be refused only by
/// the provider, and only then.
fn is_shell_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// Headers whose names `name_of` allows; their values are never shown.
pub(super) fn headers(
    fields: &Fields<'_>,
    name_of: &dyn Fn(&str) -> Result<HeaderName, String>,
    found: &mut Found,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (key, node) in fields.pairs("headers", found) {
        let what = format!("the header `{}`", shown_key(&key.text));
        let value = shape::text(node, &what, found).and_then(|value| {
            let why = "this header's value has a character that no header can carry: \
                       it is printable ASCII";
            let bad = |text: &str| text.bytes().any(|b| !matches!(b, b' '..=b'~'));
            match HeaderValue::from_str(value.text.trim()) {
                Ok(value_) if !bad(value.text.trim()) => Some(value_),
                _ => {
                    found.add(node.place, why);
                    None
                }
            }
        });
        let name = match name_of(&key.text) {
            Ok(name) if headers.iter().any(|(other, _)| *other == name) => Err(format!(
                "the header `{name}` stands twice: case makes no difference"
            )),
            other => other,
        };
        match (name, value) {
            (Err(why), _) => found.add(key.place, why),
            (Ok(name), Some(mut value)) => {
                value.set_sensitive(true);
                headers.push((name, value));
            }
            (Ok(_), None) => {}
        }
    }
    headers
}

/// A header that the configuration may set.
pub(in crate::config) fn free_header(name: &str) -> Result<HeaderName, String> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{}` cannot name a header", shown_key(name)))?;
    let lower = header.as_str();
    if NOT_OURS_TO_SET.contains(&lower) || lower.starts_with("x-standin-") {
        return Err(format!(
            "the header `{lower}` is set by Standin itself: leave it out"
        ));
    }
    Ok(header)
}

fn header_name(name: &str, kind: Kind, credential: &Credential) -> Result<HeaderName, String> {
    let header = free_header(name)?;
    let lower = header.as_str();
    let by_credential = match kind {
        Kind::Azure => "api-key",
        Kind::OpenAi => "authorization",
    };
    if lower == by_credential && !matches!(credential, Credential::None) {
        return Err(format!(
            "the header `{lower}` carries the credential: leave it or the credential out"
        ));
    }
    Ok(header)
}

fn api_version(fields: &Fields<'_>, kind: Kind, name: Place, found: &mut Found) -> Option<String> {
    let given = fields.text("api_version", found);
    match (kind, given) {
        (Kind::Azure, None) if fields.node("api_version").is_none() => {
            let why = "`kind: azure` needs `api_version`, for example `api_version: 2024-10-21`; \
                       Azure's newer addresses, which end in `/openai/v1`, are `kind: openai`";
            found.add(name, why);
            None
        }
        (Kind::OpenAi, Some((_, place))) => {
            found.add(
                place,
                "`api_version` belongs to `kind: azure`: leave it out, or set that kind",
            );
            None
        }
        (Kind::Azure, Some((version, place))) => {
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            if version.text.len() > 64 || !version.text.bytes().all(good) {
                found.add(place, "`api_version` is a date as Azure writes it: `2024-10-21` or `2025-01-01-preview`");
            }
            Some((*version.text).to_owned())
        }
        (Kind::Azure | Kind::OpenAi, None) => None,
    }
}
