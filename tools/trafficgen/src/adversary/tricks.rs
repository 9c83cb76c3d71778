//! Registry of tricks: attacks in the form in which they are hardest to see.

use std::time::Duration;

use sentinel_units::ByteCount;

use super::channel::{self, Beacon, Carrier, Tunnel};
use super::evasion::{self, Eviction, Logins, Wrapping};
use super::link;
use super::scan::{Scan, Technique};
use crate::application::dns::record;
use crate::packet::{Family, flags};
use crate::{Packets, Parameters};

/// Address that an alert must name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Named {
    /// The attacker.
    Source,
    /// The victim; the sources are many or made up.
    Victim,
    /// One of both.
    Either,
    /// Nobody: every address is made up.
    Nobody,
}

/// Attack with a name, and what an alert about it must say.
#[derive(Clone, Copy, Debug)]
pub struct Trick {
    /// Name in reports.
    pub name: &'static str,
    /// Description in one sentence.
    pub about: &'static str,
    /// Kinds of alert of which one must be raised.
    pub kinds: &'static [&'static str],
    /// Address that it must name.
    pub named: Named,
    build: fn(&Parameters) -> Packets,
}

impl Trick {
    /// Frames of the attack.
    #[must_use]
    pub fn packets(&self, parameters: &Parameters) -> Packets {
        (self.build)(parameters)
    }

    const fn new(
        name: &'static str,
        about: &'static str,
        kinds: &'static [&'static str],
        named: Named,
        build: fn(&Parameters) -> Packets,
    ) -> Self {
        Self { name, about, kinds, named, build }
    }
}

const SCAN: &[&str] = &["port_scan", "host_sweep"];
const LOGIN: &[&str] = &["brute_force", "password_spray"];
const TUNNEL: &[&str] = &["dns_tunnel"];
const LEAK: &[&str] = &["exfiltration", "large_transfer"];
const FLOOD: &[&str] = &["udp_flood"];
const ARP: &[&str] = &["arp_spoof"];
const NDP: &[&str] = &["ndp_spoof"];
const BEACON: &[&str] = &["beacon"];
const SECOND: Duration = Duration::from_secs(1);

