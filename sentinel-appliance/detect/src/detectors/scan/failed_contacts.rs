//! `port_scan` by failed contacts, and `host_sweep`: one source contacts hosts and ports that it never contacted before, and few
//! answer.
//!
//! Read first: "Fast Portscan Detection Using Sequential Hypothesis Testing" (Jung, Paxson, Berger, Balakrishnan, 2004), section 4;
//! "Very Fast Containment of Scanning Worms" (Weaver, Staniford, Paxson, 2004).
//!
//! The test is Wald's over the outcomes of first contacts. With the paper's probabilities of an answer, 0.8 for ordinary hosts
//! and 0.2 for scanners, an unanswered contact adds two bits to the log likelihood ratio, and the first answer of a host takes two
//! away; below zero it does not fall, so that a long good record hides nothing. Its threshold for a detection rate of 0.99 and a
//! false positive rate of 0.01 is log2(99), 6.6 bits. Numbers are Q8: 256 is one bit.
//!
//! | contact | answered | failed |
//! |---|---|---|
//! | SYN; first datagram | SYN with ACK; a datagram back | RST, ICMP unreachable, silence |
//! | ACK, FIN with ACK (Window, Maimon) without a flow | - | RST |
//! | SCTP INIT; another IP protocol | INIT ACK; a packet back | ABORT, ICMP unreachable, silence |
//! | echo request; ARP or neighbour solicitation to all | reply | silence |
//!
//! Silence is three seconds; answers count then, too, in the order of the contacts. Not every failed contact counts two bits, because
//! ordinary hosts fail in other ways than scanners:
//!
//! - Peers of file sharing, games and calls are one random port on each of many hosts, and most are gone. A contact whose host and port
//!   are both new adds less than a bit, and such contacts alone never reach a third of the threshold.
//! - From the home network to the outside, hosts of one service that is down are many hosts and one port. Only ports that worms
//!   search count in full there, and other ports of one host that refuses them: one that is silent is down.
//! - While nothing outside answers anybody, silence from outside says nothing: the uplink is down. The same holds for private
//!   addresses that are not of the home network: the tunnel to them is down.
//! - Datagrams need no answer. Silence counts in full only while all of it is about one host or one port.
//! - A printer refuses most ports that its driver tries, a VPN gateway that is out of reach is silent at several, and a computer away from
//!   its domain asks controllers of at most eight addresses in vain: the ports of those count like random ones at that host.
//! - Of several hosts, one that answers at last clears its source of as much as one failed contact, whatever it refused before.
//! - Responses from another port than the one that was asked (TFTP, SSDP) are no contacts.
//!
//! After an answer the TCP and UDP contacts of a source are not looked at for at most five seconds, but one of 32. A source with
//! evidence against it gets no such time, nor does one that has reached the threshold of `ports_in_window` meanwhile.
//!
//! Evasions: hide most probes behind an answered contact before each two seconds of them; failed contacts
//! slower than one in an hour; random ports above 1023 on hosts outside; answers of an accomplice's hosts between the probes (one new
//! host for each probe); source addresses of one probe each, unless they are of one IPv6 /64; ACKs to hosts that answer nothing at
//! all. Backscatter accuses nobody: an answer counts only to a contact that was seen.

use core::time::Duration;

use sentinel_alert::{Kind, Severity};
use sentinel_dissect::{Network, TcpFlags, Transport, protocol};
use sentinel_track::flow::{Endpoint, Inspection, looks_like_initiator};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Port, Timestamp};

use super::contact_table::{
    ANSWER_TIMEOUT, Class, ContactSet, ContactTable, Pending, Shape, Suspect, class_number,
};
use super::evidence::{FULL, HALF, QUARTER, is_directory, weight};
use super::port_scan::{Admission, Thresholds};
use super::quoted::{self, Quoted};
use super::{is_crafted, is_printer_port, needs_no_answer};
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::{Counted, DHCP_SERVER, Event, OtherEvent, Setting};
use crate::shared::home_net::HomeNet;
use crate::shared::rate::Activation;

