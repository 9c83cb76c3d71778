//! Kernel snap: a program that returns how many bytes of a frame the analysis needs, by class of traffic.
//!
//! Read first: `pcap-filter(7)`; RFC 8446 section 5.1 (TLS records); RFC 9000 section 17.2 (QUIC long headers);
//! RFC 8489 section 5 (STUN); RFC 2516 (`PPPoE`).
//!
//! Bulk traffic fills a ring, and analysis reads only its headers, so only [`HEADERS`] bytes of it are kept. Frames that may
//! carry names, handshakes, requests or leases keep their full length, by the ports and first bytes of the
//! [services](sentinel_units::service), and so does every frame whose headers this program cannot follow: fragments, IPv6 with
//! extension headers, tunnels, three tags, a TCP header that ends behind [`HEADERS`]. The program has no state, so the second
//! segment of a long handshake is recognised only by its length or its port.

use alloc::vec::Vec;

use sentinel_units::service::{SERVICES, Service};
use sentinel_units::{LinkType, Port, ethertype, ip_protocol, port, ppp_protocol};

use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::instruction::Instruction;
use crate::program::Program;

/// Bytes kept of a frame of bulk traffic: all headers, with two tags, `PPPoE` and TCP options.
pub const HEADERS: u32 = 112;
/// Frames up to this length are kept. All loads below lie within it, so that none fails: a failed load would drop the frame.
const SMALL: u32 = 128;
/// A longer frame is bulk unless its first bytes say otherwise; the last segment of a long handshake is shorter.
const FULL_SEGMENT: u32 = 1_200;
const FULL_LENGTH: u32 = u32::MAX;

/// Program that returns the number of bytes to keep of a frame of type `link`: all of it or [`HEADERS`], never zero. `None` for
/// link types that have no program: keep their frames at full length.
#[must_use]
pub fn content_snap(link: LinkType) -> Option<Program> {
    let instructions = match link {
        LinkType::ETHERNET => build(14, Some(12)),
        LinkType::RAW => build(0, None),
        _ => return None,
    };
    Program::new(instructions.ok()?).ok()
}

fn build(network: u32, kind: Option<u32>) -> Result<Vec<Instruction>, Unreachable> {
    let mut out = Assembler::default();
    let (full, headers) = (out.label(), out.label());
    let mut builder = Builder { out, full, headers, network };
    builder.program(kind);
    let Builder { mut out, full, headers, .. } = builder;
    out.place(full);
    out.plain(code::RET_K, FULL_LENGTH);
    out.place(headers);
    out.plain(code::RET_K, HEADERS);
    out.finish()
}

/// Scratch memory slots: the protocol number, and the offset of the transport header.
const PROTOCOL: u32 = 0;
const TRANSPORT: u32 = 1;

/// Emits the program. Invariant: X is the offset of the current header, network and later transport, from
/// [`Builder::network`].
struct Builder {
    out: Assembler,
    full: Label,
    headers: Label,
    network: u32,
}

impl Builder {
    fn program(&mut self, kind: Option<u32>) {
        let (v4, v6) = (self.out.label(), self.out.label());
        self.out.plain(code::LD_W_LEN, 0);
        let long = self.out.label();
        self.out.branch_if(code::JGT_K, SMALL, long);
        self.out.plain(code::RET_K, FULL_LENGTH);
        self.out.place(long);
        self.out.plain(code::LDX_IMM, 0);
        match kind {
            Some(kind) => self.ether_type(kind, v4, v6),
            None => {
                self.out.plain(code::LD_B_ABS, self.network);
                self.out.plain(code::RSH_K, 4);
                self.out.branch_if(code::JEQ_K, 4, v4);
                self.out.branch_if(code::JEQ_K, 6, v6);
            }
        }
        self.out.plain(code::RET_K, FULL_LENGTH);
        let (tcp, udp) = (self.out.label(), self.out.label());
        self.out.place(v4);
        self.v4(tcp, udp);
        self.out.place(v6);
        self.v6(tcp, udp);
        self.out.place(udp);
        self.udp();
        self.out.place(tcp);
        self.tcp();
    }

