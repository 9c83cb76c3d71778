//! How much of a frame analysis needs: a program that returns a length for each class of traffic.
//!
//! Read first: `pcap-filter(7)`; RFC 8446 section 5.1 (TLS records); RFC 9000 section 17.2 (QUIC long headers);
//! RFC 8489 section 5 (STUN); RFC 2516 (`PPPoE`).
//!
//! Bulk is what fills a ring, and of bulk nobody reads more than the headers. Everything that may carry names,
//! handshakes, requests or leases stays whole, and so does every frame that this program cannot read to its end:
//! fragments, IPv6 with extension headers, tunnels, three tags, a TCP header that ends behind [`HEADERS`]. It keeps no
//! state: the second segment of a long handshake is known only by being short or by its port.

use alloc::vec::Vec;

use sentinel_units::LinkType;

use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::instruction::Instruction;
use crate::program::Program;

/// Kept of a frame of bulk traffic: all headers, two tags, `PPPoE` and the options of TCP included.
pub const HEADERS: u32 = 112;
/// Frames up to this length stay whole. All loads below lie within it, so that none fails.
const SMALL: u32 = 128;
/// A frame longer than this is bulk unless its first bytes say otherwise; the rest of a long handshake is shorter.
const FULL_SEGMENT: u32 = 1_200;
const WHOLE: u32 = u32::MAX;

/// Ports from 1024 up whose datagrams stay whole: MS-SQL browser, SSDP, MQTT-SN, `NetFlow`, WS-Discovery, STUN, SIP,
/// NAT-PMP, mDNS, LLMNR, `CoAP`, sFlow, IPFIX, RADIUS.
const UDP_PORTS: [u32; 17] =
    [1434, 1812, 1813, 1884, 1900, 2055, 3478, 3702, 4739, 5060, 5061, 5351, 5353, 5355, 5683, 6343, 9995];
/// Ports from 1024 up whose shorter segments stay whole: MS-SQL, Oracle, MQTT, `MySQL`, RDP, SIP, XMPP, `PostgreSQL`, VNC,
/// Redis, IRC, HTTP beside port 80, MQTT over TLS, Elasticsearch, `MongoDB`.
const TCP_PORTS: [u32; 19] = [
    1433, 1521, 1883, 3128, 3306, 3389, 5060, 5061, 5222, 5269, 5432, 5900, 6379, 6667, 8000, 8080, 8443,
    8883, 9200,
];
/// How a request, an answer or a greeting begins, whatever its port.
const HEADS: [&[u8; 4]; 16] = [
    b"GET ", b"POST", b"PUT ", b"HEAD", b"HTTP", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI ",
    b"SSH-", b"220 ", b"220-", b"RTSP", b"\x13Bit",
];

const DNS: u32 = 53;
const QUIC: u32 = 443;

/// The program that returns, of each frame of type `link`, how much to keep: all of it or [`HEADERS`], never nothing.
/// `None` if frames of that type are not told apart: keep them whole.
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
    let (whole, headers) = (out.label(), out.label());
    let mut builder = Builder { out, whole, headers, network };
    builder.program(kind);
    let Builder { mut out, whole, headers, .. } = builder;
    out.place(whole);
    out.plain(code::RET_K, WHOLE);
    out.place(headers);
    out.plain(code::RET_K, HEADERS);
    out.finish()
}

/// Slot for the protocol number behind IPv4, slot for where the transport header is.
const PROTOCOL: u32 = 0;
const TRANSPORT: u32 = 1;

/// Emits the program. X holds how far the network header, and later what follows it, is behind [`Builder::network`].
struct Builder {
    out: Assembler,
    whole: Label,
    headers: Label,
    network: u32,
}

