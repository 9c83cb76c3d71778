//! Fuzz bodies of all crates, under the names of their libFuzzer targets in `tools/fuzz/targets`.

use std::path::{Path, PathBuf};

/// The UCI parser. It lives in a program crate, so its file is taken in here; it uses only std.
#[path = "../../../sentinel-appliance/sensor/src/settings/uci.rs"]
#[cfg_attr(test, expect(dead_code, reason = "helpers of the tests of another crate"))]
mod uci;

/// Bodies that seal, open or shake hands for each input, and what part of a share of the inputs they get: about what
/// makes a share take the same time for all. A body that only parses has a whole share.
const COSTLY: &[(&str, u64)] = &[
    ("capture_file", 8),
    ("expression", 16),
    ("flow_records", 4),
    ("fragments", 16),
    ("open_anything", 128),
    ("open_changed", 512),
    ("open_evidence", 128),
    ("settings", 8),
    ("stranger", 256),
    ("streams", 16),
    ("unpack", 32),
];
/// Weight of a whole share.
const WHOLE: u64 = 512;

/// A function that takes any bytes and must not panic.
pub(crate) struct Body {
    /// libFuzzer target that calls it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the list against the targets"))]
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
    /// Folder of its samples.
    pub(crate) corpus: PathBuf,
}

type Named = (&'static str, fn(&[u8]));

/// Target, crate folder, bodies.
const TARGETS: &[(&str, &str, &[Named])] = &[
    ("alert", "alert", sentinel_alert::fuzzing::BODIES),
    ("capture", "capture", sentinel_capture::fuzzing::BODIES),
    ("dissect", "dissect", sentinel_dissect::fuzzing::BODIES),
    ("filter", "filter", sentinel_filter::fuzzing::BODIES),
    ("ringlog", "ringlog", sentinel_ringlog::fuzzing::BODIES),
    ("settings", "sensor", &[("settings", settings)]),
    ("track", "track", sentinel_track::fuzzing::BODIES),
    ("uplink", "uplink", sentinel_uplink::fuzzing::BODIES),
];

impl Body {
    /// Weight of this body when a number of inputs is divided.
    pub(crate) fn weight(&self) -> u64 {
        let divisor = COSTLY.iter().find(|(name, _)| *name == self.name).map_or(1, |(_, divisor)| *divisor);
        WHOLE / divisor
    }
}

/// Reads a settings file; each statement uses up at least one byte.
fn settings(bytes: &[u8]) {
    assert!(uci::parse(bytes).take(bytes.len() + 1).count() <= bytes.len());
}

pub(crate) fn all() -> Vec<Body> {
    let device = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sentinel-appliance");
    let bodies = TARGETS.iter().flat_map(|(target, folder, bodies)| {
        let corpora = device.join(folder).join("tests/fuzz-corpus");
        bodies.iter().map(move |(name, run)| Body { target, name, run: *run, corpus: corpora.join(name) })
    });
    bodies.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::structure::structure;

    #[test]
    fn every_libfuzzer_target_is_here() {
        let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
        let files: BTreeSet<String> = fs::read_dir(targets)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let here: BTreeSet<String> = all().iter().map(|body| body.target.to_owned()).collect();
        assert_eq!(files, here);
    }

    #[test]
    fn costly_bodies_and_structures_name_bodies() {
        let known: BTreeSet<&str> = all().iter().map(|body| body.name).collect();
        for (name, divisor) in COSTLY {
            assert!(known.contains(name) && WHOLE.is_multiple_of(*divisor), "{name}");
        }
        // All but those of which nothing is known: sealed or compact binary formats.
        let plain = known.iter().filter(|name| structure(name).is_plain());
        let expected = ["message", "open_anything", "open_changed", "open_evidence", "parse_head"];
        let expected: Vec<&str> =
            expected.into_iter().chain(["stranger", "token", "unpack", "wire"]).collect();
        assert_eq!(plain.copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_corpus_has_a_body() {
        let known: BTreeSet<PathBuf> = all().into_iter().map(|body| body.corpus).collect();
        let folders: BTreeSet<&Path> = known.iter().filter_map(|corpus| corpus.parent()).collect();
        for folder in folders {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                assert!(path.is_file() || known.contains(&path), "{}: no body", path.display());
            }
        }
    }
}
