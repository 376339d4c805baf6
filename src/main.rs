//! The `standin` binary: everything is in the library.

use std::process::ExitCode;

/// Gives memory back after a burst of large bodies.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    standin::cli::run()
}
