//! The committed corpus, and mutations of it, through the fuzz bodies of every parser.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod replay;

use sentinel_dissect::fuzzing::BODIES;

replay::corpus_tests!(BODIES, 6_000);
