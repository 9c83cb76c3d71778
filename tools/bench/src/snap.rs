//! What frames take of a `TPACKET_V3` ring: whole, and cut by the kernel to what the sensor reads of them.
//!
//! The same program that the sensor gives the kernel runs here over a capture; `live` shows what it is good for.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use sentinel_capture::file::Reader;
use sentinel_filter::{Packet, Program, content_snap};
use sentinel_units::LinkType;
use serde_json::json;

use crate::report::{Report, per};

/// Where a frame begins behind its place in the ring, and what places are multiples of: for Ethernet, `macoff` of
/// `tpacket_rcv` and `V3_ALIGNMENT` in `net/packet/af_packet.c`.
const BEFORE: u64 = 82;
const ALIGNMENT: u64 = 8;
const MIB: u64 = 1 << 20;

/// Sums over a capture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sums {
    frames: u64,
    /// Of frames, as captured.
    bytes: u64,
    whole: u64,
    content: u64,
    /// Frames that were cut.
    cut: u64,
}

impl Sums {
    fn add(&mut self, program: &Program, packet: &Packet<'_>, snap_bytes: u64) {
        let length = u64::try_from(packet.bytes.len()).unwrap_or(u64::MAX);
        let whole = length.min(snap_bytes);
        let kept = whole.min(program.run(packet).into());
        self.frames += 1;
        self.bytes += length;
        self.whole += place(whole);
        self.content += place(kept);
        self.cut += u64::from(kept < whole);
    }
}

/// What a frame of so many bytes takes.
const fn place(length: u64) -> u64 {
    (BEFORE + length).next_multiple_of(ALIGNMENT)
}

/// Measures one capture, of which no frame would be kept longer than `snap_bytes` in any case.
pub(crate) fn measure(name: &str, file: &Path, snap_bytes: u32, report: &Report) -> Result<()> {
    let program = content_snap(LinkType::ETHERNET).context("no program for Ethernet")?;
    let in_file = |error| anyhow!("{}: {error}", file.display());
    let mut reader = Reader::open(File::open(file)?).map_err(in_file)?;
    let mut sums = Sums::default();
    while let Some(frame) = reader.next().map_err(in_file)? {
        if frame.link == LinkType::ETHERNET {
            let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: None };
            sums.add(&program, &packet, snap_bytes.into());
        }
    }
    let Sums { frames, bytes, whole, content, cut } = sums;
    let (each, each_cut) = (per(whole, frames), per(content, frames));
    eprintln!("{name}: {each} bytes of the ring for a frame, {each_cut} cut by content, of {frames} frames");
    report.line(json!({
        "bench": "snap",
        "capture": name,
        "frames": frames,
        "bytes_per_frame": per(bytes, frames),
        "ring_bytes_per_frame": each,
        "ring_bytes_per_frame_cut": each_cut,
        "frames_cut": cut,
        "frames_in_1_mib": MIB * frames / whole.max(1),
        "frames_in_1_mib_cut": MIB * frames / content.max(1),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Traffic;

    #[test]
    fn bulk_is_cut_and_names_are_not() {
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
        assert!(bulk.cut >= 190 && bulk.content * 3 < bulk.whole, "{bulk:?}");
        assert!(names.cut == 0 && names.content == names.whole, "{names:?}");
    }

    #[test]
    fn places_are_aligned() {
        assert_eq!((place(60), place(1_514), place(46)), (144, 1_600, 128));
    }
}
