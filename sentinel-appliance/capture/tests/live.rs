//! Ring, sender and interface list on a virtual link (veth) in a network namespace.
//!
//! Each test has a namespace that belongs to its thread and ends with it, so tests neither leave anything
//! behind nor see each other or the machine. Without root there is no namespace: the test prints that it is
//! skipped, and passes.

#![allow(unsafe_code, reason = "network namespaces")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::io::{Write, stderr};
use std::process::Command;
use std::time::Duration;

use rustix::thread::{UnshareFlags, unshare_unsafe};
use sentinel_capture::interfaces;
use sentinel_capture::ring::{
    Counters, Fanout, FanoutMode, FrameCounter, OpenError, Ring, RingConfig, WaitOutcome,
};
use sentinel_capture::send::Sender;
use sentinel_filter::{
    FanoutHash, Instruction, InvalidReason, Packet, Protocol, SimpleFilter, code, run, validate,
};
use sentinel_units::{LinkType, Mac, Port, Timestamp};

/// Runs `body` in a new namespace where frames sent on `left0` are received on `right0`.
fn on_wire(name: &'static str, body: fn()) {
    let in_namespace = move || {
        // SAFETY: only the network namespace is unshared; descriptors stay shared.
        if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            // Not by a print macro, whose output the test runner would hide.
            let message = format!("{name}: SKIPPED, needs root for a network namespace: {error}\n");
            stderr().write_all(message.as_bytes()).unwrap();
            return;
        }
        // Neighbour discovery would send frames that no test expects.
        let _absent = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        ip("link add left0 type veth peer name right0");
        ip("link set left0 up");
        ip("link set right0 up");
        body();
    };
    std::thread::spawn(in_namespace).join().unwrap();
}

/// Children are in the namespace of the thread that starts them.
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {arguments}");
}

/// An Ethernet frame of the type for local experiments, with its number behind the header, `length` bytes long.
fn numbered(number: u16, tag: Option<u16>, length: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if let Some(tag) = tag {
        bytes.extend([0x81, 0x00]);
        bytes.extend(tag.to_be_bytes());
    }
    bytes.extend([0x88, 0xb5]);
    bytes.extend(number.to_be_bytes());
    bytes.resize(length, 0xaa);
    bytes
}

/// A copy of a frame.
#[derive(Debug, Eq, PartialEq)]
struct Kept {
    at: Timestamp,
    wire_len: u32,
    vlan: Option<u16>,
    interface: u16,
    bytes: Vec<u8>,
}

/// All frames until none has arrived for half a second.
fn read_all(ring: &mut Ring) -> Vec<Kept> {
    let mut kept = Vec::new();
    loop {
        while let Some(block) = ring.next_block() {
            kept.extend(block.frames().map(|frame| Kept {
                at: frame.at,
                wire_len: frame.wire_len,
                vlan: frame.vlan,
                interface: frame.interface,
                bytes: frame.bytes.to_vec(),
            }));
        }
        match ring.wait(Duration::from_millis(500)).unwrap() {
            WaitOutcome::TimedOut => return kept,
            WaitOutcome::Ready | WaitOutcome::Interrupted => {}
            WaitOutcome::InterfaceDown => panic!("no test that reads takes the interface down"),
        }
    }
}

fn open(config: &RingConfig<'_>) -> Ring {
    let ring = Ring::open(config).unwrap();
    assert_eq!(ring.link(), LinkType::ETHERNET);
    assert!(ring.is_attached());
    ring
}

#[test]
fn all_frames_arrive_with_length_and_tag() {
    on_wire("all_frames_arrive_with_length_and_tag", || {
        let room_for_all = RingConfig { number: 9, ring_bytes: 1 << 22, ..RingConfig::new("right0") };
        let mut ring = open(&room_for_all);
        let sender = Sender::open("left0").unwrap();
        let count = 2_000_u16;
        let tag_of = |number: u16| number.is_multiple_of(3).then_some(0x2000 | (number & 0xfff));
        let length_of = |number: u16| 60 + usize::from(number % 1_000);
        for number in 0..count {
            sender.send(&numbered(number, tag_of(number), length_of(number))).unwrap();
        }
        let kept = read_all(&mut ring);
        assert_eq!(kept.len(), usize::from(count));
        for (number, frame) in (0..count).zip(&kept) {
            // The kernel removes the tag, so the frame is four bytes shorter than it was sent.
            let length = length_of(number) - if tag_of(number).is_some() { 4 } else { 0 };
            assert_eq!(frame.bytes, numbered(number, None, length), "frame {number}");
            assert_eq!(frame.wire_len, u32::try_from(length).unwrap());
            assert_eq!((frame.vlan, frame.interface), (tag_of(number), 9));
        }
        assert!(kept[0].at > Timestamp::ZERO && kept.is_sorted_by_key(|frame| frame.at));
        let all = Counters { received: u64::from(count), ..Counters::default() };
        assert_eq!(ring.counters().unwrap(), all);
        assert_eq!(ring.counters().unwrap(), all, "the kernel resets its counters, the ring does not");
    });
}