    /// Skips up to two tags and `PPPoE`, and jumps to `v4` or `v6`; falls through if the frame is not IP.
    fn ether_type(&mut self, kind: u32, v4: Label, v6: Label) {
        const TAGS: [u16; 3] = [ethertype::VLAN, ethertype::SERVICE_VLAN, ethertype::OLD_SERVICE_VLAN];
        let untagged = self.out.label();
        self.out.plain(code::LD_H_ABS, kind);
        for depth in 1..=2 {
            let tagged = self.out.label();
            self.out.branch_if(code::JEQ_K, u32::from(ethertype::IPV4), v4);
            self.out.branch_if(code::JEQ_K, u32::from(ethertype::IPV6), v6);
            for tag in TAGS {
                self.out.branch_if(code::JEQ_K, u32::from(tag), tagged);
            }
            self.out.jump(untagged);
            self.out.place(tagged);
            self.out.plain(code::LDX_IMM, depth * 4);
            self.out.plain(code::LD_H_ABS, self.network + depth * 4 - 2);
        }
        self.out.place(untagged);
        self.out.branch_if(code::JEQ_K, u32::from(ethertype::IPV4), v4);
        self.out.branch_if(code::JEQ_K, u32::from(ethertype::IPV6), v6);
        let other = self.out.label();
        self.out.branch_unless(code::JEQ_K, u32::from(ethertype::PPPOE_SESSION), other);
        self.out.plain(code::LD_H_IND, self.network + 6);
        self.out.plain(code::ST, PROTOCOL);
        self.step(8);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.out.branch_if(code::JEQ_K, u32::from(ppp_protocol::IPV4), v4);
        self.out.branch_if(code::JEQ_K, u32::from(ppp_protocol::IPV6), v6);
        self.out.place(other);
    }

    /// Adds `bytes` to X. Overwrites A.
    fn step(&mut self, bytes: u32) {
        self.out.plain(code::TXA, 0);
        self.out.plain(code::ADD_K, bytes);
        self.out.plain(code::TAX, 0);
    }

    fn v4(&mut self, tcp: Label, udp: Label) {
        self.out.plain(code::LD_H_IND, self.network + 6);
        self.keep_full_if(code::JSET_K, 0x3fff); // more fragments, or an offset
        self.out.plain(code::LD_B_IND, self.network + 9);
        self.out.plain(code::ST, PROTOCOL);
        self.out.plain(code::LD_B_IND, self.network);
        self.out.plain(code::AND_K, 0x0f);
        self.out.plain(code::LSH_K, 2);
        self.out.plain(code::ADD_X, 0);
        self.out.plain(code::TAX, 0);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.transport(tcp, udp);
    }

    fn v6(&mut self, tcp: Label, udp: Label) {
        self.out.plain(code::LD_B_IND, self.network + 6);
        self.out.plain(code::ST, PROTOCOL);
        self.step(40);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.transport(tcp, udp);
    }

    /// Jumps by the protocol number in A. ESP is bulk: nothing behind its header can be read.
    fn transport(&mut self, tcp: Label, udp: Label) {
        self.out.branch_if(code::JEQ_K, u32::from(ip_protocol::TCP), tcp);
        self.out.branch_if(code::JEQ_K, u32::from(ip_protocol::UDP), udp);
        let bulk = self.out.label();
        self.out.branch_if(code::JEQ_K, u32::from(ip_protocol::ESP), bulk);
        self.out.plain(code::RET_K, FULL_LENGTH);
        self.out.place(bulk);
        self.out.plain(code::RET_K, HEADERS);
    }

