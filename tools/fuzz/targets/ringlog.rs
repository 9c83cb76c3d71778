//! Log images, changed logs, blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_ringlog::fuzzing::BODIES {
        body(bytes);
    }
});
