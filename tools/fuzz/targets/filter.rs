//! Filter expressions and classic BPF programs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_filter::fuzzing::BODIES {
        body(bytes);
    }
});