impl Builder {
    fn program(&mut self, kind: Option<u32>) {
        let (v4, v6) = (self.out.label(), self.out.label());
        self.out.plain(code::LD_W_LEN, 0);
        let long = self.out.label();
        self.out.branch_if(code::JGT_K, SMALL, long);
        self.out.plain(code::RET_K, WHOLE);
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
        self.out.plain(code::RET_K, WHOLE);
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

    /// Over up to two tags and `PPPoE`; goes on if it is not IP.
    fn ether_type(&mut self, kind: u32, v4: Label, v6: Label) {
        const V4: u32 = 0x0800;
        const V6: u32 = 0x86dd;
        const SESSION: u32 = 0x8864;
        const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
        let untagged = self.out.label();
        self.out.plain(code::LD_H_ABS, kind);
        for depth in 1..=2 {
            let tagged = self.out.label();
            self.out.branch_if(code::JEQ_K, V4, v4);
            self.out.branch_if(code::JEQ_K, V6, v6);
            for tag in TAGS {
                self.out.branch_if(code::JEQ_K, tag, tagged);
            }
            self.out.jump(untagged);
            self.out.place(tagged);
            self.out.plain(code::LDX_IMM, depth * 4);
            self.out.plain(code::LD_H_ABS, self.network + depth * 4 - 2);
        }
        self.out.place(untagged);
        self.out.branch_if(code::JEQ_K, V4, v4);
        self.out.branch_if(code::JEQ_K, V6, v6);
        let other = self.out.label();
        self.out.branch_unless(code::JEQ_K, SESSION, other);
        self.out.plain(code::LD_H_IND, self.network + 6);
        self.out.plain(code::ST, PROTOCOL);
        self.step(8);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.out.branch_if(code::JEQ_K, 0x0021, v4);
        self.out.branch_if(code::JEQ_K, 0x0057, v6);
        self.out.place(other);
    }

    /// X grows by `bytes`. A is lost.
    fn step(&mut self, bytes: u32) {
        self.out.plain(code::TXA, 0);
        self.out.plain(code::ADD_K, bytes);
        self.out.plain(code::TAX, 0);
    }

    fn v4(&mut self, tcp: Label, udp: Label) {
        const ESP: u32 = 50;
        self.out.plain(code::LD_H_IND, self.network + 6);
        self.whole_if(code::JSET_K, 0x3fff); // more fragments, or an offset
        self.out.plain(code::LD_B_IND, self.network + 9);
        self.out.plain(code::ST, PROTOCOL);
        self.out.plain(code::LD_B_IND, self.network);
        self.out.plain(code::AND_K, 0x0f);
        self.out.plain(code::LSH_K, 2);
        self.out.plain(code::ADD_X, 0);
        self.out.plain(code::TAX, 0);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.transport(ESP, tcp, udp);
    }

    fn v6(&mut self, tcp: Label, udp: Label) {
        const ESP: u32 = 50;
        self.out.plain(code::LD_B_IND, self.network + 6);
        self.out.plain(code::ST, PROTOCOL);
        self.step(40);
        self.out.plain(code::LD_MEM, PROTOCOL);
        self.transport(ESP, tcp, udp);
    }

    /// A is the protocol number.
    fn transport(&mut self, encrypted: u32, tcp: Label, udp: Label) {
        self.out.branch_if(code::JEQ_K, 6, tcp);
        self.out.branch_if(code::JEQ_K, 17, udp);
        let bulk = self.out.label();
        self.out.branch_if(code::JEQ_K, encrypted, bulk);
        self.out.plain(code::RET_K, WHOLE);
        self.out.place(bulk);
        self.out.plain(code::RET_K, HEADERS);
    }

    fn udp(&mut self) {
        const STUN_COOKIE: u32 = 0x2112_a442;
        for offset in [0, 2] {
            let next = self.out.label();
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.out.branch_if(code::JEQ_K, QUIC, next);
            self.service(&UDP_PORTS);
            self.out.place(next);
        }
        self.out.plain(code::LD_W_IND, self.network + 8);
        for handshake in [0x0100_0000, 0x0200_0000, 0x0300_0000] {
            self.whole_if(code::JEQ_K, handshake); // WireGuard
        }
        self.out.plain(code::RSH_K, 16);
        self.whole_if(code::JEQ_K, 0x16fe); // DTLS handshake
        self.out.plain(code::RSH_K, 8);
        self.whole_if(code::JEQ_K, 0x64); // 'd': BitTorrent's messages are dictionaries
        self.whole_if(code::JGE_K, 0xc0); // QUIC long header: both upper bits
        self.out.plain(code::LD_W_IND, self.network + 12);
        self.whole_if(code::JEQ_K, STUN_COOKIE);
        self.out.jump(self.headers);
    }

    fn tcp(&mut self) {
        const SYN: u32 = 2;
        const HANDSHAKE: u32 = 0x1603_0000;
        self.out.plain(code::LD_B_IND, self.network + 13);
        self.whole_if(code::JSET_K, SYN);
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.whole_if(code::JEQ_K, DNS);
        }
        self.out.plain(code::STX, TRANSPORT);
        self.out.plain(code::LD_B_IND, self.network + 12);
        self.out.plain(code::AND_K, 0xf0);
        self.out.plain(code::RSH_K, 2);
        self.out.plain(code::ADD_X, 0);
        self.whole_if(code::JGT_K, HEADERS - self.network);
        self.out.plain(code::TAX, 0);
        self.out.plain(code::LD_W_IND, self.network);
        for head in HEADS {
            self.whole_if(code::JEQ_K, u32::from_be_bytes(*head));
        }
        self.out.plain(code::AND_K, 0xffff_0000);
        self.whole_if(code::JEQ_K, HANDSHAKE);
        let short = self.out.label();
        self.out.plain(code::LD_W_LEN, 0);
        self.out.branch_unless(code::JGT_K, FULL_SEGMENT, short);
        self.out.plain(code::RET_K, HEADERS);
        self.out.place(short);
        self.out.plain(code::LDX_MEM, TRANSPORT);
        for offset in [0, 2] {
            self.out.plain(code::LD_H_IND, self.network + offset);
            self.service(&TCP_PORTS);
        }
        self.out.jump(self.headers);
    }

    /// Whole if the port in A is a system port or one of `ports`.
    fn service(&mut self, ports: &[u32]) {
        const FIRST_USER_PORT: u32 = 1024;
        let user = self.out.label();
        self.out.branch_if(code::JGE_K, FIRST_USER_PORT, user);
        self.out.plain(code::RET_K, WHOLE);
        self.out.place(user);
        for port in ports {
            self.whole_if(code::JEQ_K, *port);
        }
    }

    fn whole_if(&mut self, code: u16, k: u32) {
        self.out.branch_if(code, k, self.whole);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::interpreter::Packet;
    use std::vec;

    /// What a frame is made of: tags and session header, family, protocol, ports, and how the payload begins.
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
        // A session header has told the family already.
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
    fn of_bulk_the_headers_are_kept_whatever_is_before_them() {
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
    fn what_is_looked_into_stays_whole() {
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
    fn no_frame_is_lost_however_short_or_damaged() {
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
    fn a_filter_before_it_says_which_and_it_says_how_much() {
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