#[test]
fn on_the_loopback_each_frame_comes_once() {
    on_wire("on_the_loopback_each_frame_comes_once", || {
        ip("link set lo up");
        let mut ring = open(&RingConfig::new("lo"));
        let sender = Sender::open("lo").unwrap();
        for number in 0..10 {
            sender.send(&numbered(number, None, 60)).unwrap();
        }
        let kept = read_all(&mut ring);
        let numbers: Vec<_> = kept.iter().map(|frame| usize::from(frame.bytes[15])).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn a_full_ring_drops_frames_and_the_counters_add_up() {
    on_wire("a_full_ring_drops_frames_and_the_counters_add_up", || {
        let small = RingConfig { ring_bytes: 8_192, block_bytes: 4_096, ..RingConfig::new("right0") };
        let mut ring = open(&small);
        let sender = Sender::open("left0").unwrap();
        for number in 0..500 {
            sender.send(&numbered(number, None, 200)).unwrap();
        }
        let kept = read_all(&mut ring);
        let counters = ring.counters().unwrap();
        assert!(counters.dropped > 0 && counters.freezes > 0, "{counters:?}");
        assert_eq!(counters.received, 500);
        assert_eq!(counters.received, counters.dropped + u64::try_from(kept.len()).unwrap());
        for number in 0..5 {
            sender.send(&numbered(number, None, 200)).unwrap();
        }
        assert_eq!(read_all(&mut ring).len(), 5, "there is room again");
        assert_eq!(ring.counters().unwrap().received, 505);
    });
}

/// IEEE 802.1ad: the provider's tag has an ethertype of its own, which was once lost.
#[test]
fn the_ethertype_of_a_tag_is_reported() {
    on_wire("the_ethertype_of_a_tag_is_reported", || {
        let mut ring = open(&RingConfig::new("right0"));
        let sender = Sender::open("left0").unwrap();
        for kind in [0x8100_u16, 0x88a8] {
            let mut bytes = numbered(1, Some(5), 64);
            bytes[12..14].copy_from_slice(&kind.to_be_bytes());
            sender.send(&bytes).unwrap();
        }
        let mut types = Vec::new();
        while let WaitOutcome::Ready = ring.wait(Duration::from_millis(500)).unwrap() {
            let block = ring.next_block().unwrap();
            types.extend(block.frames().map(|frame| (frame.vlan, frame.vlan_type)));
        }
        assert_eq!(types, [(Some(5), 0x8100), (Some(5), 0x88a8)]);
    });
}

/// One load of the frame's number: those of this number match.
fn only(number: u16) -> [Instruction; 4] {
    [
        Instruction::plain(code::LD_H_ABS, 14),
        Instruction::branch(code::JEQ_K, number.into(), 0, 1),
        Instruction::plain(code::RET_K, u32::MAX),
        Instruction::plain(code::RET_K, 0),
    ]
}

#[test]
fn a_drained_filter_change_separates_old_and_new_frames() {
    on_wire("a_drained_filter_change_separates_old_and_new_frames", || {
        let long = Duration::from_millis(40);
        let first = only(1);
        let config = RingConfig {
            filter: Some(&first),
            snap_bytes: 60,
            block_timeout: long,
            ..RingConfig::new("right0")
        };
        let mut ring = open(&config);
        let sender = Sender::open("left0").unwrap();
        let numbers = |block: &sentinel_capture::ring::Block<'_>| -> Vec<u8> {
            block.frames().map(|frame| frame.bytes[15]).collect()
        };
        let send = || (1..=3).for_each(|number| sender.send(&numbered(number, None, 100)).unwrap());
        send();
        let mut old = Vec::new();
        ring.drain_and_replace_filter(Some(&only(2)), &mut |block| old.extend(numbers(block))).unwrap();
        assert_eq!(old, [1], "frames of the old filter are handed over, though their block was not full");
        send();
        let kept = read_all(&mut ring);
        assert_eq!(
            kept.iter().map(|frame| (frame.bytes[15], frame.bytes.len())).collect::<Vec<_>>(),
            [(2, 60)]
        );
        // A program that the kernel rejects changes nothing.
        let rejected = ring.drain_and_replace_filter(Some(&[]), &mut |_| {}).unwrap_err();
        assert_eq!(rejected, OpenError::FilterLength(0));
        let endless = [Instruction::plain(code::LD_IMM, 1)];
        assert!(matches!(ring.replace_filter(Some(&endless)).unwrap_err(), OpenError::System { .. }));
        send();
        assert_eq!(read_all(&mut ring).len(), 1);
        ring.replace_filter(None).unwrap();
        send();
        assert_eq!(read_all(&mut ring).iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>(), [60; 3]);
        assert_eq!(ring.counters().unwrap().received, 6);
    });
}

#[test]
fn frames_are_truncated_to_the_snap_length() {
    on_wire("frames_are_truncated_to_the_snap_length", || {
        let mut ring = open(&RingConfig { snap_bytes: 96, ..RingConfig::new("right0") });
        let sender = Sender::open("left0").unwrap();
        for length in [60, 96, 97, 1_000] {
            sender.send(&numbered(0, None, length)).unwrap();
        }
        let lengths: Vec<_> =
            read_all(&mut ring).iter().map(|frame| (frame.bytes.len(), frame.wire_len)).collect();
        assert_eq!(lengths, [(60, 60), (96, 96), (96, 97), (96, 1_000)]);
    });
}

/// UDP or TCP over IPv4, 60 bytes, with the ports given.
fn datagram(protocol: u8, tag: Option<u16>, source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut bytes = numbered(0, tag, 0);
    bytes.resize(12 + tag.map_or(0, |_| 4), 0);
    let mut bytes = [bytes, vec![8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, protocol, 0, 0]].concat();
    bytes.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(source_port.to_be_bytes());
    bytes.extend(destination_port.to_be_bytes());
    bytes.resize(64, 0);
    bytes
}

#[test]
fn the_kernel_and_the_interpreter_agree() {
    on_wire("the_kernel_and_the_interpreter_agree", || {
        let address = "192.0.2.2".parse().ok();
        let port = Some(Port(53));
        let sender = Sender::open("left0").unwrap();
        for filter in [
            SimpleFilter { port, ..SimpleFilter::default() },
            SimpleFilter { protocol: "dns".parse().ok(), address, port },
            SimpleFilter { protocol: "tls".parse().ok(), ..SimpleFilter::default() },
            SimpleFilter { address, ..SimpleFilter::default() },
            SimpleFilter { protocol: Some(Protocol::Arp), ..SimpleFilter::default() },
        ] {
            let program = filter.compile(LinkType::ETHERNET).unwrap();
            let config = RingConfig { filter: Some(program.instructions()), ..RingConfig::new("right0") };
            let mut ring = open(&config);
            let (mut sent, mut expected) = (0_u64, 0_usize);
            let mut state = 0x2545_f491_4f6c_dd1d_u64; // the seed; xorshift64 (Marsaglia 2003)
            for round in 0..40_u16 {
                for (protocol, tag) in [(6, None), (17, None), (17, Some(7)), (1, Some(7)), (6, Some(8))] {
                    let mut bytes =
                        datagram(protocol, tag, 40_000, [53, 443, 5_353, 80][usize::from(round % 4)]);
                    if round >= 4 {
                        // A random byte of the headers; the addresses of the frame are not changed.
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        let [at, value, ..] = state.to_le_bytes();
                        bytes[12 + usize::from(at) % 40] = value;
                    }
                    if sender.send(&bytes).is_err() {
                        continue; // the kernel rejects some damaged lengths of its own tag
                    }
                    sent += 1;
                    let wire_len = u32::try_from(bytes.len()).unwrap();
                    let packet = Packet { bytes: &bytes, wire_len, vlan: None };
                    expected += usize::from(program.matches(&packet));
                }
            }
            let passed = read_all(&mut ring);
            assert_eq!(passed.len(), expected, "{filter:?}");
            assert_eq!(ring.counters().unwrap().received, u64::try_from(expected).unwrap());
            let is_arp = filter.protocol == Some(Protocol::Arp); // no ARP is sent
            assert!(sent > 100 && (expected > 0) != is_arp);
        }
    });
}

/// Some program of up to twelve instructions, drawn from the codes that exist and operands that matter.
fn random_program(random: &mut impl FnMut(usize) -> usize) -> Vec<Instruction> {
    #[rustfmt::skip]
    const CODES: [u16; 45] = [
        code::LD_W_ABS, code::LD_H_ABS, code::LD_B_ABS, code::LD_W_IND, code::LD_H_IND, code::LD_B_IND,
        code::LD_W_LEN, code::LD_IMM, code::LD_MEM, code::LDX_IMM, code::LDX_MEM, code::LDX_W_LEN,
        code::LDX_B_MSH, code::ST, code::STX, code::ADD_K, code::SUB_K, code::MUL_K, code::DIV_K, code::OR_K,
        code::AND_K, code::LSH_K, code::RSH_K, code::NEG, code::MOD_K, code::XOR_K, code::ADD_X, code::SUB_X,
        code::MUL_X, code::DIV_X, code::OR_X, code::AND_X, code::LSH_X, code::RSH_X, code::MOD_X, code::XOR_X,
        code::JA, code::JEQ_K, code::JGT_K, code::JGE_X, code::JSET_X, code::RET_K, code::RET_A, code::TAX,
        code::TXA,
    ];
    const OPERANDS: [u32; 14] =
        [0, 1, 2, 3, 12, 14, 15, 16, 31, 32, 60, 0x88b5, u32::MAX, code::ANCILLARY_VLAN_TAG];
    let count = 1 + random(12);
    let mut program: Vec<_> = (0..count)
        .map(|_| {
            let distance = |step: usize| u8::try_from(step).unwrap();
            let (jt, jf) = (distance(random(4)), distance(random(4)));
            Instruction::branch(CODES[random(CODES.len())], OPERANDS[random(OPERANDS.len())], jt, jf)
        })
        .collect();
    program.push(Instruction::plain(code::RET_A, 0));
    program
}

#[test]
fn the_kernel_takes_the_programs_that_we_take_and_gives_the_same_results() {
    on_wire("the_kernel_takes_the_programs_that_we_take_and_gives_the_same_results", || {
        let sender = Sender::open("left0").unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64; // the seed; xorshift64 (Marsaglia 2003)
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let (mut taken, mut kept_any) = (0, 0);
        while taken < 60 {
            let program = random_program(&mut random);
            // The kernel ignores the jump fields of instructions that do not jump, and so do we.
            let config = RingConfig {
                filter: Some(&program),
                block_timeout: Duration::from_millis(1),
                ..RingConfig::new("right0")
            };
            let opened = Ring::open(&config);
            if let Err(invalid) = validate(&program) {
                // The kernel accepts negative offsets and we do not: they read ancillary data that no file has.
                let is_ancillary = matches!(invalid.reason, InvalidReason::Offset(_));
                assert!(
                    opened.is_err() || is_ancillary,
                    "the kernel accepts a program that `validate` rejects: {invalid}\n{program:?}"
                );
                continue;
            }
            taken += 1;
            let mut ring = opened.unwrap();
            let mut expected = Vec::new();
            for (number, tag) in [(1, None), (0x4503, Some(0x2064)), (0xffff, None)] {
                let sent = numbered(number, tag, 64 + usize::from(number % 5));
                sender.send(&sent).unwrap();
                let seen = numbered(number, None, sent.len() - if tag.is_some() { 4 } else { 0 });
                let wire_len = u32::try_from(seen.len()).unwrap();
                let keep = run(&program, &Packet { bytes: &seen, wire_len, vlan: tag });
                if keep > 0 {
                    let kept = usize::try_from(keep).unwrap().min(seen.len());
                    expected.push((seen[..kept].to_vec(), wire_len, tag));
                }
            }
            let mut got = Vec::new();
            while got.len() < expected.len()
                || ring.wait(Duration::from_millis(5)).unwrap() == WaitOutcome::Ready
            {
                if ring.wait(Duration::from_secs(1)).unwrap() != WaitOutcome::Ready {
                    break;
                }
                while let Some(block) = ring.next_block() {
                    got.extend(
                        block.frames().map(|frame| (frame.bytes.to_vec(), frame.wire_len, frame.vlan)),
                    );
                }
            }
            assert_eq!(got, expected, "{program:?}");
            kept_any += usize::from(!expected.is_empty());
        }
        assert!(kept_any > 12, "{kept_any} programs kept a frame");
    });
}

#[test]
fn a_ring_survives_its_interface_going_down() {
    on_wire("a_ring_survives_its_interface_going_down", || {
        let mut ring = open(&RingConfig::new("right0"));
        let sender = Sender::open("left0").unwrap();
        ip("link set right0 down");
        assert_eq!(ring.wait(Duration::from_secs(5)).unwrap(), WaitOutcome::InterfaceDown);
        assert_eq!(ring.wait(Duration::ZERO).unwrap(), WaitOutcome::TimedOut);
        assert!(ring.is_attached());
        ip("link set right0 up");
        // The carrier comes up at the other end a little later; until then the kernel drops frames.
        let arrives = |_| {
            sender.send(&numbered(1, None, 60)).is_ok()
                && ring.wait(Duration::from_millis(100)).unwrap() == WaitOutcome::Ready
        };
        assert!((0..50).any(arrives));
        read_all(&mut ring);
        ip("link del right0");
        assert_eq!(ring.wait(Duration::from_secs(5)).unwrap(), WaitOutcome::InterfaceDown);
        assert!(!ring.is_attached());
    });
}

#[test]
fn flow_fanout_keeps_each_flow_on_one_ring() {
    on_wire("flow_fanout_keeps_each_flow_on_one_ring", || {
        let fanout = Some(Fanout { group: Some(7), mode: FanoutMode::Flow });
        let config = RingConfig { fanout, ..RingConfig::new("right0") };
        let mut rings = [open(&config), open(&config)];
        let sender = Sender::open("left0").unwrap();
        for _ in 0..3 {
            for port in 1_000..1_064 {
                sender.send(&datagram(17, None, port, 53)).unwrap();
                sender.send(&datagram(17, None, port, 53)).unwrap();
            }
        }
        let ports = rings.each_mut().map(|ring| {
            let kept = read_all(ring);
            kept.iter()
                .map(|frame| u16::from_be_bytes([frame.bytes[34], frame.bytes[35]]))
                .collect::<Vec<_>>()
        });
        let [first, second] = &ports;
        assert_eq!(first.len() + second.len(), 64 * 6);
        assert!(!first.is_empty() && !second.is_empty());
        assert!(!first.iter().any(|port| second.contains(port)), "a flow stays on its ring");
    });
}

/// UDP from 10.0.0.`last`, port 1000.
fn from_host(last: u8, between: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(between);
    bytes.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, last, 10, 0, 1, 1]);
    bytes.extend([3, 232, 0, 53, 0, 26, 0, 0]);
    bytes.resize(64, 0);
    bytes
}