/// Declaration of `host_sweep`.
pub(crate) struct HostSweep;

impl HostSweep {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::HostSweep,
        about: "one source contacts one port, or none, of many hosts, and few answer",
        source: "the sequential test of `port_scan.failed_contacts`: Jung et al. (2004)",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };
}

/// Weak contacts alone never reach more than this.
const WEAK_LIMIT: u16 = 512;
/// Most that the ratio keeps above the threshold, so that a source can be cleared again.
const MARGIN: u16 = 1_024;
/// Ports at which programs look for printers, scanners and shares: `NetBIOS`, SNMP, SLP, SSDP, Epson, WSD, Canon.
const DISCOVERY_PORTS: [u16; 8] = [137, 161, 427, 1_900, 3_289, 3_702, 8_610, 8_612];
/// Outcomes are counted so much late at most, many at a time.
const BATCH: Duration = Duration::from_millis(250);
/// Added to the key of a source for contacts that ordinary programs make as well, which are judged apart.
const QUIET_KEY: u32 = 0x5155_4945;
const HOST_KEY: u32 = 0x484f_5354;
const SEARCH_KEY: u32 = 0x5446_5450;
const OPEN_KEY: u32 = 0x4f50_454e;
const DIRECTORY_KEY: u32 = 0x4449_5245;
const PRINTER_KEY: u32 = 0x5052_4e54;
const CLEARED_KEY: u32 = 0x434c_4541;

/// First contacts of all sources.
#[derive(Debug)]
pub(crate) struct FailedContacts<'m> {
    table: ContactTable<'m>,
    scan: Activation,
    sweep: Activation,
    /// Threshold of the ratio, in Q8.
    limit: u16,
    crafted_limit: u32,
    /// True if this engine sees both directions of every flow.
    is_alone: bool,
    /// Source, destination and port of the last request, whose repetition is no contact.
    last: (Address, Address, Port),
    /// Time of the last answer from outside: from IPv4, IPv6 and private addresses.
    alive: [Timestamp; 3],
    /// Address of the DHCP server, which pings addresses before it leases them.
    dhcp_server: Address,
}

/// Contact as a detector is told of it.
struct Contact<'p> {
    source: Address,
    destination: Address,
    port: u16,
    class: Class,
    flags: u16,
    sender: Option<&'p [u8; 6]>,
}

impl<'m> FailedContacts<'m> {
    pub(crate) fn new(sets: &'m mut [ContactSet], sweep: &DetectorConfig, scan: &DetectorConfig) -> Self {
        let mut new = Self {
            table: ContactTable::new(sets),
            scan: scan.into(),
            sweep: sweep.into(),
            limit: 0,
            crafted_limit: 0,
            is_alone: true,
            last: Default::default(),
            alive: [Timestamp::ZERO; 3],
            dhcp_server: Address::UNSPECIFIED,
        };
        new.configure(sweep, scan);
        new
    }

