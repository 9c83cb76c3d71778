//! Log images.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_ringlog::fuzzing::open_anything(bytes));