#[test]
fn program_fanout_numbers_rings_in_the_order_of_joining() {
    on_wire("program_fanout_numbers_rings_in_the_order_of_joining", || {
        let hash = FanoutHash::new(0x1234_5677);
        let nothing = [Instruction::plain(code::RET_K, 0)];
        let mode = FanoutMode::Program;
        let closed = RingConfig { filter: Some(&nothing), ..RingConfig::new("right0") };
        let mut rings = vec![open(&RingConfig { fanout: Some(Fanout { group: None, mode }), ..closed })];
        let group = rings[0].fanout_group().unwrap();
        assert!(group.is_some());
        for _ in 1..3 {
            rings.push(open(&RingConfig { fanout: Some(Fanout { group, mode }), ..closed }));
        }
        rings[0].set_fanout_program(&hash.instructions()).unwrap();
        rings.iter_mut().for_each(|ring| ring.replace_filter(None).unwrap());
        let sender = Sender::open("left0").unwrap();
        // Twice: the order of joining also holds after the interface was down.
        for _ in 0..2 {
            for last in 0..64 {
                for between in [&[][..], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]] {
                    sender.send(&from_host(last, between)).unwrap();
                }
            }
            for (number, ring) in rings.iter_mut().enumerate() {
                let expected = |last: &u8| {
                    let address = sentinel_units::Address::v4(0x0a00_0000 | u32::from(*last));
                    usize::try_from(hash.hash(address) % 3).unwrap() == number
                };
                let expected: Vec<u8> = (0..64).filter(expected).flat_map(|last| [last; 3]).collect();
                // The outer tag is beside the frame, the inner one in it.
                let host = |frame: &Kept| {
                    let inner = if frame.bytes[12..14] == [0x81, 0] { 4 } else { 0 };
                    frame.bytes[29 + inner]
                };
                assert_eq!(read_all(ring).iter().map(host).collect::<Vec<_>>(), expected, "ring {number}");
            }
            ip("link set right0 down");
            ip("link set right0 up");
            for ring in &mut rings {
                let _down = ring.socket_error();
            }
            while sender.send(&numbered(1, None, 60)).is_err() {}
            rings.iter_mut().for_each(|ring| drop(read_all(ring)));
        }
    });
}

