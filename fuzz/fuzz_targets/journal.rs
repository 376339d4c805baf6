#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standin::fuzzing::journal(data));