    pub(crate) fn configure(&mut self, sweep: &DetectorConfig, scan: &DetectorConfig) {
        let Thresholds { failed_contacts, crafted_packets, .. } = scan.into();
        (self.scan, self.sweep, self.crafted_limit) = (scan.into(), sweep.into(), crafted_packets);
        // log2(99) for four: the last contact need not pass it by more than its own two bits.
        let limit = failed_contacts.saturating_mul(u32::from(FULL)).saturating_sub(351);
        self.limit = u16::try_from(limit).unwrap_or(u16::MAX - MARGIN).min(u16::MAX - MARGIN);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Answers go to another engine from now on: nothing that is silent here has failed.
    pub(crate) const fn set_shard(&mut self) {
        self.is_alone = false;
    }

    const fn is_enabled(&self) -> bool {
        (self.scan.enabled || self.sweep.enabled) && self.is_alone
    }

    /// Returns true if contacts of this source are not looked at, because one was answered lately. One of 32 is all the same, by the
    /// time, which no sender can aim at.
    #[inline]
    pub(crate) fn trusts(&self, source_hash: u32, now: Timestamp) -> bool {
        self.table.trusts(source_hash, 0) && now.as_nanos() >> 9 & 31 != 0
    }

    /// Returns true if a contact of this source was answered in the last five to ten seconds, and there was no evidence against it.
    pub(crate) fn has_trusted(&self, source_hash: u32) -> bool {
        self.table.trusts(source_hash, 0) || self.table.trusts(source_hash, 1)
    }

    /// Returns true for a request that repeats the last one.
    #[inline]
    pub(crate) fn is_repeated(&self, packet: &Counted<'_>) -> bool {
        (packet.source, packet.destination, packet.destination_port.unwrap_or_default()) == self.last
    }

    /// Returns true if there is room for a contact of this source that is looked at.
    #[inline]
    fn admits(&mut self, key: &HashKey, source: Address, source_hash: u32, admission: Admission) -> bool {
        if admission == Admission::Revoked {
            self.table.set_trust(source_hash, false);
        }
        self.table.admits(if source.is_v4() { source_hash } else { network_hash(key, source) })
    }

    /// Notes a connection request that is looked at. Returns true if its answer is waited for.
    #[inline(never)] // keeps the code of all other requests short
    pub(crate) fn request(
        &mut self,
        setting: Setting<'_>,
        packet: &Counted<'_>,
        source_hash: u32,
        admission: Admission,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        if !self.admits(setting.key, packet.source, source_hash, admission) {
            return false;
        }
        let port = packet.destination_port.unwrap_or_default();
        self.last = (packet.source, packet.destination, port);
        self.begin(setting, &Contact::of(packet, port.0, Class::Request, 0), findings)
    }

    /// Notes a connection request of the slow path, as [`Self::request`] does.
    #[inline(never)] // keeps the code of all other packets short
    pub(crate) fn segment(
        &mut self,
        event: &Event<'_, '_>,
        admission: Admission,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let packet = event.packet.into();
        !self.is_repeated(&packet)
            && self.request(event.setting, &packet, event.source_hash, admission, findings)
    }

    /// Notes a datagram that announces responses from other ports, or from a DHCP server.
    #[cold]
    pub(crate) fn announcement(&mut self, event: &Event<'_, '_>) {
        let (source, destination) = (event.source(), event.destination());
        if source.port == DHCP_SERVER {
            self.dhcp_server = source.address;
        } else {
            let asked =
                if is_group(destination.address) { Address::UNSPECIFIED } else { destination.address };
            let _known_from_before = self.table.note(search(event.setting.key, source, asked));
        }
    }

    /// Notes the first datagram of a flow that is looked at. Returns true if its answer is waited for.
    #[inline(never)] // keeps the code of all other packets short
    pub(crate) fn datagram(
        &mut self,
        event: &Event<'_, '_>,
        admission: Admission,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let key = event.setting.key;
        let (source, destination) = (event.source(), event.destination());
        if !self.admits(key, source.address, event.source_hash, admission) {
            return false;
        }
        let mut asked = [Address::UNSPECIFIED, source.address].into_iter();
        if destination.port.0 >= 1_024 && asked.any(|asked| self.table.knows(search(key, destination, asked)))
        {
            self.table.set_trust(event.source_hash, true);
            return false;
        }
        let quiet = if DISCOVERY_PORTS.contains(&destination.port.0) { Shape::QUIET } else { 0 };
        let packet = event.packet.into();
        let contact = Contact::of(&packet, destination.port.0, Class::Request, Shape::DATAGRAM | quiet);
        self.begin(event.setting, &contact, findings)
    }

    /// Notes the first datagram of a flow that its port makes a response: whoever scans from the port of a server is answered by
    /// nobody, while a flow that is older than the sensor goes on. Returns true if its answer is waited for.
    #[cold]
    pub(crate) fn unasked(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        !needs_no_answer(event.source().port)
            && !self.trusts(event.source_hash, event.setting.now)
            && self.datagram(event, Admission::Open, findings)
    }

    /// Returns false if no contact between these hosts waits for an answer.
    #[inline]
    pub(crate) fn awaits(&self, source: Address, destination: Address) -> bool {
        self.table.awaits(source, destination)
    }

    /// Takes a segment that answers a SYN, or a response of a flow.
    #[inline(never)] // keeps the code of all other packets short
    pub(crate) fn answered(&mut self, event: &Event<'_, '_>) {
        self.answer(event.setting, &Quoted::answered_by(event.packet));
    }

    /// Takes a RST, or a segment that opens nothing and belongs to no connection.
    #[cold]
    pub(crate) fn odd_segment(
        &mut self,
        event: &Event<'_, '_>,
        inspection: Inspection,
        findings: &mut Findings<'_, '_>,
    ) {
        let (setting, role) = (event.setting, event.role);
        let flags = event.packet.tuple.tcp_flags.unwrap_or_default();
        if is_crafted(flags, role.is_first) {
            return self.crafted_packet(setting, &event.packet.into(), findings);
        }
        let answered = Quoted::answered_by(event.packet);
        if !flags.has(TcpFlags::RST) || self.refuse(setting, &answered, true, findings) {
            return;
        }
        // The first packet back, of a flow that a segment without SYN began.
        if !role.is_first && !role.from_initiator && inspection == Inspection::Full && self.is_enabled() {
            let Quoted { source, destination, port, .. } = answered;
            let (at, shape) = (setting.now, Shape(class_number(Class::Stray)));
            let contact = Pending { source, destination, at, hash: 1, port, shape, ..Pending::default() };
            self.settle(setting, contact, true, at, findings);
        }
    }

    /// Takes a packet without ports.
    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        if !self.is_enabled() {
            return;
        }
        let (setting, packet) = (event.setting, event.packet);
        let sender = packet.ethernet.as_ref().map(|ethernet| &ethernet.source.0);
        if let Network::Arp(arp) = &packet.network {
            let is_to_all = packet.ethernet.as_ref().is_none_or(|ethernet| ethernet.destination.is_group());
            if arp.is_reply() {
                self.neighbour(setting, arp.target_ip, arp.sender_ip);
            } else if arp.is_request() && is_to_all && !arp.is_gratuitous() && !arp.is_probe() {
                self.admit(setting, &Contact::search(arp.sender_ip, arp.target_ip, sender), findings);
            }
            return;
        }
        let Some(ip) = packet.ip() else { return };
        let (is_request, is_reply, is_failure, is_exceeded, quote) = match &packet.transport {
            Transport::Icmp(icmp) => (
                icmp.is_echo_request(),
                icmp.is_echo_reply(),
                icmp.is_unreachable() && icmp.code != NEEDS_FRAGMENTATION,
                icmp.is_time_exceeded(),
                icmp.payload,
            ),
            Transport::Icmpv6(icmp) => {
                if let Some(neighbour) = icmp.neighbour() {
                    if neighbour.is_advertisement {
                        self.neighbour(setting, ip.destination, neighbour.target);
                    } else if ip.destination.is_group() {
                        self.admit(setting, &Contact::search(ip.source, neighbour.target, sender), findings);
                    }
                    return;
                }
                (
                    icmp.is_echo_request(),
                    icmp.is_echo_reply(),
                    icmp.is_unreachable(),
                    icmp.is_time_exceeded(),
                    icmp.payload,
                )
            }
            _ => return self.other(event, findings),
        };
        if is_request {
            let quiet = if ip.source == self.dhcp_server { Shape::QUIET } else { 0 };
            let (source, destination) = (ip.source, ip.destination);
            let flags = Shape::DATAGRAM | quiet;
            let contact = Contact { source, destination, port: 0, class: Class::Echo, flags, sender };
            self.admit(setting, &contact, findings);
        } else if is_reply {
            let (source, destination) = (ip.destination, ip.source);
            self.answer(setting, &Quoted { source, destination, protocol: protocol::ICMP, port: 0 });
        } else if is_failure || is_exceeded {
            let Some(quoted) = quoted::parse(quote) else { return };
            if is_failure {
                self.refuse(setting, &quoted, ip.source == quoted.destination, findings);
            } else {
                // A traceroute: no answer of the destination, and no failure.
                let _dropped = quoted.take(setting.key, &mut self.table, 0);
            }
        }
    }

