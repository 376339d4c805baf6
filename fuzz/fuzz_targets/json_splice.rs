//! Any bytes as a request's body: see `standin::fuzzing::json_splice`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| standin::fuzzing::json_splice(data));
