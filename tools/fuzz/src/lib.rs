//! Selection of the bodies that a libFuzzer target runs.
//!
//! `SENTINEL_FUZZ_BODY` names one, so that its inputs are counted and its corpus is its own; without it a target runs all
//! bodies of its crate over the same bytes.

use std::sync::LazyLock;

static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SENTINEL_FUZZ_BODY").ok());

/// Runs the chosen bodies.
///
/// # Panics
/// If a body does, or if none has the name chosen: a run of nothing must not look like one without faults.
pub fn run(bodies: &[(&str, fn(&[u8]))], bytes: &[u8]) {
    let mut chosen = bodies.iter().filter(|(name, _)| CHOSEN.as_ref().is_none_or(|wanted| wanted == name)).peekable();
    assert!(chosen.peek().is_some(), "no body {:?} in this target", *CHOSEN);
    for (_, body) in chosen {
        body(bytes);
    }
}
