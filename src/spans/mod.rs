//! Requests as spans, for whoever collects traces by OpenTelemetry's protocol.
//!
//! A request that has ended is put into a [queue](Spans::end) as it is; what
//! is made of it ([`Batch`]) is made by whoever sends it, from the queue's
//! other end ([`Outlet`]). Nothing here waits, and nobody's answer does: where
//! the queue is full, the newest is let go and counted.
//!
//! No prompt, no answer, no key and no word of a provider's is in a span: names
//! of the configuration and of the request's list, categories and numbers.

mod answer;
mod batch;
mod queue;
mod span;
mod text;

#[cfg(test)]
mod tests;

pub use self::answer::{Pauses, Verdict, verdict};
pub use self::batch::{Batch, Clock};
pub use self::queue::{Filled, Outlet, Spans};