/// Every trick.
pub const TRICKS: &[Trick] = &[
    Trick::new("udp-scan-from-53", "UDP scan from port 53, as if it answered", SCAN, Named::Source, |p| {
        evasion::scan_from_port(p, 53)
    }),
    Trick::new("udp-scan-from-443", "UDP scan from port 443, as if it answered", SCAN, Named::Source, |p| {
        evasion::scan_from_port(p, 443)
    }),
    Trick::new("udp-flood-from-443", "UDP flood from port 443 to a high port", FLOOD, Named::Either, |p| {
        evasion::flood_from_port(p, 443)
    }),
    Trick::new("udp-flood-from-53", "UDP flood from port 53 to a high port", FLOOD, Named::Either, |p| {
        evasion::flood_from_port(p, 53)
    }),
    Trick::new("upload-from-443", "8 MB leave by UDP from port 443", LEAK, Named::Source, |p| {
        channel::from_server_port(p, 443)
    }),
    Trick::new(
        "upload-peer-first",
        "the peer's SYN opens the flow by which 8 MB leave",
        LEAK,
        Named::Source,
        evasion::peer_first,
    ),
    Trick::new("ack-before-syn", "SYN scan with an ACK before each SYN", SCAN, Named::Source, |p| {
        evasion::segment_before_syn(p, flags::ACK)
    }),
    Trick::new("rst-before-syn", "SYN scan with an RST before each SYN", SCAN, Named::Source, |p| {
        evasion::segment_before_syn(p, flags::RST)
    }),
    Trick::new("fragments-8", "SYN scan in fragments of 8 bytes", SCAN, Named::Source, |p| {
        evasion::fragmented(p, 8, Family::V4)
    }),
    Trick::new("fragments-16", "SYN scan in fragments of 16 bytes", SCAN, Named::Source, |p| {
        evasion::fragmented(p, 16, Family::V4)
    }),
    Trick::new("fragments-8-ipv6", "SYN scan over IPv6 in fragments of 8 bytes", SCAN, Named::Source, |p| {
        evasion::fragmented(p, 8, Family::V6)
    }),
    Trick::new("extension-headers-9", "SYN scan behind nine extension headers", SCAN, Named::Source, |p| {
        evasion::behind_extensions(p, 9)
    }),
    Trick::new(
        "extension-headers-100",
        "SYN scan behind a hundred extension headers",
        SCAN,
        Named::Source,
        |p| evasion::behind_extensions(p, 100),
    ),
    Trick::new("tags-2", "SYN scan behind two VLAN tags", SCAN, Named::Source, |p| {
        evasion::behind_tags(p, 2)
    }),
    Trick::new("tags-5", "SYN scan behind five VLAN tags", SCAN, Named::Source, |p| {
        evasion::behind_tags(p, 5)
    }),
    Trick::new("inside-gre", "SYN scan inside GRE", SCAN, Named::Source, |p| {
        evasion::wrapped(p, Wrapping::Gre)
    }),
    Trick::new("inside-ipip", "SYN scan inside IP in IP", SCAN, Named::Source, |p| {
        evasion::wrapped(p, Wrapping::Ipip)
    }),
    Trick::new("inside-6in4", "SYN scan over IPv6 inside IPv4", SCAN, Named::Source, |p| {
        evasion::wrapped(p, Wrapping::SixInFour)
    }),
    Trick::new("inside-vxlan", "SYN scan inside VXLAN", SCAN, Named::Source, |p| {
        evasion::wrapped(p, Wrapping::Vxlan)
    }),
    Trick::new(
        "14-ports-per-window",
        "SYN scan of 14 ports in each 10.1 s",
        SCAN,
        Named::Source,
        evasion::below_the_window,
    ),
    Trick::new(
        "one-port-many-hosts",
        "SYN to port 445 of 200 hosts, five a second",
        SCAN,
        Named::Source,
        |p| {
            Scan { technique: Technique::SynSweep, interval: SECOND / 5, family: Family::V4, probes: 200 }
                .packets(p)
        },
    ),
    Trick::new(
        "addresses-of-one-64",
        "SYN scan with another address of one /64 for each port",
        SCAN,
        Named::Either,
        evasion::many_addresses,
    ),
    Trick::new(
        "distributed-scan",
        "300 ports of one host from sixty machines",
        SCAN,
        Named::Victim,
        evasion::distributed_scan,
    ),
    Trick::new("table-of-scanners", "slow SYN scan among 512 made-up scanners", SCAN, Named::Source, |p| {
        evasion::evicted(p, Eviction::Scanners)
    }),
    Trick::new(
        "half-datagrams",
        "fragmented scan among 300 half datagrams a second",
        SCAN,
        Named::Source,
        |p| evasion::evicted(p, Eviction::HalfDatagrams),
    ),
    Trick::new(
        "openings-used-up",
        "slow SYN scan after 200 made-up scanners in a second",
        SCAN,
        Named::Source,
        |p| evasion::evicted(p, Eviction::Openings),
    ),
    Trick::new("arp-both-sides", "ARP replies to victim and gateway", ARP, Named::Either, link::both_sides),
    Trick::new(
        "arp-by-requests",
        "ARP requests in the gateway's name",
        ARP,
        Named::Either,
        link::by_requests,
    ),
    Trick::new(
        "arp-attacker-first",
        "the attacker claims the gateway's address before the gateway speaks",
        ARP,
        Named::Either,
        link::attacker_first,
    ),
    Trick::new(
        "arp-virtual-router",
        "ARP replies from a virtual router's MAC address",
        ARP,
        Named::Either,
        link::virtual_router,
    ),
    Trick::new(
        "arp-forged-lease",
        "ARP replies after a forged DHCP acknowledgement",
        ARP,
        Named::Either,
        link::forged_lease,
    ),
    Trick::new(
        "arp-table-of-bindings",
        "ARP replies after 2,000 made-up bindings",
        ARP,
        Named::Either,
        evasion::evicted_binding,
    ),
    Trick::new(
        "ndp-advertisements",
        "neighbour advertisements in the gateway's name",
        NDP,
        Named::Either,
        link::neighbour_advertisements,
    ),
    Trick::new(
        "rogue-dhcp",
        "a second DHCP server that names itself as router",
        &["rogue_dhcp"],
        Named::Source,
        link::rogue_dhcp,
    ),
    Trick::new(
        "rogue-router",
        "router advertisements of a second router",
        &["rogue_ra"],
        Named::Either,
        link::rogue_router,
    ),
    Trick::new(
        "dhcp-starvation",
        "requests for all leases from made-up MAC addresses",
        &["dhcp_starvation", "rogue_dhcp"],
        Named::Nobody,
        link::starvation,
    ),
    Trick::new(
        "mac-flood",
        "frames from 5,000 made-up MAC addresses",
        &["mac_flood"],
        Named::Nobody,
        link::mac_flood,
    ),
    Trick::new("ssh-40-in-30-s", "40 failed SSH sessions in 30 s", LOGIN, Named::Source, |p| {
        evasion::logins(p, Logins { connections: 40, gap: SECOND * 3 / 4, ..SSH })
    }),
    Trick::new(
        "ssh-ack-first",
        "40 failed SSH sessions in 30 s, an ACK before each SYN",
        LOGIN,
        Named::Source,
        |p| evasion::logins(p, Logins { connections: 40, gap: SECOND * 3 / 4, ack_first: true, ..SSH }),
    ),
    Trick::new("ssh-slow", "a failed SSH session each 10 s", LOGIN, Named::Source, |p| {
        evasion::logins(p, Logins { gap: SECOND * 10, ..SSH })
    }),
    Trick::new("ssh-many-tries", "12 SSH sessions with 20 passwords each", LOGIN, Named::Source, |p| {
        evasion::logins(p, Logins { connections: 12, tries: 20, gap: SECOND * 10, ..SSH })
    }),
    Trick::new("ssh-2222", "60 failed SSH sessions on port 2222, two a second", LOGIN, Named::Source, |p| {
        evasion::logins(p, Logins { port: 2_222, gap: SECOND / 2, ..SSH })
    }),
    Trick::new("password-spray", "one failed SSH session at each of 60 hosts", LOGIN, Named::Source, |p| {
        evasion::logins(p, Logins { hosts: 60, gap: SECOND * 2, ..SSH })
    }),
    Trick::new(
        "ssh-distributed",
        "a failed SSH session from each of 60 machines",
        LOGIN,
        Named::Victim,
        |p| evasion::logins(p, Logins { sources: 60, gap: SECOND * 2, ..SSH }),
    ),
    Trick::new(
        "tunnel-names-255",
        "DNS tunnel, names of 250 characters, ten a second",
        TUNNEL,
        Named::Source,
        |p| tunnel(Carrier::Names(250), record::TXT, 10, 600).packets(p),
    ),
    Trick::new(
        "tunnel-names-45",
        "DNS tunnel, names of 45 characters, ten a second",
        TUNNEL,
        Named::Source,
        |p| tunnel(Carrier::Names(45), 10, 10, 600).packets(p),
    ),
    Trick::new(
        "tunnel-names-49",
        "DNS tunnel, names of 49 characters, two a second",
        TUNNEL,
        Named::Source,
        |p| tunnel(Carrier::ShortNames, record::A, 2, 300).packets(p),
    ),
    Trick::new("tunnel-slow", "DNS tunnel, a name of 49 characters each 40 s", TUNNEL, Named::Source, |p| {
        Tunnel { carrier: Carrier::ShortNames, record: record::A, interval: SECOND * 40, queries: 100 }
            .packets(p)
    }),
    Trick::new(
        "tunnel-mx-cname",
        "DNS tunnel by CNAME, names of 100 characters",
        TUNNEL,
        Named::Source,
        |p| tunnel(Carrier::Names(100), record::CNAME, 5, 300).packets(p),
    ),
    Trick::new("tunnel-answers", "DNS tunnel in TXT answers to short names", TUNNEL, Named::Source, |p| {
        tunnel(Carrier::Answers, record::TXT, 5, 300).packets(p)
    }),
    Trick::new("tunnel-reverse", "DNS tunnel in the nibbles of reverse names", TUNNEL, Named::Source, |p| {
        tunnel(Carrier::ReverseNibbles, record::PTR, 5, 600).packets(p)
    }),
    Trick::new(
        "tunnel-qr-bit",
        "DNS tunnel in queries that call themselves responses",
        TUNNEL,
        Named::Source,
        |p| tunnel(Carrier::QueryResponseBit, record::TXT, 5, 300).packets(p),
    ),
    Trick::new("tunnel-port-5300", "DNS tunnel to port 5300", TUNNEL, Named::Source, |p| {
        tunnel(Carrier::Port(5_300), record::TXT, 5, 300).packets(p)
    }),
    Trick::new("tunnel-tcp", "DNS tunnel over TCP", TUNNEL, Named::Source, |p| {
        tunnel(Carrier::Stream, record::TXT, 5, 300).packets(p)
    }),
    Trick::new(
        "upload-spread",
        "120 MB in parts of 2 MB to sixty hosts, a minute apart",
        LEAK,
        Named::Source,
        |p| channel::spread_exfiltration(p, ByteCount(2_000_000), 60, SECOND * 60),
    ),
    Trick::new(
        "icmp-tunnel",
        "data in echo requests of 1,200 bytes, ten a second",
        &["icmp_tunnel"],
        Named::Source,
        channel::icmp_tunnel,
    ),
    Trick::new("beacon-60", "calls home each minute, 20 % jitter, 10 % missed", BEACON, Named::Source, |p| {
        Beacon { period: SECOND * 60, jitter_percent: 20, missed_percent: 10, calls: 90 }.packets(p)
    }),
];

const SSH: Logins =
    Logins { port: 22, connections: 60, tries: 3, gap: SECOND, hosts: 1, sources: 1, ack_first: false };

fn tunnel(carrier: Carrier, record: u16, per_second: u32, queries: u32) -> Tunnel {
    Tunnel { carrier, record, interval: SECOND / per_second, queries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trick_has_frames_and_a_name_of_its_own() {
        let mut names: Vec<_> = TRICKS.iter().map(|trick| trick.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TRICKS.len());
        for trick in TRICKS {
            let frames: Vec<_> = trick.packets(&Parameters::default()).collect();
            assert!(frames.len() >= 6, "{}", trick.name);
            assert!(frames.is_sorted_by_key(|frame| frame.offset), "{}", trick.name);
        }
    }
}
