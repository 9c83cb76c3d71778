//! Capture files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_capture::fuzzing::BODIES, bytes));
