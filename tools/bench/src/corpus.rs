//! Merge of many small captures into one: mixed traffic that was recorded, not generated.
//!
//! [`CONCURRENT`] captures are replayed at a time, so that connections overlap as on a busy wire; when one ends, the next
//! begins. Each keeps its own gaps, cut to [`MAX_GAP`]. All of them are repeated, with later times, until there are enough
//! packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sentinel_capture::Frame;
use sentinel_capture::file::{MAX_FRAME, Reader};
use sentinel_capture::write::PcapWriter;
use sentinel_trafficgen::stream::WRITE_BYTES;
use sentinel_units::{LinkType, Timestamp};

/// Captures that are replayed at the same time.
const CONCURRENT: usize = 16;
/// Longest gap between two frames of a capture, and the gap between two captures.
const MAX_GAP: Duration = Duration::from_millis(200);
/// Time of the first frame.
const START: Timestamp = Timestamp::from_parts(1_700_000_000, 0);
/// Folders of a corpus with captures that were not recorded on a network.
const EXCLUDED_FOLDERS: [&str; 3] = ["crafted", "fuzz", "lab"];

/// Number of captures merged, and the packets and bytes written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merged {
    pub(crate) captures: usize,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Frame of a capture, with its time since the capture's first frame.
struct ReplayedFrame {
    offset: Duration,
    wire_len: u32,
    bytes: Box<[u8]>,
}

/// Writes the Ethernet captures below `directory` into `target`, repeated until it has at least `min_packets`.
pub(crate) fn merge(directory: &Path, min_packets: u64, target: &Path) -> Result<Merged> {
    let mut files = Vec::new();
    find(directory, &mut files)?;
    files.sort();
    let captures: Vec<Vec<ReplayedFrame>> =
        files.iter().filter_map(|file| capture(file)).filter(|frames| !frames.is_empty()).collect();
    ensure!(!captures.is_empty(), "{}: no Ethernet capture", directory.display());
    let file = File::create(target).with_context(|| target.display().to_string())?;
    let mut writer =
        PcapWriter::new(BufWriter::with_capacity(WRITE_BYTES, file), LinkType::ETHERNET, MAX_FRAME)?;
    let mut merged = Merged { captures: captures.len(), packets: 0, bytes: 0 };
    let mut begin = START;
    while merged.packets < min_packets.max(1) {
        begin = replay(&captures, begin, |at, frame| {
            merged.packets += 1;
            merged.bytes += u64::try_from(frame.bytes.len()).unwrap_or(0);
            writer.write(&Frame {
                at,
                wire_len: frame.wire_len,
                link: LinkType::ETHERNET,
                vlan: None,
                vlan_type: Frame::CUSTOMER_TAG,
                interface: 0,
                bytes: &frame.bytes,
            })
        })?;
    }
    writer.into_inner().into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(merged)
}

/// Replays every capture once, from `begin` on, and returns the time at which the next repetition may begin.
fn replay(
    captures: &[Vec<ReplayedFrame>],
    begin: Timestamp,
    mut write: impl FnMut(Timestamp, &ReplayedFrame) -> std::io::Result<()>,
) -> Result<Timestamp> {
    let mut waiting = captures.iter();
    // Captures under way: the time at which each began, and its remaining frames.
    let mut replays: Vec<(Timestamp, std::slice::Iter<'_, ReplayedFrame>)> = Vec::new();
    // Time of the next frame of each replay, earliest first.
    let mut next = BinaryHeap::new();
    let mut last = begin;
    while replays.len() < CONCURRENT {
        let Some(capture) = waiting.next() else { break };
        next.push(Reverse((begin, replays.len())));
        replays.push((begin, capture.iter()));
    }
    while let Some(Reverse((at, index))) = next.pop() {
        let Some((began, frames)) = replays.get_mut(index) else { continue };
        if let Some(frame) = frames.next() {
            write(at, frame)?;
            last = at;
        }
        if frames.as_slice().is_empty() {
            let Some(capture) = waiting.next() else { continue };
            *began = at.after(MAX_GAP);
            *frames = capture.iter();
        }
        if let Some(frame) = frames.as_slice().first() {
            next.push(Reverse((began.after(frame.offset), index)));
        }
    }
    Ok(last.after(MAX_GAP))
}

/// Collects the files below `directory`, excluded folders left out.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            let is_excluded =
                path.file_name().is_some_and(|name| EXCLUDED_FOLDERS.iter().any(|folder| name == *folder));
            if !is_excluded {
                find(&path, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Frames of an Ethernet capture, up to the first damaged record; `None` for any other file.
fn capture(file: &Path) -> Option<Vec<ReplayedFrame>> {
    let mut reader = Reader::open(File::open(file).ok()?).ok()?;
    let mut frames = Vec::new();
    let (mut before, mut offset) = (None, Duration::ZERO);
    while let Ok(Some(frame)) = reader.next() {
        if frame.link != LinkType::ETHERNET {
            return None;
        }
        offset += frame.at.since(before.unwrap_or(frame.at)).min(MAX_GAP);
        before = Some(frame.at);
        frames.push(ReplayedFrame { offset, wire_len: frame.wire_len, bytes: frame.bytes.into() });
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, link: LinkType, times_ms: &[u64]) {
        let mut writer = PcapWriter::new(File::create(path).unwrap(), link, MAX_FRAME).unwrap();
        for at_ms in times_ms {
            let at = Timestamp::from_micros(at_ms * 1_000);
            let bytes = &[u8::try_from(*at_ms % 256).unwrap(); 60];
            writer
                .write(&Frame {
                    at,
                    wire_len: 1_500,
                    link,
                    vlan: None,
                    vlan_type: Frame::CUSTOMER_TAG,
                    interface: 0,
                    bytes,
                })
                .unwrap();
        }
    }

    #[test]
    fn captures_overlap_and_repeat_in_time_order() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("in");
        fs::create_dir_all(folder.join("fuzz")).unwrap();
        write(&folder.join("a.pcap"), LinkType::ETHERNET, &[1_000, 1_010, 90_000]);
        write(&folder.join("b.pcap"), LinkType::ETHERNET, &[5_005, 5_010]);
        write(&folder.join("raw.pcap"), LinkType::RAW, &[1, 2, 3]);
        write(&folder.join("fuzz").join("c.pcap"), LinkType::ETHERNET, &[1, 2, 3]);
        fs::write(folder.join("README"), "no capture").unwrap();
        let target = directory.path().join("all.pcap");
        let merged = merge(&folder, 8, &target).unwrap();
        assert_eq!((merged.captures, merged.packets, merged.bytes), (2, 10, 600));
        let mut reader = Reader::open(File::open(&target).unwrap()).unwrap();
        let mut times = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            assert_eq!((frame.wire_len, frame.bytes.len()), (1_500, 60));
            times.push(frame.at.since(START).as_millis());
        }
        assert_eq!(times, [0, 0, 5, 10, 210, 410, 410, 415, 420, 620]);
        assert!(merge(&folder.join("fuzz").join("none"), 1, &target).is_err());
    }
}
