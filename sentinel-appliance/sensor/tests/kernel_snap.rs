//! Kernel snap: alerts of truncated bulk frames are those of complete frames, byte for byte.
//!
//! The program that runs in the kernel is run here over the golden captures, and over the corpus where there is one
//! (`SENTINEL_CORPUS`, or `../shared/corpus` beside the workspace).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sentinel_capture::Frame;
use sentinel_capture::file::{MAX_FRAME, Reader};
use sentinel_capture::write::{InterfaceId, PcapngWriter};
use sentinel_filter::{Packet, Program, content_snap};
use sentinel_units::LinkType;
use support::{golden, run, stderr, stdout};

/// Not by a print macro, whose output the test runner would hide.
fn say(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

/// Number of frames, and their bytes in full and after the kernel's cut.
#[derive(Debug, Default)]
struct Sums {
    frames: u64,
    whole: usize,
    kept: usize,
}

/// Writes the frames of a file as the kernel would cut them; returns false if it is no capture.
fn cut(from: &Path, to: &Path, sums: &mut Sums) -> bool {
    let Ok(mut reader) = Reader::open(File::open(from).unwrap()) else { return false };
    let mut writer = PcapngWriter::new(BufWriter::new(File::create(to).unwrap())).unwrap();
    let mut links: Vec<(LinkType, InterfaceId, Option<Program>)> = Vec::new();
    // A damaged file counts up to the damage.
    while let Ok(Some(frame)) = reader.next() {
        let index = links.iter().position(|(link, ..)| *link == frame.link).unwrap_or_else(|| {
            let interface = writer.add_interface("cut", frame.link, MAX_FRAME).unwrap();
            links.push((frame.link, interface, content_snap(frame.link)));
            links.len() - 1
        });
        let (_, interface, program) = links.get(index).unwrap();
        let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: frame.vlan };
        // Zero: the frame was cut when it was captured, which the kernel never gets.
        let keep = program.as_ref().map(|program| program.run(&packet)).filter(|keep| *keep > 0);
        let keep =
            keep.map_or(frame.bytes.len(), |keep| frame.bytes.len().min(usize::try_from(keep).unwrap()));
        sums.frames += 1;
        sums.whole += frame.bytes.len();
        sums.kept += keep;
        writer.write(*interface, &Frame { bytes: frame.bytes.get(..keep).unwrap(), ..frame }).unwrap();
    }
    writer.into_inner().into_inner().unwrap();
    true
}

fn view(file: &Path, view: &str) -> Option<String> {
    let output = run(&["read", file.to_str().unwrap(), view]);
    assert!(output.status.code().is_some(), "{}: {}", file.display(), stderr(&output));
    output.status.success().then(|| stdout(&output))
}

/// Compares the views of complete and cut frames of each file.
fn compare(files: &[PathBuf], views: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let cut_file = directory.path().join("cut.pcapng");
    let (mut sums, mut different, mut compared) = (Sums::default(), Vec::new(), 0);
    for file in files {
        if !cut(file, &cut_file, &mut sums) {
            continue;
        }
        for name in views {
            // A damaged file is read up to the damage, and its copy has none.
            let Some(whole) = view(file, name) else { continue };
            compared += 1;
            if Some(whole) != view(&cut_file, name) {
                different.push(format!("{} {name}", file.display()));
            }
        }
    }
    let Sums { frames, whole, kept } = sums;
    say(&format!("{compared} views of {frames} frames, {kept} of {whole} bytes kept"));
    assert!(different.is_empty(), "{different:#?}");
    assert!(compared > 50 && kept < whole);
}

#[test]
fn golden_alerts_and_records_are_those_of_complete_frames() {
    let captures = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = captures
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng"))
        .collect();
    compare(&files, &["--alerts", "--records"]);
}

#[test]
fn alerts_of_the_corpus_are_those_of_complete_frames() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let corpus = std::env::var_os("SENTINEL_CORPUS").map_or(beside, PathBuf::from);
    let Ok(table) = fs::read_to_string(corpus.join("SMOKE.tsv")) else {
        say(&format!("corpus suite skipped: no folder {}", corpus.display()));
        return;
    };
    let files: Vec<PathBuf> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .map(|file| corpus.join(file))
        .filter(|file| file.is_file())
        .collect();
    compare(&files, &["--alerts"]);
}
