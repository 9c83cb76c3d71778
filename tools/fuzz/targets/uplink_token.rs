//! Enrollment tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_uplink::fuzzing::token(bytes));
