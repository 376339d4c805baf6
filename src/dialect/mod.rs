//! What providers' wire formats are like: where a request goes, and what an
//! answer, an event or an error says.
//!
//! Pure: bytes and headers in, meaning out.

mod address;
mod codes;
mod error;
mod event;
mod kind;
mod plain;
mod said;
mod usage;

pub use address::{api_key_header, path};
pub use error::{ErrorSays, in_200, verdict};
pub use event::{Event, Worth};
pub use kind::Kind;
pub use plain::Plain;
pub use usage::{service_tier, tokens};
