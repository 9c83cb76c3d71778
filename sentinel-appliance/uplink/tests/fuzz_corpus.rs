//! Committed corpus and mutations of it through the fuzz bodies.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../../dissect/tests/replay/mod.rs"]
mod replay;

use sentinel_uplink::fuzzing::BODIES;

#[test]
fn the_corpus_and_all_its_prefixes_hold() {
    replay::corpus_and_all_prefixes(BODIES);
}

#[test]
fn mutations_of_the_corpus_hold() {
    replay::mutations(BODIES, 2_000);
}

#[test]
fn every_corpus_directory_has_a_body() {
    replay::every_directory_has_a_body(BODIES);
}
