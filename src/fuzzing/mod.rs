//! What the fuzz targets call. Not part of the library's interface: each
//! function takes any bytes and panics only where something is wrong with us.

mod config;
mod http1;
mod json_splice;
mod wire;

pub use config::{config, import};
pub use http1::http1_answer;
pub use json_splice::json_splice;
pub use wire::{answers, reset, rewrite, sse_chunks};
