//! Fan-out hash: assigns each frame to a worker by its source address, in the kernel and in user space alike.
//!
//! Read first: `PACKET_FANOUT_CBPF` in `packet(7)`; `bpf_internal_load_pointer_neg_helper` in the kernel's
//! `kernel/bpf/core.c` (offsets from the network header); RFC 826, RFC 4861 section 4, RFC 2131 section 4.1.
//!
//! The kernel runs a fan-out program before it restores the link header of a received frame. So all loads are
//! relative to the network header (`SKF_NET_OFF`), and the ethertype is an ancillary load, because the kernel
//! has removed the outer tag.

use alloc::vec::Vec;

use sentinel_units::Address;

use crate::assembler::{Assembler, Label, Unreachable};
use crate::code;
use crate::instruction::Instruction;
use crate::numbers::ip_protocol::{ICMPV6, UDP};
use crate::numbers::{ethertype, ppp};

/// Absolute loads from here up are relative to the network header (`SKF_NET_OFF`).
const FROM_NETWORK: u32 = 0xfff0_0000;
/// The ethertype behind the tag that was removed (`SKF_AD_PROTOCOL`).
const ETHER_TYPE: u32 = code::ANCILLARY;

/// Keyed multiplicative hash of the source address (Knuth, "The Art of Computer Programming", volume 3,
/// section 6.4, with a secret odd multiplier), then a xor-shift that mixes high bits into the low ones.
///
/// ARP, neighbour discovery, answers of DHCP servers and frames without IP go to the first worker, whatever
/// their source: one worker must know which host holds which address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FanoutHash {
    key: u32,
}

impl FanoutHash {
    /// A hash with this key, made odd. It should be random: who knows it can choose addresses of one worker
    /// only.
    #[must_use]
    pub const fn new(key: u32) -> Self {
        Self { key: key | 1 }
    }

    /// The hash; its remainder by the number of workers is the index of the worker.
    #[must_use]
    pub fn hash(self, source: Address) -> u32 {
        let [a, b, c, d] = source.words();
        let word = if source.is_v4() { d } else { a ^ b ^ c ^ d };
        let mixed = word.wrapping_mul(self.key);
        mixed ^ mixed >> 16
    }

    /// The hash as a program for `PACKET_FANOUT_CBPF`, which returns the result of [`FanoutHash::hash`], or
    /// zero for the first worker. Not a [`Program`](crate::Program), because its loads have a meaning for
    /// fan-out only.
    #[must_use]
    pub fn instructions(self) -> Vec<Instruction> {
        // An error would be a jump that is too far. The tests rule it out, and the kernel refuses an empty
        // program.
        self.build(FROM_NETWORK, ETHER_TYPE).unwrap_or_default()
    }

    /// The program, for loads of the network header at `network` and of the ethertype at `ether_type`: the
    /// tests run it on whole frames.
    fn build(self, network: u32, ether_type: u32) -> Result<Vec<Instruction>, Unreachable> {
        let mut out = Assembler::default();
        let (first, hash) = (out.label(), out.label());
        let mut compiler = HashCompiler { out, first, hash, network };
        compiler.program(ether_type);
        let HashCompiler { mut out, first, hash, .. } = compiler;
        out.place(hash);
        // mixed = A * key; return mixed ^ mixed >> 16
        out.plain(code::MUL_K, self.key);
        out.plain(code::TAX, 0);
        out.plain(code::RSH_K, 16);
        out.plain(code::XOR_X, 0);
        out.plain(code::RET_A, 0);
        out.place(first);
        out.plain(code::RET_K, 0);
        out.finish()
    }
}

/// Generates the program. All loads are absolute, because not every kernel accepts the sum of a register and
/// an offset relative to the network header.
struct HashCompiler {
    out: Assembler,
    /// Returns the first worker.
    first: Label,
    /// Hashes A, the address as one word, and returns.
    hash: Label,
    network: u32,
}

