//! Bytes on the wire: JSON text, server-sent events, headers, reset times.
//!
//! Pure functions and small machines over byte slices: no clock, no socket,
//! no tree of anything.

pub mod drill;
mod edits;
pub mod headers;
pub mod http1;
pub mod json;
mod lines;
mod moment;
mod peek;
mod quota;
pub mod reset;
pub mod rewrite;
mod splice;
pub mod sse;
mod trace;
mod window;

pub use edits::Edits;
pub use lines::Lines;
pub use peek::{Peek, PeekError};
pub use quota::{Left, Quota};
pub use splice::{Body, Splice, splice};
pub use trace::{TRACEPARENT, TraceParent};
