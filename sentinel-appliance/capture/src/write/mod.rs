//! Writers of capture files: pcap and pcapng.
//!
//! Little-endian and with nanoseconds on every machine, so that the same frames give the same file everywhere.

mod counting;
mod pcap;
mod pcapng;

use sentinel_units::LinkType;

use crate::Frame;
use crate::file::MAX_FRAME;

pub use pcap::PcapWriter;
pub use pcapng::{InterfaceId, PcapngWriter};

/// A frame as it is written: with the VLAN tag that the kernel removed put back into its bytes.
struct TaggedFrame<'f> {
    /// The bytes before the tag, which are all if there is none.
    before: &'f [u8],
    tag: Option<[u8; 4]>,
    after: &'f [u8],
}

impl<'f> TaggedFrame<'f> {
    /// Only Ethernet has a place for the tag: behind the two addresses (IEEE 802.1Q).
    fn new(frame: &Frame<'f>) -> Self {
        const ADDRESSES_LEN: usize = 12;
        match (frame.vlan, frame.link, frame.bytes.split_at_checked(ADDRESSES_LEN)) {
            (Some(tag), LinkType::ETHERNET, Some((before, after))) => {
                let [high, low] = tag.to_be_bytes();
                let [first, second] = frame.vlan_type.to_be_bytes();
                Self { before, tag: Some([first, second, high, low]), after }
            }
            _ => Self { before: frame.bytes, tag: None, after: &[] },
        }
    }

    fn tag(&self) -> &[u8] {
        self.tag.as_ref().map_or(&[], <[u8; 4]>::as_slice)
    }

    /// Length on the wire with the tag, from that without.
    fn wire_len(&self, without_tag: u32) -> u32 {
        without_tag.saturating_add(u32::try_from(self.tag().len()).unwrap_or(0))
    }

    /// Bytes to write, at most [`MAX_FRAME`].
    fn captured_len(&self) -> u32 {
        let length = self.before.len() + self.tag().len() + self.after.len();
        u32::try_from(length).unwrap_or(u32::MAX).min(MAX_FRAME)
    }

    /// Appends the first [`TaggedFrame::captured_len`] bytes of the frame to `out`.
    fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len().saturating_add(usize::try_from(self.captured_len()).unwrap_or(usize::MAX));
        for part in [self.before, self.tag(), self.after] {
            out.extend_from_slice(part);
        }
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Reader;
    use sentinel_units::Timestamp;

    const BYTES: [u8; 16] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0, 0x45, 0];

    fn frame(vlan: Option<u16>) -> Frame<'static> {
        Frame {
            at: Timestamp::from_nanos(1_700_000_000_123_456_789),
            wire_len: 1_500,
            link: LinkType::ETHERNET,
            vlan,
            vlan_type: Frame::CUSTOMER_TAG,
            interface: 3,
            bytes: &BYTES,
        }
    }

    #[test]
    fn frames_are_read_back_as_written() {
        let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
        let mut pcapng = PcapngWriter::new(Vec::new()).unwrap();
        let _other = pcapng.add_interface("br-lan", LinkType::RAW, 96).unwrap();
        let interface = pcapng.add_interface("eth0", LinkType::ETHERNET, MAX_FRAME).unwrap();
        for _ in 0..2 {
            pcap.write(&frame(None)).unwrap();
            pcapng.write(interface, &frame(None)).unwrap();
        }
        for (file, number) in [(pcap.into_inner(), 0), (pcapng.into_inner(), 1)] {
            let mut reader = Reader::open(file.as_slice()).unwrap();
            for _ in 0..2 {
                let read = reader.next().unwrap().unwrap();
                assert_eq!(read, Frame { interface: number, ..frame(None) });
            }
            assert!(reader.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_removed_tag_is_put_back_behind_the_addresses() {
        let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
        pcap.write(&frame(Some(0x6064))).unwrap();
        let file = pcap.into_inner();
        let mut reader = Reader::open(file.as_slice()).unwrap();
        let read = reader.next().unwrap().unwrap();
        assert_eq!(read.wire_len, 1_504);
        assert_eq!(read.bytes, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0x81, 0, 0x60, 0x64, 8, 0, 0x45, 0]);
    }

    #[test]
    fn a_frame_above_the_limit_of_readers_is_truncated() {
        let bytes = vec![0; 300_000];
        let long = Frame { bytes: &bytes, wire_len: 300_000, ..frame(Some(1)) };
        let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
        pcap.write(&long).unwrap();
        let mut pcapng = PcapngWriter::new(Vec::new()).unwrap();
        let interface = pcapng.add_interface("eth0", LinkType::ETHERNET, 0).unwrap();
        pcapng.write(interface, &long).unwrap();
        for file in [pcap.into_inner(), pcapng.into_inner()] {
            let mut reader = Reader::open(file.as_slice()).unwrap();
            let read = reader.next().unwrap().unwrap();
            assert_eq!((read.bytes.len(), read.wire_len), (262_144, 300_004));
        }
    }

    #[test]
    fn the_bytes_of_a_pcap_file_follow_the_format() {
        let mut pcap = PcapWriter::new(Vec::new(), LinkType::RAW, 96).unwrap();
        pcap.write(&Frame { bytes: &[0x45], wire_len: 2, link: LinkType::RAW, ..frame(None) }).unwrap();
        let expected = [
            &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0][..], // nanoseconds, version 2.4
            &[0, 0, 0, 0, 0, 0, 0, 0, 96, 0, 0, 0, 101, 0, 0, 0], // snap length 96, raw IP
            &[0x00, 0xf1, 0x53, 0x65, 0x15, 0xcd, 0x5b, 0x07], // 1,700,000,000 s and 123,456,789 ns
            &[1, 0, 0, 0, 2, 0, 0, 0, 0x45],           // one byte of two
        ];
        assert_eq!(pcap.into_inner(), expected.concat());
    }
}
