//! What the fuzz targets call. Not part of the library's interface: each
//! function takes any bytes and panics only where something is wrong with us.

mod config;
mod http1;
mod journal;
mod json_splice;
mod requests;
mod wire;

pub use config::{config, import};
pub use http1::http1_answer;
pub use journal::journal;
pub use json_splice::json_splice;
pub use requests::http1_request;
pub use wire::{answers, reset, rewrite, sse_chunks};
