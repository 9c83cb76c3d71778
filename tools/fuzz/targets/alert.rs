//! Alerts from the wire.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_alert::fuzzing::BODIES, bytes));
