//! Filter expressions and classic BPF programs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_fuzz::run(sentinel_filter::fuzzing::BODIES, bytes));
