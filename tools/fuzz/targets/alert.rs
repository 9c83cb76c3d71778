//! Alerts from the wire.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (_, body) in sentinel_alert::fuzzing::BODIES {
        body(bytes);
    }
});
