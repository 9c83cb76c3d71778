//! Reading a file allocates nothing per frame.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use sentinel_capture::Frame;
use sentinel_capture::file::{MAX_FRAME, Reader};
use sentinel_capture::write::{PcapWriter, PcapngWriter};
use sentinel_testkit::{CountingAllocator, allocations};
use sentinel_units::{LinkType, Timestamp};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const COUNT: usize = 5_000;

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        at: Timestamp::from_parts(1_700_000_000, 1),
        wire_len: 1_500,
        link: LinkType::ETHERNET,
        vlan: None,
        vlan_type: Frame::CUSTOMER_TAG,
        interface: 0,
        bytes,
    }
}

/// Number of frames in `file`, and of allocations while reading them.
fn read(file: &[u8]) -> (usize, usize) {
    let mut reader = Reader::open(file).unwrap();
    // Reading the first frame may allocate the description of its interface.
    let mut frames = usize::from(reader.next().unwrap().is_some());
    let before = allocations();
    while reader.next().unwrap().is_some() {
        frames += 1;
    }
    (frames, allocations() - before)
}

#[test]
fn files_are_read_without_allocating() {
    let bytes = [7; 1_500];
    let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
    let mut pcapng = PcapngWriter::new(Vec::new()).unwrap();
    let interface = pcapng.add_interface("eth0", LinkType::ETHERNET, MAX_FRAME).unwrap();
    for length in (0..COUNT).map(|number| number % 1_500) {
        pcap.write(&frame(&bytes[..length])).unwrap();
        pcapng.write(interface, &frame(&bytes[..length])).unwrap();
    }
    assert_eq!(read(&pcap.into_inner()), (COUNT, 0));
    assert_eq!(read(&pcapng.into_inner()), (COUNT, 0));
}

#[test]
fn frames_of_the_longest_size_grow_the_buffer_once() {
    let bytes = vec![7; 262_144];
    let mut pcap = PcapWriter::new(Vec::new(), LinkType::ETHERNET, MAX_FRAME).unwrap();
    for length in [60, 262_144, 60, 262_144] {
        pcap.write(&frame(&bytes[..length])).unwrap();
    }
    let file = pcap.into_inner();
    let (frames, count) = read(&file);
    assert_eq!(frames, 4);
    // Growing may take an intermediate allocation.
    assert!((1..=2).contains(&count), "{count}");
}
