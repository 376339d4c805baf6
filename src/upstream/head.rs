//! The head of a request to a provider: what the client sent that may cross,
//! and what the configuration and the credential add.

use std::io::Write;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use pingora_http::RequestHeader;

use super::http1::SMALL;
use super::line::{KeyHeader, Line};
use crate::dialect::path;
use crate::seam::Outgoing;
use crate::wire::Lines;

/// Most heads fit.
const USUAL_HEAD: usize = 1024;

impl Line {
    /// Where a request goes; nothing where that cannot stand in a head.
    fn path(&self, request: &Outgoing<'_>, upstream_model: &str) -> Option<PathAndQuery> {
        if let Some(paths) = &self.paths {
            return paths.get(request.endpoint as usize)?.clone();
        }
        let to = path(
            self.kind,
            &self.url.path,
            request.endpoint,
            upstream_model,
            self.api_version.as_deref(),
        );
        PathAndQuery::try_from(to).ok()
    }

    /// The head's headers beside `host` and `content-length`: what the client
    /// sent, but not where the configuration or the credential says otherwise.
    pub(super) fn headers<'a>(
        &'a self,
        headers: &'a Lines,
        trace: Option<&'a (HeaderName, HeaderValue)>,
        key: &'a KeyHeader,
    ) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        let own = move || self.headers.iter().chain(key);
        let trace = trace.into_iter().map(|(name, value)| (name, value));
        let theirs = headers.iter().chain(trace);
        let theirs = theirs.filter(move |(name, _)| own().all(|own| own.0 != **name));
        theirs.chain(own().map(|(name, value)| (name, value)))
    }

    /// The request's head for this provider as HTTP/2 wants it: with an
    /// absolute URI and no `host`.
    pub(super) fn head(
        &self,
        request: &Outgoing<'_>,
        upstream_model: &str,
    ) -> Option<RequestHeader> {
        let uri = Uri::builder()
            .path_and_query(self.path(request, upstream_model)?)
            .scheme(if self.url.tls { "https" } else { "http" })
            .authority(self.authority.as_bytes());
        let mut head = Request::new(()).into_parts().0;
        head.method = Method::POST;
        head.uri = uri.build().ok()?;
        head.version = Version::HTTP_2;
        head.headers
            .reserve(request.headers.len() + self.headers.len() + 4);
        for (name, value) in self.headers(request.headers, request.trace.as_ref(), &self.key.load())
        {
            head.headers.append(name.clone(), value.clone());
        }
        let length = HeaderValue::from(request.body.len());
        head.headers.insert(header::CONTENT_LENGTH, length);
        Some(RequestHeader::from(head))
    }

    /// The same as HTTP/1.1 writes it (RFC 9112), with room behind it for a
    /// small body.
    pub(super) fn written_head(
        &self,
        request: &Outgoing<'_>,
        upstream_model: &str,
    ) -> Option<Vec<u8>> {
        let path = self.path(request, upstream_model)?;
        let size = request.body.len();
        let more = if size <= SMALL { size } else { 0 };
        let mut head = Vec::with_capacity(USUAL_HEAD + more);
        head.extend_from_slice(b"POST ");
        head.extend_from_slice(path.as_str().as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        head.extend_from_slice(self.authority.as_bytes());
        for (name, value) in self.headers(request.headers, request.trace.as_ref(), &self.key.load())
        {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
        write!(head, "\r\ncontent-length: {size}\r\n\r\n").ok()?;
        Some(head)
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::base::Endpoint;
    use crate::config::{Nothing, load};
    use crate::upstream::Pool;

    /// A written head's lines, the headers in any order.
    fn lines(head: &[u8]) -> (String, Vec<String>) {
        let head = std::str::from_utf8(head).unwrap();
        let mut lines = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let mut headers: Vec<String> = lines.map(str::to_owned).collect();
        headers.sort();
        (first, headers)
    }

    /// The same of one for HTTP/2.
    fn lines_of(head: &RequestHeader) -> (String, Vec<String>) {
        let path = head.uri.path_and_query().unwrap();
        let host = format!("host: {}", head.uri.authority().unwrap());
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut headers: Vec<String> = head.headers.iter().map(header).chain([host]).collect();
        headers.sort();
        (format!("POST {path} HTTP/1.1"), headers)
    }

    #[test]
    fn http_1_1_and_http_2_have_the_same_head() {
        let text = "providers:\n  a: { base_url: \"http://127.0.0.1:1/v1\", api_key: k, \
                    headers: { OpenAI-Project: ours, x-more: ours } }\n  \
                    b: { kind: azure, base_url: \"https://x.example\", api_key: k, \
                    api_version: v1 }\n  c: { base_url: \"http://c.example\" }\n";
        let config = load("test.yaml", text.as_bytes(), &Nothing).unwrap();
        let mut sent = Lines::default();
        for (name, value) in [
            ("x-twice", "one"),
            ("x-twice", "two"),
            ("x-more", "theirs"),
            ("authorization", "theirs"),
            ("content-type", "application/json"),
        ] {
            sent.push(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let pool = Pool::new().unwrap();
        for provider in &config.providers {
            let line = Line::new(provider, &pool, None).unwrap();
            let trace = HeaderValue::from_static("00-1-2-01");
            for trace in [None, Some((HeaderName::from_static("traceparent"), trace))] {
                let request = Outgoing {
                    endpoint: Endpoint::Chat,
                    headers: &sent,
                    body: [bytes::Bytes::from_static(b"{}")].into_iter().collect(),
                    trace,
                };
                let http1 = line.written_head(&request, "a model").unwrap();
                let http2 = line.head(&request, "a model").unwrap();
                assert_eq!(lines(&http1), lines_of(&http2), "{}", provider.name);
            }
        }
    }
}
