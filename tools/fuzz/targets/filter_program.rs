//! Classic BPF programs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sentinel_filter::fuzzing::program(bytes));