    fn udp(&mut self) {
        const STUN_COOKIE: u32 = 0x2112_a442;
        for offset in [0, 2] {
            let next = self.out.label();
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.out.branch_if(code::JEQ_K, number(port::HTTPS), next);
            self.service(|service| service.full_snap.udp);
            self.out.place(next);
        }
        self.out.plain(code::LD_W_IND, self.network + 8);
        for handshake in [0x0100_0000, 0x0200_0000, 0x0300_0000] {
            self.keep_full_if(code::JEQ_K, handshake); // WireGuard
        }
        self.out.plain(code::RSH_K, 16);
        self.keep_full_if(code::JEQ_K, 0x16fe); // DTLS handshake
        self.out.plain(code::RSH_K, 8);
        self.keep_full_if(code::JEQ_K, 0x64); // 'd': BitTorrent's messages are dictionaries
        self.keep_full_if(code::JGE_K, 0xc0); // QUIC long header: both upper bits
        self.out.plain(code::LD_W_IND, self.network + 12);
        self.keep_full_if(code::JEQ_K, STUN_COOKIE);
        self.out.jump(self.headers);
    }

    fn tcp(&mut self) {
        const SYN: u32 = 2;
        const HANDSHAKE: u32 = 0x1603_0000;
        self.out.plain(code::LD_B_IND, self.network + 13);
        self.keep_full_if(code::JSET_K, SYN);
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.keep_full_if(code::JEQ_K, number(port::DNS));
        }
        // X becomes the start of the payload; that of the header is needed again for the ports.
        self.out.plain(code::STX, TRANSPORT);
        self.out.plain(code::LD_B_IND, self.network + 12);
        self.out.plain(code::AND_K, 0xf0);
        self.out.plain(code::RSH_K, 2);
        self.out.plain(code::ADD_X, 0);
        // A longer header would be cut. With it excluded the load of four bytes behind it lies within SMALL.
        self.keep_full_if(code::JGT_K, HEADERS - self.network);
        self.out.plain(code::TAX, 0);
        self.out.plain(code::LD_W_IND, self.network);
        for prefix in SERVICES.iter().flat_map(|service| service.prefixes) {
            self.keep_full_if(code::JEQ_K, u32::from_be_bytes(**prefix));
        }
        self.out.plain(code::AND_K, 0xffff_0000);
        self.keep_full_if(code::JEQ_K, HANDSHAKE);
        let short = self.out.label();
        self.out.plain(code::LD_W_LEN, 0);
        self.out.branch_unless(code::JGT_K, FULL_SEGMENT, short);
        self.out.plain(code::RET_K, HEADERS);
        self.out.place(short);
        self.out.plain(code::LDX_MEM, TRANSPORT);
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.service(|service| service.full_snap.tcp);
        }
        self.out.jump(self.headers);
    }

    /// Keeps the full length if the port in A is a system port or among the `ports` of a service.
    fn service(&mut self, ports: fn(&'static Service) -> &'static [u16]) {
        const FIRST_USER_PORT: u32 = 1024;
        let user = self.out.label();
        self.out.branch_if(code::JGE_K, FIRST_USER_PORT, user);
        self.out.plain(code::RET_K, FULL_LENGTH);
        self.out.place(user);
        for port in SERVICES.iter().flat_map(|service| ports(service)) {
            self.keep_full_if(code::JEQ_K, u32::from(*port));
        }
    }

    fn keep_full_if(&mut self, code: u16, k: u32) {
        self.out.branch_if(code, k, self.full);
    }
}