impl HashCompiler {
    /// Finds the network header behind at most one tag in the frame and a `PPPoE` session header.
    fn program(&mut self, ether_type: u32) {
        self.out.plain(code::LD_H_ABS, ether_type);
        let (inner, session) = (self.out.label(), self.out.label());
        let inner_session = self.out.label();
        for tag in ethertype::VLAN_TAGS {
            self.out.branch_if(code::JEQ_K, tag, inner);
        }
        self.out.branch_if(code::JEQ_K, ethertype::PPPOE_SESSION, session);
        self.ip(0);
        self.out.place(inner);
        // A tag that is still in the frame: two bytes of control information, then the inner ethertype.
        self.out.plain(code::LD_H_ABS, self.network + 2);
        self.out.branch_if(code::JEQ_K, ethertype::PPPOE_SESSION, inner_session);
        self.ip(4);
        self.out.place(session);
        self.pppoe_session(0);
        self.out.place(inner_session);
        self.pppoe_session(4);
    }

    /// Branches by the ethertype in A of the header `at` bytes behind the network header.
    fn ip(&mut self, at: u32) {
        let (v4, v6) = (self.out.label(), self.out.label());
        self.out.branch_if(code::JEQ_K, ethertype::IPV4, v4);
        self.out.branch_if(code::JEQ_K, ethertype::IPV6, v6);
        self.out.jump(self.first);
        self.addresses(at, v4, v6);
    }

    /// Branches by the PPP protocol of the `PPPoE` session header `at` bytes behind the network header.
    fn pppoe_session(&mut self, at: u32) {
        let (v4, v6) = (self.out.label(), self.out.label());
        // Six bytes of session header, then the PPP protocol (RFC 2516 section 4).
        self.out.plain(code::LD_H_ABS, self.network + at + 6);
        self.out.branch_if(code::JEQ_K, ppp::IPV4, v4);
        self.out.branch_if(code::JEQ_K, ppp::IPV6, v6);
        self.out.jump(self.first);
        self.addresses(at + 8, v4, v6);
    }

    /// The sections for IPv4 and IPv6, whose header is `at` bytes behind the network header.
    fn addresses(&mut self, at: u32, v4: Label, v6: Label) {
        let base = self.network + at;
        self.out.place(v4);
        self.v4_source(base);
        self.out.place(v6);
        self.v6_source(base);
    }

    /// IPv4: messages of DHCP servers to the first worker, else the source address into A.
    fn v4_source(&mut self, base: u32) {
        const DHCP_SERVER: u32 = 67;
        let not_dhcp = self.out.label();
        self.out.plain(code::LD_B_ABS, base + 9);
        self.out.branch_unless(code::JEQ_K, UDP, not_dhcp);
        // Bytes at the place of the port in a later fragment are payload (RFC 791 section 3.1).
        self.out.plain(code::LD_H_ABS, base + 6);
        self.out.branch_if(code::JSET_K, 0x1fff, not_dhcp);
        // Port offset of a header without options. A header with options has its ports elsewhere, but no DHCP
        // server sends any.
        self.out.plain(code::LD_H_ABS, base + 20);
        self.out.branch_if(code::JEQ_K, DHCP_SERVER, self.first);
        self.out.place(not_dhcp);
        self.out.plain(code::LD_W_ABS, base + 12);
        self.out.jump(self.hash);
    }