    /// SCTP and protocols without ports.
    fn other(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let setting = event.setting;
        let (Some(ip), Some(packet)) = (event.packet.ip(), Counted::without_ports(event.packet)) else {
            return;
        };
        if ip.is_later_fragment() || matches!(event.packet.transport, Transport::None) {
            return;
        }
        let (mut port, mut class, mut answered) = (u16::from(ip.protocol), Class::Protocol, None);
        if ip.protocol == protocol::SCTP {
            let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, chunk, ..] = *ip.payload else { return };
            class = Class::Sctp;
            port = u16::from_be_bytes([d0, d1]);
            if chunk != INIT {
                // Anything but an ABORT is an answer, if a contact waits for one.
                (port, answered) = (u16::from_be_bytes([s0, s1]), Some(chunk != ABORT));
            }
        }
        let back = Quoted { source: ip.destination, destination: ip.source, protocol: ip.protocol, port };
        match answered {
            Some(false) => drop(self.refuse(setting, &back, true, findings)),
            Some(true) => drop(self.answer(setting, &back)),
            None if class == Class::Protocol && self.answer(setting, &back) => {}
            None => {
                self.admit(setting, &Contact::of(&packet, port, class, Shape::DATAGRAM), findings);
            }
        }
    }

    /// A neighbour has answered `source`, who asked for `destination`.
    fn neighbour(&mut self, setting: Setting<'_>, source: Address, destination: Address) {
        let hash = quoted::hash(setting.key, (source, destination), 0, Class::Neighbour);
        let _waited = self.table.take(hash, Shape::ANSWERED);
    }

    /// Notes a contact, if there is room for one of its source.
    fn admit(&mut self, setting: Setting<'_>, contact: &Contact<'_>, findings: &mut Findings<'_, '_>) {
        if self.table.admits(network_hash(setting.key, contact.source)) {
            self.begin(setting, contact, findings);
        }
    }

    /// Notes a contact. Returns true if its answer is waited for.
    fn begin(
        &mut self,
        setting: Setting<'_>,
        contact: &Contact<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Setting { now, key, .. } = setting;
        let &Contact { source, destination, port, class, flags, sender } = contact;
        if !self.is_enabled() || is_group(destination) || source == destination || source.is_unspecified() {
            return false;
        }
        let hash = quoted::hash(key, (source, destination), port, class);
        if self.table.waits(hash) {
            return true;
        }
        let shape = Shape(class_number(class) | flags);
        let mac = sender.copied().unwrap_or_default();
        let pending = Pending { source, destination, at: now, hash, port, shape, mac, ..Pending::default() };
        self.table.wait(pending);
        findings.incidents.wake_at(self.table.due.after(BATCH).min(self.table.trust_until));
        true
    }

    /// Counts the outcomes of the contacts that have waited long enough.
    #[cold]
    pub(crate) fn expire(&mut self, setting: Setting<'_>, findings: &mut Findings<'_, '_>) {
        while setting.now >= self.table.due {
            let Some(contact) = self.table.pop() else { break };
            self.settle(setting, contact, false, contact.at.after(ANSWER_TIMEOUT), findings);
        }
        if setting.now >= self.table.trust_until {
            self.table.age_trust(setting.now);
        }
        self.table.keep_suspects(|source| network_hash(setting.key, source));
        findings.incidents.wake_at(self.table.due.after(BATCH).min(self.table.trust_until));
    }

    /// The traffic has ended: a second without an answer, the first retransmission timeout of TCP (RFC 6298 section 2), is enough.
    pub(crate) fn finish(&mut self, setting: Setting<'_>, findings: &mut Findings<'_, '_>) {
        self.expire(setting, findings);
        while let Some(contact) = self.table.pop() {
            if setting.now.since(contact.at).as_millis() >= 1_000 {
                self.settle(setting, contact, false, setting.now, findings);
            }
        }
    }

    /// The destination of a contact has answered. Returns false if none waited.
    fn answer(&mut self, setting: Setting<'_>, quoted: &Quoted) -> bool {
        let Setting { now, key, home_net } = setting;
        let Some(contact) = quoted.take(key, &mut self.table, Shape::ANSWERED) else { return false };
        let is_internal = is_internal(home_net, contact.source);
        if is_internal
            && home_net.is_external(contact.destination)
            && let Some(alive) = self.alive.get_mut(uplink(contact.destination))
        {
            *alive = now;
        }
        let source = source_key(key, &contact, is_internal);
        let _again = self.table.note(open_key(key, source, contact.destination));
        // Refusals count at once: an answer between them must, too, if there is evidence that it clears.
        self.clear(source, of_host(key, source, contact.destination), now);
        let suspect = self.table.suspect(source, now);
        let score = suspect.map_or(0, |suspect| suspect.score);
        if score <= WEAK_LIMIT {
            self.table.set_trust(key.address(contact.source), true);
        }
        true
    }

    /// A contact was refused, directly by its destination or by a router. Returns false if none waited.
    fn refuse(
        &mut self,
        setting: Setting<'_>,
        quoted: &Quoted,
        is_direct: bool,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Some(contact) = quoted.take(setting.key, &mut self.table, 0) else { return false };
        self.table.trim();
        self.settle(setting, contact, is_direct, setting.now, findings);
        true
    }

    /// Counts the outcome of a contact, if it is the first one. `is_direct` if the destination itself refused it.
    fn settle(
        &mut self,
        setting: Setting<'_>,
        mut contact: Pending,
        is_direct: bool,
        at: Timestamp,
        findings: &mut Findings<'_, '_>,
    ) {
        let Setting { key, home_net, .. } = setting;
        let is_answered = contact.shape.has(Shape::ANSWERED);
        if contact.hash == 0 && !is_answered {
            return;
        }
        let is_internal = is_internal(home_net, contact.source);
        let is_outward = is_internal && home_net.is_external(contact.destination);
        if is_outward && !is_answered && !is_direct {
            let alive = self.alive.get(uplink(contact.destination)).copied().unwrap_or_default();
            if alive < contact.at {
                return;
            }
        }
        let source = source_key(key, &contact, is_internal);
        let of_host = of_host(key, source, contact.destination);
        let of_port = key.with(source, u32::from(contact.port) << 8 | u32::from(contact.shape.class()));
        // The protocol is not part of it: TCP and UDP to one port of a peer are one contact.
        if self.table.note(key.with(of_host, of_port)) {
            // Known failures are no evidence, but who was reported and goes on with them is not forgotten.
            let is_named = |held: &mut Suspect| held.flags & (Suspect::IS_SCAN | Suspect::IS_SWEEP) != 0;
            if !is_answered && self.table.suspect(source, at).is_some_and(is_named) {
                let _same = self.table.accuse(source, at);
            }
            return;
        }
        if is_answered {
            return self.clear(source, of_host, at);
        }
        let destination = contact.destination;
        let trusted = self.has_trusted(key.address(contact.source));
        let mut mark = |is_known: bool, flag: u16| contact.shape.0 |= if is_known { flag } else { 0 };
        mark(self.table.note(of_host), Shape::HOST_KNOWN);
        mark(self.table.note(of_port), Shape::PORT_KNOWN);
        mark(is_outward, Shape::OUTWARD);
        let directory = directory_key(key, source, destination);
        mark(
            self.table.knows_or_notes(directory, is_directory(contact.port) && !is_direct),
            Shape::DIRECTORY,
        );
        mark(self.table.knows_or_notes(of_host ^ PRINTER_KEY, is_printer_port(contact.port)), Shape::PRINTER);
        // A host that is used refuses some ports, and one that is off has several. Whoever was answered lately is not a scanner so soon.
        let is_open = self.table.knows(open_key(key, source, destination));
        mark(is_open == is_direct && trusted, Shape::USUAL);
        let source = if contact.shape.has(Shape::QUIET) { source ^ QUIET_KEY } else { source };
        let limit = self.limit;
        let Some(suspect) = self.table.accuse(source, at) else { return };
        let weight = weight(&contact, suspect, is_direct);
        suspect.add(key, &contact, at);
        if weight >= HALF || weight == QUARTER {
            suspect.score = suspect.score.saturating_add(weight).min(limit + MARGIN);
        } else if suspect.score < WEAK_LIMIT {
            suspect.score = (suspect.score + weight).min(WEAK_LIMIT);
        }
        if suspect.score >= limit {
            self.judge(source, contact.shape, at, findings);
        }
    }

    /// A host has answered a source. Only the first answer of each clears it, and none does if all of the evidence is about that host,
    /// because a scan of one host finds open ports too. Of several hosts some refuse before they answer, because monitors meet stopped services;
    /// that clears nobody who was reported.
    fn clear(&mut self, source: u32, of_host: u32, at: Timestamp) {
        let Some((score, flags)) = self.table.suspect(source, at).map(|held| (held.score, held.flags)) else {
            return;
        };
        let is_named = flags & (Suspect::IS_SCAN | Suspect::IS_SWEEP) != 0;
        if score > 0
            && (!self.table.note(of_host) || flags & Suspect::SEVERAL_HOSTS != 0 && !is_named)
            && !self.table.note(of_host ^ CLEARED_KEY)
            && let Some(suspect) = self.table.suspect(source, at)
        {
            suspect.score = suspect.score.saturating_sub(FULL);
        }
    }

    /// Reports a source that is over a limit.
    fn judge(&mut self, source: u32, shape: Shape, at: Timestamp, findings: &mut Findings<'_, '_>) {
        let Some(suspect) = self.table.suspect(source, at) else { return };
        suspect.name_shape();
        if !suspect.is_worth_telling(at) {
            return;
        }
        let is_sweep = suspect.has(Suspect::IS_SWEEP);
        let by_contacts = (suspect.score >= self.limit).then(|| suspect.finding(shape, is_sweep));
        let is_crafted = u32::from(suspect.crafted) >= self.crafted_limit;
        let by_packets = is_crafted.then(|| suspect.crafted_finding(self.crafted_limit));
        let activation = if is_sweep { self.sweep } else { self.scan };
        let severity = if shape.has(Shape::QUIET) {
            activation.severity.min(Severity::Low)
        } else {
            activation.severity
        };
        let now = findings.now;
        findings.now = at.min(now);
        if let Some(finding) = by_packets.filter(|_| self.scan.enabled) {
            findings.add(&Finding { severity: self.scan.severity, ..finding });
        }
        if let Some(finding) = by_contacts.filter(|_| activation.enabled) {
            findings.add(&Finding { severity, ..finding });
        }
        findings.now = now;
    }

    /// Counts a packet that no TCP/IP sends for any other purpose than to probe or to evade.
    pub(crate) fn crafted_packet(
        &mut self,
        setting: Setting<'_>,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        let Setting { now, key, home_net } = setting;
        let Counted { source, destination, sender, .. } = *packet;
        if !self.scan.enabled || destination.is_group() {
            return;
        }
        let mac = sender.copied().unwrap_or_default();
        let contact = Pending { source, destination, mac, ..Pending::default() };
        let source_key = source_key(key, &contact, is_internal(home_net, source));
        let Some(suspect) = self.table.accuse(source_key, now) else { return };
        if suspect.crafted == 0 && suspect.failed == 0 {
            (suspect.source, suspect.first, suspect.destination) = (source, now, destination);
        }
        if suspect.destination != destination {
            suspect.flags |= Suspect::SEVERAL_VICTIMS;
        }
        suspect.crafted = suspect.crafted.saturating_add(1);
        if u32::from(suspect.crafted) >= self.crafted_limit {
            self.judge(source_key, Shape(class_number(Class::Stray)), now, findings);
        }
    }
}

