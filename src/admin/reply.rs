//! Whole answers of the admin port, and what all of them say to a browser.

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::page::{NOTHING, Page};
use crate::front::{Kept, Session, answer_text};
use crate::journey::REQUEST_ID;
use crate::wire::Lines;

/// What is answered.
pub(super) struct Reply {
    status: StatusCode,
    headers: Lines,
    body: String,
}

impl Reply {
    fn new(status: StatusCode, media: &'static str, body: String) -> Self {
        Self {
            status,
            headers: headers(HeaderValue::from_static(media)),
            body,
        }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(super) fn text(media: &'static str, body: String) -> Self {
        Self::new(StatusCode::OK, media, body)
    }

    /// Done, and nothing to say.
    pub(super) fn empty() -> Self {
        Self::json(StatusCode::OK, &json!({"result": "accepted"}))
    }

    pub(super) fn page(status: StatusCode, page: &Page) -> Self {
        let html = Self::new(status, "text/html; charset=utf-8", page.html.clone());
        html.with(header::CONTENT_SECURITY_POLICY, Some(page.policy.clone()))
    }

    /// Says this too, where there is anything to say.
    pub(super) fn with(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            self.headers.set(name, value);
        }
        self
    }

    pub(super) async fn send(mut self, session: &mut Session<'_>, id: HeaderValue) -> Kept {
        self.headers.set(REQUEST_ID, id);
        answer_text(session, self.status, self.headers, self.body).await
    }
}

/// The head of an answer that goes on (html.spec.whatwg.org, server-sent
/// events). Proxies are asked not to hold events back.
pub(super) fn stream(id: HeaderValue) -> Lines {
    let mut headers = headers(HeaderValue::from_static("text/event-stream"));
    headers.set(REQUEST_ID, id);
    let no = HeaderValue::from_static("no");
    headers.set(HeaderName::from_static("x-accel-buffering"), no);
    headers
}

/// What is shown here is nobody else's to keep, frame, guess at or hear of.
fn headers(media: HeaderValue) -> Lines {
    let mut headers = Lines::default();
    headers.set(header::CONTENT_TYPE, media);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.set(name, HeaderValue::from_static(value));
    }
    headers.set(header::CONTENT_SECURITY_POLICY, NOTHING);
    headers
}

/// Says no.
pub(super) fn refused(status: StatusCode, message: &str) -> Reply {
    let error = json!({
        "message": message,
        "type": "invalid_request_error",
        "param": null,
        "code": status.as_u16().to_string(),
    });
    Reply::json(status, &json!({"error": error}))
}
