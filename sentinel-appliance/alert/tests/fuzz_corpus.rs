//! Committed corpus and mutations of it through the fuzz bodies.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../dissect/tests/replay/mod.rs"]
mod replay;

use sentinel_alert::fuzzing::BODIES;

replay::corpus_tests!(BODIES, 4_000);
