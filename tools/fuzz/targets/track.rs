//! Every state machine over the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_track::fuzzing::BODIES, bytes));