fn number(port: Port) -> u32 {
    u32::from(port.0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::interpreter::Packet;
    use std::vec;

    /// Parts of a frame: tags and session header, family, protocol, ports, and the first bytes of the payload.
    struct Case {
        between: &'static [u8],
        v6: bool,
        protocol: u8,
        ports: (u16, u16),
        flags: u8,
        options: usize,
        begins: &'static [u8],
        length: usize,
    }

    const BULK: Case = Case {
        between: &[],
        v6: false,
        protocol: 6,
        ports: (443, 50_000),
        flags: 0x10,
        options: 12,
        begins: &[0x17, 3, 3],
        length: 1_514,
    };
    const DATAGRAM: Case = Case { protocol: 17, ports: (40_000, 50_000), begins: &[0x40], ..BULK };

    fn frame(case: &Case) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        bytes.extend(case.between);
        // A PPPoE session header names the family itself.
        let is_session = case.between.first_chunk() == Some(&[0x88, 0x64]);
        if !is_session {
            bytes.extend(if case.v6 { [0x86, 0xdd] } else { [8, 0] });
        }
        let start = bytes.len();
        if case.v6 {
            bytes.extend([0x60, 0, 0, 0, 0, 0, case.protocol, 64]);
            bytes.resize(start + 40, 1);
        } else {
            bytes.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, case.protocol]);
            bytes.resize(start + 20, 1);
        }
        bytes.extend(case.ports.0.to_be_bytes());
        bytes.extend(case.ports.1.to_be_bytes());
        if case.protocol == 6 {
            bytes.extend([1; 8]);
            let words = u8::try_from(5 + case.options / 4).unwrap();
            bytes.extend([words << 4, case.flags]);
            bytes.resize(bytes.len() + 6 + case.options, 1);
        } else {
            bytes.extend([0; 4]);
        }
        bytes.extend(case.begins);
        bytes.resize(case.length, 0xee);
        bytes
    }

    fn kept(bytes: &[u8], link: LinkType) -> usize {
        let packet = Packet { bytes, wire_len: u32::try_from(bytes.len()).unwrap(), vlan: None };
        let keep = content_snap(link).unwrap().run(&packet);
        usize::try_from(keep).unwrap().min(bytes.len())
    }

    #[test]
    fn bulk_keeps_its_headers_behind_any_link_headers() {
        for between in [
            &[][..],
            &[0x81, 0, 0, 5],
            &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6],
            &[0x88, 0x64, 0x11, 0, 0, 1, 5, 0xdc, 0, 0x21],
        ] {
            for case in [
                Case { between, ..BULK },
                Case { between, begins: b"GE", ports: (50_000, 9_000), length: 300, ..BULK },
                Case { between, ..DATAGRAM },
                Case { between, ports: (443, 50_000), ..DATAGRAM },
                Case { between, protocol: 50, ..DATAGRAM },
            ] {
                assert_eq!(kept(&frame(&case), LinkType::ETHERNET), 112, "{between:?} {}", case.protocol);
                let v6 = match between.first_chunk() {
                    Some([0x88, 0x64]) => &[0x88, 0x64, 0x11, 0, 0, 1, 5, 0xdc, 0, 0x57],
                    _ => between,
                };
                let case = Case { between: v6, v6: true, ..case };
                assert_eq!(kept(&frame(&case), LinkType::ETHERNET), 112, "{v6:?} {}", case.protocol);
            }
        }
        assert_eq!(kept(&frame(&BULK)[14..], LinkType::RAW), 112);
        assert_eq!(kept(&frame(&Case { v6: true, ..DATAGRAM })[14..], LinkType::RAW), 112);
    }

    #[test]
    fn traffic_that_is_read_keeps_its_full_length() {
        for v6 in [false, true] {
            for case in [
                Case { begins: &[0x16, 3, 1, 5, 0xdc], ports: (50_000, 9_999), ..BULK },
                Case { begins: b"GET / HTTP/1.1", ports: (50_000, 9_999), ..BULK },
                Case { begins: b"HTTP/1.1 200", ports: (80, 9_999), ..BULK },
                Case { begins: b"SSH-2.0-x", ports: (2_222, 50_000), ..BULK },
                Case { length: 1_200, ..BULK }, // the end of a certificate chain
                Case { length: 600, ports: (50_000, 8_080), ..BULK },
                Case { ports: (50_000, 53), ..BULK },
                Case { flags: 2, ports: (50_000, 9_999), ..BULK },
                Case { ports: (53, 50_000), ..DATAGRAM },
                Case { ports: (5_353, 5_353), ..DATAGRAM },
                Case { ports: (50_000, 5_355), ..DATAGRAM },
                Case { ports: (68, 67), ..DATAGRAM },
                Case { ports: (547, 546), ..DATAGRAM },
                Case { ports: (50_000, 443), begins: &[0xc3, 0, 0, 0, 1], ..DATAGRAM },
                Case { begins: &[1, 0, 0, 0], ports: (51_820, 51_820), ..DATAGRAM },
                Case { begins: b"d1:ad2:id20:", ..DATAGRAM },
                Case { begins: &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], ..DATAGRAM },
                Case { protocol: 1, ..DATAGRAM },
                Case { protocol: 58, ..DATAGRAM },
                Case { protocol: 47, ..DATAGRAM },
            ] {
                let bytes = frame(&Case { v6, ..case });
                assert_eq!(kept(&bytes, LinkType::ETHERNET), bytes.len(), "{v6} {:?}", case.begins);
            }
        }
        // Small frames, ARP, three tags, later fragments, extension headers, a long TCP header behind two tags.
        let small = frame(&Case { length: 128, ..DATAGRAM });
        assert_eq!(kept(&small, LinkType::ETHERNET), 128);
        let arp = [&[2; 12][..], &[8, 6], &[0; 200]].concat();
        assert_eq!(kept(&arp, LinkType::ETHERNET), arp.len());
        let tags: &[u8] = &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7];
        assert_eq!(kept(&frame(&Case { between: tags, ..BULK }), LinkType::ETHERNET), 1_514);
        for fragment in [[0x20, 0], [0, 1]] {
            let mut bytes = frame(&BULK);
            bytes[20..22].copy_from_slice(&fragment);
            assert_eq!(kept(&bytes, LinkType::ETHERNET), 1_514);
        }
        let mut extended = frame(&Case { v6: true, ..BULK });
        extended[20] = 0;
        assert_eq!(kept(&extended, LinkType::ETHERNET), 1_514);
        let tags: &[u8] = &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6];
        let long = Case { between: tags, v6: true, options: 40, ..BULK };
        assert_eq!(kept(&frame(&long), LinkType::ETHERNET), 1_514);
    }

    /// A load past the end would drop the frame in the kernel.
    #[test]
    fn short_and_damaged_frames_are_kept() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64; // the seed; xorshift64 (Marsaglia 2003)
        for link in [LinkType::ETHERNET, LinkType::RAW] {
            for case in [&BULK, &DATAGRAM, &Case { v6: true, ..BULK }] {
                for length in 0..200 {
                    for round in 0..40 {
                        let mut bytes = frame(case);
                        for _ in 0..round {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            let [at, value, ..] = state.to_le_bytes();
                            bytes[usize::from(at) % 120] = value;
                        }
                        bytes.truncate(length);
                        let kept = kept(&bytes, link);
                        assert!(kept == length || kept == 112, "{length} {kept}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_filter_joined_with_it_selects_and_it_sets_the_length() {
        let snap = content_snap(LinkType::ETHERNET).unwrap();
        let filter = crate::compile("tcp", LinkType::ETHERNET, 0x0004_0000).unwrap();
        let both = filter.and(&snap).unwrap();
        let run = |case: &Case| both.run(&Packet { bytes: &frame(case), wire_len: 1_514, vlan: None });
        assert_eq!((run(&BULK), run(&DATAGRAM)), (112, 0));
        assert_eq!(run(&Case { begins: &[0x16, 3, 1], ..BULK }), u32::MAX);
        assert!(content_snap(LinkType::LINUX_SLL).is_none());
        assert!(snap.instructions().len() < 256, "{}", snap.instructions().len());
    }
}