/// Code of ICMP unreachable that asks for smaller packets.
const NEEDS_FRAGMENTATION: u8 = 4;
/// Chunk types of RFC 9260 section 3.2.
const INIT: u8 = 1;
const ABORT: u8 = 6;

impl<'p> Contact<'p> {
    fn of(packet: &Counted<'p>, port: u16, class: Class, flags: u16) -> Self {
        let Counted { source, destination, sender, .. } = *packet;
        Self { source, destination, port, class, flags, sender }
    }

    /// A search for a neighbour.
    const fn search(source: Address, destination: Address, sender: Option<&'p [u8; 6]>) -> Self {
        let flags = Shape::DATAGRAM | Shape::QUIET;
        Self { source, destination, port: 0, class: Class::Neighbour, flags, sender }
    }
}

/// Returns true for a segment without a flow that may probe a host, if its response is a RST.
#[inline]
pub(crate) fn is_stray(event: &Event<'_, '_>) -> bool {
    let tuple = &event.packet.tuple;
    looks_like_initiator(tuple.source_port, tuple.destination_port)
        && event.packet.payload().is_empty()
        && tuple.source != tuple.destination
}

/// Key of a source: of the home network its address and hardware address, so that forged frames do not accuse the holder of the
/// address together with their sender; of IPv6 the /64, whose addresses one host may use in turn.
fn source_key(key: &HashKey, contact: &Pending, is_internal: bool) -> u32 {
    let [a, b, c, d, e, f] = if is_internal { contact.mac } else { [0; 6] };
    let mac = [u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f]))];
    key.hash32([network_hash(key, contact.source), mac[0], mac[1], 0])
}