#[test]
fn a_frame_counter_counts_frames_that_a_filter_rejects() {
    on_wire("a_frame_counter_counts_frames_that_a_filter_rejects", || {
        let filter = only(1);
        let mut ring = open(&RingConfig { filter: Some(&filter), ..RingConfig::new("right0") });
        let mut counter = FrameCounter::open("right0").unwrap();
        let (there, back) = (Sender::open("left0").unwrap(), Sender::open("right0").unwrap());
        for round in 1..=3 {
            for number in 0..1_000 {
                there.send(&numbered(number % 4, None, 100)).unwrap();
                back.send(&numbered(2, None, 1_000)).unwrap();
            }
            assert_eq!(read_all(&mut ring).len(), 250);
            assert_eq!(ring.counters().unwrap().received, 250 * round);
            assert_eq!(counter.count().unwrap(), 2_000 * round);
        }
        assert!(counter.is_attached());
        ip("link del right0");
        assert!(!counter.is_attached());
    });
}

#[test]
fn errors_of_opening_name_the_reason() {
    on_wire("errors_of_opening_name_the_reason", || {
        let error = Ring::open(&RingConfig::new("eth77")).unwrap_err();
        assert_eq!(error, OpenError::UnknownInterface);
        assert_eq!(Sender::open("eth77").unwrap_err(), OpenError::UnknownInterface);
        for (ring_bytes, block_bytes) in [(0, 0), (65_536, 65_536), (100_000, 65_536), (8_192, 4_000)] {
            let error =
                Ring::open(&RingConfig { ring_bytes, block_bytes, ..RingConfig::new("right0") }).unwrap_err();
            assert!(matches!(error, OpenError::RingSize { .. }), "{ring_bytes} {block_bytes}: {error}");
        }
        let error = Ring::open(&RingConfig { filter: Some(&[]), ..RingConfig::new("right0") }).unwrap_err();
        assert_eq!(error, OpenError::FilterLength(0));
    });
}

