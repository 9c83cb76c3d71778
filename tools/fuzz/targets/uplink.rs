//! Messages, tokens, and bytes of a peer that is not known.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_uplink::fuzzing::BODIES, bytes));