/// Key of a host that a source has contacted, among the known contacts.
fn of_host(key: &HashKey, source: u32, host: Address) -> u32 {
    key.with(source ^ HOST_KEY, key.address(host))
}

/// Key of the search of a source for a directory in a network (IPv4: /24, IPv6: /64), among the known contacts.
fn directory_key(key: &HashKey, source: u32, host: Address) -> u32 {
    let [upper, lower, _, last] = host.words();
    let network = if host.is_v4() { [last >> 8, 0] } else { [upper, lower] };
    key.with(source ^ DIRECTORY_KEY, key.hash32(network))
}

/// Key of a host that has answered a source, among the known contacts.
fn open_key(key: &HashKey, source: u32, host: Address) -> u32 {
    key.with(source ^ OPEN_KEY, key.address(host))
}

/// Key of a search among the known contacts: who asks, from which port, and whom, or nobody for a group.
fn search(key: &HashKey, seeker: Endpoint, asked: Address) -> u32 {
    key.with(key.with(key.address(seeker.address) ^ SEARCH_KEY, seeker.port.0.into()), key.address(asked))
}

/// Hash of a source: of IPv6 that of the /64.
fn network_hash(key: &HashKey, source: Address) -> u32 {
    let [upper, lower, ..] = source.words();
    if source.is_v4() { key.address(source) } else { key.hash32([upper, lower]) }
}

fn is_internal(home_net: &HomeNet, address: Address) -> bool {
    home_net.is_internal(address) || address.is_link_local()
}

/// Returns true for an address of many receivers, or the broadcast address of a network of 256 addresses or of more.
#[inline]
pub(crate) const fn is_group(destination: Address) -> bool {
    let [.., last] = destination.words();
    destination.is_group() || destination.is_v4() && last & 0xff == 0xff
}

/// Way to an address outside: IPv4, IPv6, or a tunnel to private addresses (RFC 1918, RFC 6598, RFC 4193).
const fn uplink(destination: Address) -> usize {
    let [first, .., last] = destination.words();
    if !destination.is_v4() {
        return if first >> 25 == 0x7e { 2 } else { 1 };
    }
    let is_private = last >> 24 == 10 || last >> 20 == 0xac1 || last >> 16 == 0xc0a8 || last >> 22 == 0x191;
    if is_private { 2 } else { 0 }
}
