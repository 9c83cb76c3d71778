//! Bytes that frames take in a `TPACKET_V3` ring: uncut, and cut by the kernel to the part that the sensor reads.
//!
//! Runs the sensor's kernel program over a capture in user space; `live` measures its effect on the loss-free rate.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use sentinel_capture::file::Reader;
use sentinel_filter::{Packet, Program, content_snap};
use sentinel_units::LinkType;
use serde_json::json;

use crate::report::{Report, per};

/// Offset of an Ethernet frame in its ring slot: `macoff` of `tpacket_rcv` in `net/packet/af_packet.c`.
const FRAME_OFFSET: u64 = 82;
/// Alignment of ring slots, `V3_ALIGNMENT` in the same file.
const ALIGNMENT: u64 = 8;
const MIB: u64 = 1 << 20;

/// Sums over a capture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sums {
    frames: u64,
    /// Captured bytes of the frames.
    bytes: u64,
    /// Ring bytes of the uncut frames.
    uncut_ring: u64,
    /// Ring bytes of the frames cut by content.
    cut_ring: u64,
    /// Number of frames that the program shortens.
    cut_frames: u64,
}

impl Sums {
    fn add(&mut self, program: &Program, packet: &Packet<'_>, snap_bytes: u64) {
        let length = u64::try_from(packet.bytes.len()).unwrap_or(u64::MAX);
        let uncut = length.min(snap_bytes);
        let cut = uncut.min(program.run(packet).into());
        self.frames += 1;
        self.bytes += length;
        self.uncut_ring += slot(uncut);
        self.cut_ring += slot(cut);
        self.cut_frames += u64::from(cut < uncut);
    }
}

/// Ring bytes of a frame of `length` bytes.
const fn slot(length: u64) -> u64 {
    (FRAME_OFFSET + length).next_multiple_of(ALIGNMENT)
}

/// Measures one capture with frames cut to `snap_bytes` at most in either case.
pub(crate) fn measure(name: &str, file: &Path, snap_bytes: u32, report: &Report) -> Result<()> {
    let program = content_snap(LinkType::ETHERNET).context("no program for Ethernet")?;
    let in_file = || file.display().to_string();
    let mut reader = Reader::open(File::open(file).with_context(in_file)?).with_context(in_file)?;
    let mut sums = Sums::default();
    while let Some(frame) = reader.next().with_context(in_file)? {
        if frame.link == LinkType::ETHERNET {
            let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: None };
            sums.add(&program, &packet, snap_bytes.into());
        }
    }
    let Sums { frames, bytes, uncut_ring, cut_ring, cut_frames } = sums;
    let (each, each_cut) = (per(uncut_ring, frames), per(cut_ring, frames));
    eprintln!("{name}: {each} ring bytes per frame, {each_cut} cut by content, {frames} frames");
    report.line(json!({
        "bench": "snap",
        "capture": name,
        "frames": frames,
        "bytes_per_frame": per(bytes, frames),
        "ring_bytes_per_frame": each,
        "ring_bytes_per_frame_cut": each_cut,
        "frames_cut": cut_frames,
        "frames_in_1_mib": MIB * frames / uncut_ring.max(1),
        "frames_in_1_mib_cut": MIB * frames / cut_ring.max(1),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_trafficgen::stream::Traffic;

    #[test]
    fn bulk_segments_are_cut_and_dns_messages_are_not() {
        let program = content_snap(LinkType::ETHERNET).unwrap();
        let sums = |traffic: Traffic| {
            let mut sums = Sums::default();
            for frame in traffic.frames(300) {
                let wire_len = u32::try_from(frame.bytes.len()).unwrap();
                sums.add(&program, &Packet { bytes: &frame.bytes, wire_len, vlan: None }, 1_600);
            }
            sums
        };
        let (bulk, names) = (sums(Traffic::Bulk), sums(Traffic::UniqueDns));
        assert!(bulk.cut_frames >= 190 && bulk.cut_ring * 3 < bulk.uncut_ring, "{bulk:?}");
        assert!(names.cut_frames == 0 && names.cut_ring == names.uncut_ring, "{names:?}");
    }

    #[test]
    fn slots_are_aligned() {
        assert_eq!((slot(60), slot(1_514), slot(46)), (144, 1_600, 128));
    }
}
