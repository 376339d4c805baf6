//! The symbols that `flate2` expects of `libz-ng-sys`, from zlib.
//!
//! pingora-core asks `flate2` for its zlib-ng backend, whose build script runs
//! cmake. A fresh machine has none. Standin compresses nothing, so which zlib
//! is linked does not matter to it.
pub use libz_sys::*;
