//! What the fuzz targets call. Not part of the library's interface.

mod config;

pub use config::config;
