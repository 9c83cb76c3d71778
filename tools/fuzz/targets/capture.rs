//! Capture files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_capture::fuzzing::BODIES {
        body(bytes);
    }
});
