//! The two seams of a journey: the way out to providers and the client.
//!
//! With these the whole journey runs without sockets and on a paused clock.
//! Every future here may be dropped at any await: dropping an exchange cuts
//! its connection, which is how an attempt is cancelled.

use std::future::Future;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::base::Endpoint;
use crate::config::Target;
use crate::wire::{Body, Lines};

/// A status and headers: of an upstream's answer, or as [`Lines`] of what the
/// client gets.
#[derive(Clone, Debug)]
pub struct Head<H = HeaderMap> {
    /// The status line's number.
    pub status: StatusCode,
    /// As they came, or as they are to go.
    pub headers: H,
}

impl From<Head<Lines>> for Head {
    fn from(head: Head<Lines>) -> Self {
        Self {
            status: head.status,
            headers: head.headers.into(),
        }
    }
}

/// What is sent to a target.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// Which operation.
    pub endpoint: Endpoint,
    /// The client's headers that cross, and the request id.
    pub headers: &'a Lines,
    /// The attempt's own span, which then takes the place of the client's
    /// `traceparent`.
    pub trace: Option<(HeaderName, HeaderValue)>,
    /// The body as this target wants it.
    pub body: Body,
}

/// How an exchange broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// No connection: DNS, TCP or TLS.
    Connect,
    /// The connection broke, or what came over it is no HTTP.
    Reset,
    /// A connection from the pool was dead before the first byte of an
    /// answer: says nothing about the target.
    Stale,
}

/// The way to the providers.
pub trait Out: Send + Sync {
    /// One request and its answer.
    type Exchange: Exchange;

    /// Gets a connection to a target; `fresh` asks for one that is not from
    /// the pool.
    fn open(
        &self,
        target: &Target,
        fresh: bool,
    ) -> impl Future<Output = Result<Self::Exchange, Broken>> + Send;
}

/// One request and its answer.
pub trait Exchange: Send {
    /// Sends the request. Returns early where the answer's head comes before
    /// the whole request is sent.
    fn send(&mut self, request: &Outgoing<'_>) -> impl Future<Output = Result<(), Broken>> + Send;

    /// The answer's head; 1xx are passed over.
    fn head(&mut self) -> impl Future<Output = Result<Head, Broken>> + Send;

    /// The next piece of the answer's body; nothing at its end. An end that
    /// the framing did not announce is [`Broken::Reset`].
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>, Broken>> + Send;

    /// The answer has been read to its end: the connection may serve again.
    fn release(self) -> impl Future<Output = ()> + Send;
}

/// Why a client is not served on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The process ends and cannot wait for this answer.
    CutOff,
    /// The client has left, or its connection does not take any more.
    Left,
}

/// The client before commit: everything can still become something else.
pub trait Client: Send {
    /// The client after commit.
    type Committed: Committed;

    /// Ends when there is no reason to work on for it.
    fn gone(&mut self) -> impl Future<Output = Gone> + Send;

    /// Whether it is cut off: little time is left to tell it so.
    fn is_cut_off(&self) -> bool {
        false
    }

    /// Sends the answer's head: the way back is closed.
    fn commit(
        self,
        head: Head<Lines>,
    ) -> impl Future<Output = Result<Self::Committed, Gone>> + Send;

    /// Sends a whole answer or error.
    fn reply(
        self,
        head: Head<Lines>,
        body: Vec<Bytes>,
    ) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// The client after commit.
pub trait Committed: Send {
    /// Ends when there is no reason to work on for it.
    fn gone(&mut self) -> impl Future<Output = Gone> + Send;

    /// Whether it is cut off: little time is left to tell it so.
    fn is_cut_off(&self) -> bool {
        false
    }

    /// Sends the next bytes, now. Where it fails, nothing may follow them.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Ends the answer cleanly.
    fn end(self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Ends the answer so that nobody can take it for whole.
    fn break_off(self) -> impl Future<Output = ()> + Send;
}