    /// IPv6: neighbour discovery and messages of DHCP servers to the first worker, else the exclusive or of the four
    /// words of the source address into A.
    fn v6_source(&mut self, base: u32) {
        const DHCPV6_SERVER: u32 = 547;
        /// The first message type of neighbour discovery, a router solicitation, and the last, a redirect.
        const DISCOVERY: [u32; 2] = [133, 137];
        let [solicitation, redirect] = DISCOVERY;
        let (not_icmp, source) = (self.out.label(), self.out.label());
        self.out.plain(code::LD_B_ABS, base + 6);
        self.out.branch_unless(code::JEQ_K, ICMPV6, not_icmp);
        self.out.plain(code::LD_B_ABS, base + 40);
        self.out.branch_unless(code::JGE_K, solicitation, source);
        self.out.branch_unless(code::JGT_K, redirect, self.first);
        self.out.jump(source);
        self.out.place(not_icmp);
        self.out.branch_unless(code::JEQ_K, UDP, source);
        self.out.plain(code::LD_H_ABS, base + 40);
        self.out.branch_if(code::JEQ_K, DHCPV6_SERVER, self.first);
        self.out.place(source);
        self.out.plain(code::LD_W_ABS, base + 8);
        // `xor` takes X as its right operand, so the result so far moves to X before each load into A.
        for word in 1..4 {
            self.out.plain(code::TAX, 0);
            self.out.plain(code::LD_W_ABS, base + 8 + word * 4);
            self.out.plain(code::XOR_X, 0);
        }
        self.out.jump(self.hash);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Program;
    use crate::interpreter::Packet;
    use std::vec;

    const HASH: FanoutHash = FanoutHash::new(0x9e37_79b1);
    const V4: Address = Address::v4(0x0a14_1e42);

    fn worker(between: &[u8], inside: &[u8]) -> u32 {
        let bytes = [&[2; 12], between, inside].concat();
        let wire_len = u32::try_from(bytes.len()).unwrap();
        Program::new(HASH.build(14, 12).unwrap()).unwrap().run(&Packet {
            bytes: &bytes,
            wire_len,
            vlan: None,
        })
    }

    /// 10.20.30.66 to 10.20.30.10.
    fn v4(protocol: u8, source_port: u16) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 20, 30, 66, 10, 20, 30, 10];
        bytes.extend(source_port.to_be_bytes());
        bytes.resize(60, 0);
        bytes
    }

    fn v6(next: u8, first: [u8; 2]) -> (Address, Vec<u8>) {
        let source = [0xfd, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7];
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        bytes.extend(source);
        bytes.extend([0xfe; 16]);
        bytes.extend(first);
        bytes.resize(80, 0);
        (core::net::IpAddr::from(source).into(), bytes)
    }

    #[test]
    fn program_and_function_agree_behind_every_encapsulation() {
        let (source, six) = v6(6, [0, 80]);
        for between in [&[][..], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5]] {
            assert_eq!(worker(&[between, &[8, 0]].concat(), &v4(6, 80)), HASH.hash(V4));
            assert_eq!(worker(&[between, &[0x86, 0xdd]].concat(), &six), HASH.hash(source));
            let session = [between, &[0x88, 0x64, 0x11, 0, 0, 1, 0, 60]].concat();
            assert_eq!(worker(&[&session[..], &[0, 0x21]].concat(), &v4(17, 53)), HASH.hash(V4));
            assert_eq!(worker(&[&session[..], &[0, 0x57]].concat(), &six), HASH.hash(source));
        }
        assert_ne!(HASH.hash(V4), HASH.hash(source));
    }

    #[test]
    fn neighbour_and_dhcp_server_messages_go_to_the_first_worker() {
        assert_eq!(worker(&[8, 6], &[0; 46]), 0);
        assert_eq!(worker(&[8, 0], &v4(17, 67)), 0);
        assert_eq!(worker(&[8, 0], &v4(17, 68)), HASH.hash(V4));
        assert_eq!(worker(&[8, 0], &v4(6, 67)), HASH.hash(V4));
        for kind in 128..=140 {
            let (source, bytes) = v6(58, [kind, 0]);
            let expected = if (133..=137).contains(&kind) { 0 } else { HASH.hash(source) };
            assert_eq!(worker(&[0x86, 0xdd], &bytes), expected, "{kind}");
        }
        assert_eq!(worker(&[0x86, 0xdd], &v6(17, [2, 0x23]).1), 0, "547, a DHCPv6 server");
        assert_eq!(worker(&[0x88, 0xcc], &[0; 46]), 0, "no IP");
        assert_eq!(worker(&[0x81, 0, 0, 5, 8, 6], &[0; 46]), 0);
    }

    #[test]
    fn adjacent_addresses_are_distributed_evenly() {
        for workers in [2, 3, 4] {
            let mut counts = [0_u32; 4];
            for address in 0..4_096_u32 {
                let worker = HASH.hash(Address::v4(0x0a00_0000 + address)) % workers;
                counts[usize::try_from(worker).unwrap()] += 1;
            }
            let fair = 4_096 / workers;
            for count in &counts[..usize::try_from(workers).unwrap()] {
                assert!(count.abs_diff(fair) < fair / 4, "{counts:?}");
            }
        }
    }
}
