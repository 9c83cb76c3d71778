//! Every state machine over the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_track::fuzzing::BODIES {
        body(bytes);
    }
});
