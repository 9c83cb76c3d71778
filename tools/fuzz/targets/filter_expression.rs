//! Filter expressions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_filter::fuzzing::expression(bytes));
