//! A journey's surroundings without sockets: a provider that says the same to
//! everybody, one that always fails, and a client that takes everything.

use std::future::pending;
use std::hint::black_box;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use standin::base::Endpoint;
use standin::config::{Config, Nothing, Target, load};
use standin::journey::Ask;
use standin::seam::{Broken, Client, Committed, Exchange, Gone, Head, Out, Outgoing};
use standin::wire::Lines;

/// A configuration that needs nothing from outside.
pub(crate) fn config(text: &str) -> Config {
    load("bench.yaml", text.as_bytes(), &Nothing).expect("a good configuration")
}

/// A chat that is asked for without headers.
pub(crate) fn ask(config: &Config, body: impl Into<Bytes>) -> Ask {
    let id = HeaderValue::from_static("6f1c0d4a9b2e4c7f8a3d5e6f7a8b9c0d");
    let ask = Ask::read(Endpoint::Chat, id, &HeaderMap::new(), body.into(), config);
    ask.expect("a good request")
}

/// Providers that all give the same answer, but for `bad`, which fails.
pub(crate) struct World {
    head: Head,
    body: Vec<Bytes>,
}

impl World {
    /// An answer of this media type that comes in these pieces.
    pub(crate) fn new(media: &'static str, body: Vec<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", media),
            ("x-request-id", "req_0123456789abcdef"),
        ] {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        let status = StatusCode::OK;
        Self {
            head: Head { status, headers },
            body,
        }
    }
}

/// One attempt on its way.
pub(crate) struct Played {
    head: Head,
    body: std::vec::IntoIter<Bytes>,
}

impl Out for World {
    type Exchange = Played;

    async fn open(&self, target: &Target, _: bool) -> Result<Played, Broken> {
        let (mut head, mut body) = (self.head.clone(), self.body.clone());
        if target.provider.name.as_str() == "bad" {
            head.status = StatusCode::SERVICE_UNAVAILABLE;
            body.clear();
        }
        let body = body.into_iter();
        Ok(Played { head, body })
    }
}

impl Exchange for Played {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        black_box(&request.body);
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        let status = self.head.status;
        let headers = std::mem::take(&mut self.head.headers);
        Ok(Head { status, headers })
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        Ok(self.body.next())
    }

    async fn release(self) {}
}

/// A client that takes everything at once.
pub(crate) struct Guest;

impl Client for Guest {
    type Committed = Self;

    async fn gone(&mut self) -> Gone {
        pending().await
    }

    async fn commit(self, head: Head<Lines>) -> Result<Self, Gone> {
        black_box(head);
        Ok(self)
    }

    async fn reply(self, head: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        black_box((head, body));
        Ok(())
    }
}

impl Committed for Guest {
    async fn gone(&mut self) -> Gone {
        pending().await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        black_box(bytes);
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        Ok(())
    }

    async fn break_off(self) {}
}