#[test]
fn without_the_capability_the_error_names_it() {
    on_wire("without_the_capability_the_error_names_it", || {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .unwrap();
        let error = Ring::open(&RingConfig::new("right0")).unwrap_err();
        assert_eq!(error, OpenError::System { call: "socket", errno: rustix::io::Errno::PERM });
        assert!(error.to_string().contains("CAP_NET_RAW"));
    });
}

#[test]
fn a_bridge_lists_its_ports_and_a_port_its_bridge() {
    on_wire("a_bridge_lists_its_ports_and_a_port_its_bridge", || {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0").unwrap();
        ip("link add br-lan type bridge");
        ip("link set right0 master br-lan");
        ip("link set br-lan up");
        ip("link set left0 address 02:00:00:00:00:01 mtu 1400");
        ip("address add 192.0.2.1/24 dev br-lan");
        ip("address add 2001:db8::1/64 dev br-lan nodad");
        let all = interfaces::list().unwrap();
        let find = |name: &str| all.iter().find(|interface| interface.name == name).unwrap();
        let bridge = find("br-lan");
        assert_eq!((bridge.kind.as_str(), bridge.ports.as_slice()), ("bridge", &["right0".to_owned()][..]));
        assert!(bridge.is_up && bridge.is_running && bridge.bridge.is_none());
        let networks: Vec<_> =
            bridge.addresses.iter().map(|address| address.prefix().unwrap().to_string()).collect();
        assert!(networks.starts_with(&["192.0.2.0/24".into(), "2001:db8::/64".into()]), "{networks:?}");
        assert_eq!(find("right0").bridge.as_deref(), Some("br-lan"));
        let left = find("left0");
        assert_eq!((left.kind.as_str(), left.mtu, left.bridge.as_ref()), ("veth", 1_400, None));
        assert_eq!(left.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!(left.link, Some(LinkType::ETHERNET));
        let loopback = find("lo");
        assert_eq!((loopback.kind.as_str(), loopback.is_up, loopback.mac), ("loopback", false, None));
        assert!(all.is_sorted_by_key(|interface| interface.index));
    });
}
