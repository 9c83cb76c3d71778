//! Whatever a stranger sends to a collector.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_uplink::fuzzing::stranger(bytes));
