//! Capture files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_capture::fuzzing::capture_file(bytes));
