//! The UCI syntax. The parser lives in a program crate, so its file is taken in here; it uses only std.
#![no_main]
#![allow(dead_code, reason = "only the parser is called here")]

#[path = "../../../sentinel-appliance/sensor/src/settings/uci.rs"]
mod uci;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Each statement uses up at least one byte.
    assert!(uci::parse(bytes).take(bytes.len() + 1).count() <= bytes.len());
});
