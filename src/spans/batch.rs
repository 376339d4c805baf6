//! One export: the body of a request to a collector, written span by span.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::queue::Told;
use super::span;
use super::text::Attributes;
use crate::config::Otlp;

/// Spans of one export; OpenTelemetry's own exporters send as many.
const MOST: usize = 512;

/// What stands behind the spans.
const TAIL: &[u8] = b"]}]}]}";

/// Both clocks, read at once: they tell when something was by the wall's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The one that never goes back.
    pub now: Instant,
    /// The wall's.
    pub wall: SystemTime,
}

impl Clock {
    /// Nanoseconds since 1970.
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        let wall = self.wall.duration_since(SystemTime::UNIX_EPOCH);
        let wall = wall.unwrap_or(Duration::ZERO);
        let ago = self.now.saturating_duration_since(at);
        u64::try_from(wall.saturating_sub(ago).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One export: an `ExportTraceServiceRequest` with one resource.
#[derive(Debug)]
pub struct Batch {
    body: Vec<u8>,
    /// Where the spans begin.
    head: usize,
    spans: usize,
}

impl Batch {
    /// With nothing in it yet.
    pub fn new(settings: &Otlp) -> Self {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        let mut body = br#"{"resourceSpans":[{"resource":{"#.to_vec();
        let mut resource = Attributes::begin(&mut body);
        resource.text("service.name", &settings.service_name);
        resource.text("service.version", VERSION);
        for (name, value) in &settings.resource {
            resource.text(name, value);
        }
        resource.end();
        let scope = format!(
            r#"}},"scopeSpans":[{{"scope":{{"name":"standin","version":"{VERSION}"}},"spans":["#
        );
        body.extend_from_slice(scope.as_bytes());
        Self {
            head: body.len(),
            body,
            spans: 0,
        }
    }

    /// How many spans are in it.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Whether a request's spans fit in. One alone always does.
    pub(super) fn has_room(&self, told: &Told) -> bool {
        self.spans == 0 || self.spans + span::count(told) <= MOST
    }

    pub(super) fn add(&mut self, told: &Told, clock: &Clock) {
        if self.spans > 0 {
            self.body.push(b',');
        }
        span::write(&mut self.body, told, clock);
        self.spans += span::count(told);
    }

    /// The whole body, as `application/json`; the batch is empty again.
    pub fn take(&mut self) -> Bytes {
        let mut body = Vec::with_capacity(self.body.len() + TAIL.len());
        body.extend_from_slice(&self.body);
        body.extend_from_slice(TAIL);
        self.body.truncate(self.head);
        self.spans = 0;
        body.into()
    }
}
