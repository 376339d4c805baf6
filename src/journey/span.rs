//! The span that a request is in a trace, and those of its attempts.

use http::{HeaderName, HeaderValue};

use crate::wire::{Lines, TRACEPARENT, TraceParent};

/// `tracestate`: what others have to say of the same trace.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// From one attempt's id to the next: even, so that all of them are odd as the
/// request's own is, and never 0; and so far apart that they do not look alike.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15 << 1;

/// Values of a trace id's last 56 bits, by which is decided whether a trace
/// is recorded: those are random (W3C trace context level 2, section 2.3.1).
const SPREAD: u64 = 1 << 56;

/// The span that a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace; never 0.
    pub trace: u128,
    /// The request's own id in it; always odd, so never 0.
    pub id: u64,
    /// The client's span, where it said one.
    pub parent: Option<u64>,
    /// Whether it is exported.
    pub is_sampled: bool,
}

impl Span {
    /// Goes on with the client's trace, or begins one: `dice` gives random
    /// bits, and `ratio`, from 0 to 1, says how many of those that begin here
    /// are recorded. The same trace has the same answer everywhere.
    pub fn begin(client: Option<TraceParent>, mut dice: impl FnMut() -> u64, ratio: f64) -> Self {
        let id = dice() | 1;
        if let Some(parent) = client {
            return Self {
                trace: parent.trace,
                id,
                parent: Some(parent.span),
                is_sampled: parent.is_sampled,
            };
        }
        let low = dice().max(1);
        Self {
            trace: u128::from(dice()) << 64 | u128::from(low),
            id,
            parent: None,
            is_sampled: is_within(low, ratio),
        }
    }

    /// As an attempt says it to its provider. The attempts' ids follow from
    /// the request's, so none has to be kept.
    pub fn attempt(&self, turn: u32) -> TraceParent {
        let step = STEP.wrapping_mul(u64::from(turn) + 1);
        TraceParent {
            trace: self.trace,
            span: self.id.wrapping_add(step),
            is_sampled: self.is_sampled,
        }
    }

    /// The same as a header.
    pub fn header(&self, turn: u32) -> (HeaderName, HeaderValue) {
        (TRACEPARENT, self.attempt(turn).value())
    }

    /// As the request itself would say it.
    pub fn own(&self) -> TraceParent {
        TraceParent {
            trace: self.trace,
            span: self.id,
            is_sampled: self.is_sampled,
        }
    }

    /// Takes out of a request's headers what an attempt's own span replaces.
    /// What others say of a trace that is not gone on with means nothing in
    /// another.
    pub fn clear(&self, headers: &mut Lines) {
        headers.remove(&TRACEPARENT);
        if self.parent.is_none() {
            headers.remove(&TRACESTATE);
        }
    }
}

/// Whether a trace is among this part of all, by its random bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "from 0 to 2^56, which a double holds"
)]
fn is_within(random: u64, ratio: f64) -> bool {
    // What is left out lies below, as OpenTelemetry's samplers have it.
    let threshold = ((1.0 - ratio) * SPREAD as f64) as u64;
    random % SPREAD >= threshold
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderValue;

    use super::*;

    fn dice() -> impl FnMut() -> u64 {
        let mut last = 7_u64;
        move || {
            last = last
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            last ^ (last >> 32)
        }
    }

    const CLIENT: TraceParent = TraceParent {
        trace: 5,
        span: 6,
        is_sampled: false,
    };

    #[test]
    fn a_client_s_trace_goes_on_as_it_says() {
        for is_sampled in [false, true] {
            let client = TraceParent {
                is_sampled,
                ..CLIENT
            };
            for ratio in [0.0, 1.0] {
                let span = Span::begin(Some(client), dice(), ratio);
                assert_eq!((span.trace, span.parent), (5, Some(6)));
                assert_eq!(span.is_sampled, is_sampled);
                assert!(span.id != 0 && span.id != 6);
            }
        }
    }

    #[test]
    fn of_those_that_begin_here_a_part_is_recorded() {
        let mut dice = dice();
        for (ratio, least, most) in [(0.0, 0, 0), (0.25, 2300, 2700), (1.0, 10_000, 10_000)] {
            let mut sampled = 0;
            for _ in 0..10_000 {
                let span = Span::begin(None, &mut dice, ratio);
                assert!(span.trace != 0 && span.trace >> 64 != 0 && span.parent.is_none());
                sampled += u32::from(span.is_sampled);
                // Whoever asks again by the trace alone hears the same.
                #[expect(clippy::cast_possible_truncation, reason = "the low half")]
                let low = span.trace as u64;
                assert_eq!(is_within(low, ratio), span.is_sampled);
            }
            assert!((least..=most).contains(&sampled), "{ratio}: {sampled}");
        }
        assert!(!is_within(SPREAD - 1, 0.0) && is_within(0, 1.0));
    }

    #[test]
    fn ids_are_never_zero_and_never_the_same() {
        let all_zero = Span::begin(None, || 0, 1.0);
        assert!(all_zero.trace != 0 && all_zero.id != 0);
        for id in [1, 7, STEP.wrapping_neg() | 1, u64::MAX] {
            let span = Span { id, ..all_zero };
            let mut ids = HashSet::from([id]);
            for turn in 0..1000 {
                let attempt = span.attempt(turn);
                assert!(attempt.span != 0 && ids.insert(attempt.span), "{id} {turn}");
                assert_eq!(attempt.trace, span.trace);
            }
        }
    }

    #[test]
    fn what_others_say_goes_on_with_its_trace_only() {
        const OTHER: HeaderName = HeaderName::from_static("x-other");
        let mut headers = Lines::default();
        for name in [TRACEPARENT, TRACESTATE, OTHER] {
            headers.push(name, HeaderValue::from_static("a"));
        }
        let mut own = headers.clone();
        Span::begin(Some(CLIENT), dice(), 1.0).clear(&mut headers);
        let left = |name| headers.contains(&name);
        assert!(!left(TRACEPARENT) && left(TRACESTATE) && left(OTHER));
        Span::begin(None, dice(), 1.0).clear(&mut own);
        let left = |name| own.contains(&name);
        assert!(!left(TRACEPARENT) && !left(TRACESTATE) && left(OTHER));
    }
}
