//! Log images, changed logs, blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_ringlog::fuzzing::BODIES, bytes));
