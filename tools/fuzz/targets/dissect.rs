//! Every parser over the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_dissect::fuzzing::BODIES {
        body(bytes);
    }
});
