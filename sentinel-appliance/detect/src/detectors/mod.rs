//! The detectors: one file each, in the folder of its family, and the table that wires them.
//!
//! A new detector is its file (state, thresholds by name, `DETECTOR`, boundary tests), its `mod` line in the family, and one entry
//! of the table below. An entry says what the detector is called, what table it takes from the memory, and which packets it
//! needs; [`wiring`] generates storage, settings and dispatch from that. Everything is dispatched statically: a packet meets
//! only the detectors that need it, by direct calls.
//!
//! | need | packets that the detector gets | what it costs all others |
//! |---|---|---|
//! | `Requests` | every segment and datagram of the slow path | nothing |
//! | `FirstPacket` | the same, and first packets that only another worker saw | SYNs to its `watched_ports` take the slow path |
//! | `Questions` | DNS queries, which `dns_tunnel` keeps in full inspection, over TCP in complete messages | nothing |
//! | `NewFlow` | every segment and datagram of the slow path | SYNs of internal hosts to external ones take the slow path while it asks for that |
//! | `WatchedRequests` | TCP of the slow path | SYNs to its `watched_ports` take the slow path |
//! | `Payload(PORT)` | payload sent to the port, over TCP in complete messages | all packets to the port take the slow path |
//! | `DatagramsFrom(PORT)` | UDP from the port | all datagrams from the port take the slow path |
//! | `Sender` | every segment and datagram of the slow path | datagrams that it reads take the slow path |
//! | `Elsewhere` | none: another entry detects the kind | nothing |
//! | `UnansweredDatagrams` | UDP of a flow until it has a response, and the first response | the first datagram of each direction takes the slow path, one-way flows do always |
//! | `Contacts` | with the table of sources, contacts that are looked at, and their answers | the first answer to one takes the slow path |
//! | `Length` | length of every packet that it counts, also without ports | the fast path reads the frame's length |
//! | `Destinations` | every segment and datagram of the slow path, and requests that are only counted | the first segment of the other direction takes the slow path where it asks for that |
//! | `FirstPayloads` | SYN-ACKs, first packets, and segments of flows that it watches | the segments of these flows take the slow path |
//! | `Icmp` | ICMP and ICMPv6 | nothing |
//! | `Arp` | packets with neither ports nor ICMP | nothing |

pub(crate) mod access;
pub(crate) mod beacon;
pub(crate) mod dns;
pub(crate) mod flood;
pub(crate) mod lists;
pub(crate) mod payload;
pub(crate) mod scan;
pub(crate) mod source_table;
pub(crate) mod spoof;
pub(crate) mod transfer;
mod wiring;

use sentinel_dissect::{FiveTuple, Layer, Malformed, Packet, PacketSummary, TcpFlags, Vlans};
use sentinel_track::flow::{FlowId, Inspection, Role, is_certain_initiator};
use sentinel_track::neighbour::Neighbour;
use sentinel_track::table::CoarsePeriod;
use sentinel_units::{Address, Port, Timestamp};

use access::brute_force::{BruteForce, LoginAttemptsSet};
use beacon::{Beacon, Pair};
use dns::dga::{Dga, HostNamesSet};
use dns::fast_flux::FastFlux;
use dns::leaks::LeakSet;
use dns::lookalike::PunycodeLookalike;
use dns::names::Names;
use dns::nxdomain_burst::NxdomainBurst;
use dns::rebinding::{AnsweredName, DnsRebinding};
use dns::tunnel::DnsTunnel;
use flood::icmp::{IcmpFlood, SourceSet};
use flood::syn::SynFlood;
use flood::udp::{DatagramsSet, UdpFlood};
use flood::victims::{FragmentFlood, TcpFlood, Victim, Victims};
use lists::fingerprint::MaliciousFingerprint;
use lists::indicators::IndicatorLookup;
use lists::signatures::{
    ChatApp, CloudStorage, DatacenterIp, MaliciousDomain, MaliciousIp, ProxyVpn, Signatures, SuspiciousTld,
    Tor,
};
use lists::suspicious_port::{ListedPort, SuspiciousPort};
use payload::anomaly::ProtocolAnomaly;
use payload::bot::Bot;
use payload::credentials::CleartextCredentials;
use payload::icmp_tunnel::{EchoPair, IcmpTunnel};
use payload::tls::{Part, TlsRisk};
use payload::watch::{FirstPayloads, WATCHED, Watch};
use scan::TFTP;
use scan::contact_table::ContactSet;
use scan::failed_contacts::{FailedContacts, HostSweep, is_group, is_stray};
use scan::port_scan::{Admission, PortScan};
use source_table::{SourceActivitySet, SynSources};
use spoof::arp::ArpSpoof;
use spoof::device_offline::DeviceOffline;
use spoof::device_table::Device;
use spoof::link_layer::{LinkLayer, LinkMark};
use spoof::mac_flood::MacFlood;
use spoof::ndp::NdpSpoof;
use spoof::new_device::NewDevice;
use spoof::routers::RogueRa;
use spoof::servers::{RogueDhcp, RogueDns};
use spoof::starvation::DhcpStarvation;
use transfer::exfiltration::{EgressBytesSet, Exfiltration};
use transfer::large::{LargeTransfer, Transfer};

use crate::incident::Findings;
use crate::shared::event::{
    Counted, DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER, DNS, Event, Setting,
};

wiring::detectors! {
    // In the order of `Kind::ALL`. Shares are parts of the memory for tables; flows have FLOWS_SHARE.
    syn_sources: SynSources<'m> { detects: [port_scan: PortScan, syn_flood: SynFlood], reads: [host_sweep], table: syn_sources [SourceActivitySet; share 10], needs: [Requests] }
    icmp_flood: IcmpFlood<'m> { detects: [icmp_flood: IcmpFlood], table: icmp_sources [SourceSet; share 4], needs: [Icmp] }
    suspicious_port: SuspiciousPort<'m> { detects: [suspicious_port: SuspiciousPort], list: listed_ports [ListedPort; entries 128], needs: [FirstPacket] }
    arp_spoof: ArpSpoof { detects: [arp_spoof: ArpSpoof], needs: [Elsewhere] }
    dns_tunnel: DnsTunnel<'m> { detects: [dns_tunnel: DnsTunnel], table: dns_leaks [LeakSet; share 4], needs: [Payload(DNS), UnansweredDatagrams] }
    exfiltration: Exfiltration<'m> { detects: [exfiltration: Exfiltration], reads: [beacon], table: egress_bytes [EgressBytesSet; share 4], needs: [Length] }
    brute_force: BruteForce<'m> { detects: [brute_force: BruteForce], table: login_attempts [LoginAttemptsSet; share 5], needs: [WatchedRequests] }
    udp_flood: UdpFlood<'m> { detects: [udp_flood: UdpFlood], table: udp_pairs [DatagramsSet; share 4], needs: [UnansweredDatagrams] }
    victims: Victims<'m> { detects: [tcp_flood: TcpFlood, fragment_flood: FragmentFlood], list: flood_victims [Victim; entries 32], needs: [Destinations, Icmp] }
    contacts: FailedContacts<'m> { detects: [host_sweep: HostSweep], reads: [port_scan], table: contacts [ContactSet; share 4], needs: [Contacts, Icmp, Arp] }
    dga: Dga<'m> { detects: [dga: Dga], table: dga_hosts [HostNamesSet; share 2], list: dga_names [u32; entries 2_048], needs: [Payload(DNS)] }
    link_layer: LinkLayer<'m> { detects: [ndp_spoof: NdpSpoof, rogue_dhcp: RogueDhcp, rogue_ra: RogueRa, rogue_dns: RogueDns, dhcp_starvation: DhcpStarvation], reads: [arp_spoof], list: neighbours [Neighbour; entries 1024], needs: [Sender, Icmp, Arp] }
    mac_flood: MacFlood<'m> { detects: [mac_flood: MacFlood], reads: [new_device, device_offline], list: mac_filter [u32; entries 1024], list: devices [Device; entries 128, tiny 40], needs: [Sender, Icmp, Arp] }
    names: Names<'m> { detects: [nxdomain_burst: NxdomainBurst, dns_rebinding: DnsRebinding, punycode_lookalike: PunycodeLookalike, fast_flux: FastFlux], reads: [dns_tunnel], list: dns_answers [AnsweredName; entries 256], needs: [Payload(DNS), UnansweredDatagrams] }
    beacon: Beacon<'m> { detects: [beacon: Beacon], reads: [dns_tunnel], list: beacon_pairs [Pair; entries 224, tiny 32], list: beacon_filters [u32; entries 2_048, tiny 384], needs: [Sender] }
    new_device: NewDevice { detects: [new_device: NewDevice], needs: [Elsewhere] }
    large_transfer: LargeTransfer<'m> { detects: [large_transfer: LargeTransfer], list: transfers [Transfer; entries 64, tiny 16], needs: [Elsewhere] }
    signatures: Signatures<'m> { detects: [chat_app: ChatApp, cloud_storage: CloudStorage, suspicious_tld: SuspiciousTld, malicious_domain: MaliciousDomain, malicious_ip: MaliciousIp, tor: Tor, datacenter_ip: DatacenterIp, proxy_vpn: ProxyVpn], reads: [malicious_fingerprint], spare: signatures [bytes 64], needs: [Questions, NewFlow] }
    payloads: FirstPayloads<'m> { detects: [cleartext_credentials: CleartextCredentials], reads: [tls_risk, bot, protocol_anomaly], list: payload_servers [u32; entries 1024, tiny 256], list: payload_watches [Watch; entries 32], list: payload_flight [u8; entries 3072], needs: [FirstPayloads] }
    tls_risk: TlsRisk { detects: [tls_risk: TlsRisk], needs: [Elsewhere] }
    icmp_tunnel: IcmpTunnel<'m> { detects: [icmp_tunnel: IcmpTunnel], list: echo_pairs [EchoPair; entries 16], needs: [Icmp] }
    bot: Bot { detects: [bot: Bot], needs: [Elsewhere] }
    malicious_fingerprint: MaliciousFingerprint { detects: [malicious_fingerprint: MaliciousFingerprint], needs: [Elsewhere] }
    protocol_anomaly: ProtocolAnomaly { detects: [protocol_anomaly: ProtocolAnomaly], needs: [Elsewhere] }
    device_offline: DeviceOffline { detects: [device_offline: DeviceOffline], needs: [Elsewhere] }
}

/// Request of a detector about the flow of the packet that it was shown last. Packets of its direction stay [`Full`].
///
/// [`Full`]: sentinel_track::flow::Inspection::Full
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FlowRequest {
    /// Nothing more, as long as the other endpoint sends nothing.
    OneWay,
    /// The sender is the initiator, whatever was on record.
    Initiator,
    /// Bits to be kept with the flow, which the detector gets back in [`Event::session`](crate::shared::event::Event).
    Session(u32),
}

impl<'m> Detectors<'m> {
    /// Request about the flow of the last packet, if a detector made one.
    pub(crate) fn take_flow_request(&mut self) -> Option<FlowRequest> {
        let other = self.brute_force.request.take().or_else(|| self.exfiltration.request.take());
        // Both keep bits with the flow, each its own.
        match (self.payloads.request.take(), other) {
            (None, other) => other,
            (Some(bits), Some(FlowRequest::Session(other))) => {
                Some(FlowRequest::Session(bits | other & !WATCHED))
            }
            (Some(bits), _) => Some(FlowRequest::Session(bits)),
        }
    }

    /// Period within which the fast path finishes packets of a flow: the first packet of a flow in each period takes the slow path.
    #[inline]
    pub(crate) const fn bypass_period(&self) -> CoarsePeriod {
        self.syn_sources.bypass_period()
    }

    /// Returns false if [`Self::reads`] certainly does not hold for either direction between these ports.
    #[inline]
    pub(crate) const fn may_be_read(tuple: &FiveTuple) -> bool {
        const fn is_read(port: Port) -> bool {
            matches!(port, DNS | DHCP_CLIENT | DHCP_SERVER | DHCPV6_CLIENT | DHCPV6_SERVER)
        }
        is_read(tuple.source_port) || is_read(tuple.destination_port)
    }

    /// Returns false if a packet certainly neither opens a flow nor probes for one; costs two comparisons.
    #[inline]
    pub(crate) fn may_open(&self, tcp_flags: Option<TcpFlags>, role: &Role) -> bool {
        self.syn_sources.may_open(tcp_flags, role)
    }

    /// Returns true if a packet is a TCP connection request whose ports identify the initiator and whose port no detector
    /// watches, so that only the detectors that count requests and bytes can find something in it.
    #[inline]
    pub(crate) fn is_countable_syn<A>(&self, tuple: &FiveTuple<A>) -> bool {
        tuple.tcp_flags.is_some_and(TcpFlags::syn_only)
            && is_certain_initiator(tuple.source_port, tuple.destination_port)
            && !self.watched_ports.may_contain(tuple.destination_port)
    }

    /// Counts a TCP connection request for its source, and for its destination unless the source alone makes a flood.
    #[inline(always)] // once for each address family
    pub(crate) fn request(
        &mut self,
        setting: Setting<'_>,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.mac_flood.sender(setting, packet.sender, findings);
        if packet.source == packet.destination {
            self.protocol_anomaly.land(packet, findings);
        }
        let Self { syn_sources, contacts, victims, .. } = self;
        let (admission, is_flood) = syn_sources.request(setting.now, packet, source_hash, contacts, findings);
        if !is_flood {
            victims.syn((setting.now, setting.key), source_hash, packet, findings);
        }
        if admission != Admission::Closed && !contacts.is_repeated(packet) {
            contacts.request(setting, packet, source_hash, admission, findings);
        }
    }

    /// Counts the length of a packet for which [`Self::counts_length`] holds, if that cannot lead to a finding. Otherwise returns false:
    /// [`Self::length`] must follow.
    #[inline(always)] // once for each address family
    pub(crate) fn granted_length(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        source: Address,
        wire_len: u32,
    ) -> bool {
        self.exfiltration.count_granted(now, source_hash, source, wire_len)
    }

    /// A SYN-ACK, whatever its flow is: who sends one for an external host is a gateway.
    #[inline]
    pub(crate) fn syn_ack(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.link_layer.sender(setting, packet, findings);
    }

    /// A segment of an open connection on the slow path: its numbers say what was transferred.
    #[inline]
    pub(crate) fn transfer(
        &mut self,
        setting: Setting<'_>,
        flow: FlowId,
        packet: &PacketSummary<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.large_transfer.sample(setting, flow, packet, findings);
    }

    /// The next packets were captured on `interface`, in these VLANs; `None` inside a tunnel.
    #[inline]
    pub(crate) fn set_link(&mut self, interface: u8, vlans: Option<&Vlans>) {
        match vlans {
            Some(vlans) => self.link_layer.set_link(interface, vlans),
            None => self.link_layer.leave_link(),
        }
    }

    /// Servers and hosts that made room for others in the memory of first payloads.
    pub(crate) const fn payload_evictions(&self) -> u64 {
        self.payloads.evictions() + self.bot.evictions()
    }

    /// Bindings, takeovers and servers of links that were given up for want of room.
    pub(crate) const fn link_evictions(&self) -> u64 {
        self.link_layer.evictions()
    }

    /// State that every packet changes, for [`Self::restore_link`]. Packets of `sender` leave no other trace until then.
    pub(crate) const fn link_mark(&mut self, sender: [u8; 6]) -> (LinkMark, [u8; 6]) {
        (self.link_layer.mark(), self.mac_flood.replace_last(sender))
    }

    /// Puts that state back, after a packet that must leave no trace.
    pub(crate) const fn restore_link(&mut self, (mark, sender): (LinkMark, [u8; 6])) {
        self.link_layer.restore(mark);
        self.mac_flood.replace_last(sender);
    }

    /// What follows from the configuration of several detectors.
    pub(crate) fn configured(&mut self, configs: &Configs) {
        self.victims.configure_kinds(configs);
        self.update_lists();
        self.update_watched_ports();
    }

    /// Hands on which lookups the lists of names, addresses and fingerprints need.
    fn update_lists(&mut self) {
        self.dns_tunnel.set_read(self.signatures.reads_names());
        self.payloads.set_lookups(self.signatures.reads_names(), self.signatures.reads_fingerprints());
    }

    /// Counts of the victims of floods, for packets that no other detector needs.
    pub(crate) const fn victims(&mut self) -> &mut Victims<'m> {
        &mut self.victims
    }

    /// Networks that were no longer watched while packets came, because others needed their entries.
    pub(crate) const fn victim_evictions(&self) -> u64 {
        self.victims.evictions()
    }

    /// Counts a segment or datagram for its source, and shows it to the test of failed contacts, unless it certainly is neither a
    /// contact that is looked at nor an answer to one. Returns true if it waits for the first response of the flow.
    #[inline(always)] // once: most packets need a few comparisons
    fn contact(
        &mut self,
        event: &Event<'_, '_>,
        inspection: Inspection,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Self { syn_sources, contacts, .. } = self;
        let (tuple, role) = (&event.packet.tuple, event.role);
        // Neither counted for a source nor an answer: nine of ten segments.
        if let Some(flags) = tuple.tcp_flags
            && flags.ordinary()
            && !flags.has(TcpFlags::RST)
        {
            return role.is_first && is_stray(event);
        }
        // What opens nothing counts for nobody.
        let admission = if syn_sources.may_open(tuple.tcp_flags, &role) {
            syn_sources.segment(event, contacts, findings).0
        } else {
            Admission::Closed
        };
        let is_answer = match tuple.tcp_flags {
            None if role.is_first => {
                let is_service = tuple.source_port == DHCP_SERVER || tuple.destination_port == TFTP;
                if is_service || is_group(tuple.destination) {
                    contacts.announcement(event);
                }
                return match admission {
                    Admission::Closed => !role.from_initiator && contacts.unasked(event, findings),
                    _ => contacts.datagram(event, admission, findings),
                };
            }
            None => !role.from_initiator && inspection == Inspection::Full,
            Some(flags) if flags.syn_only() => {
                if tuple.source == tuple.destination {
                    self.protocol_anomaly.land(&event.packet.into(), findings);
                }
                return admission != Admission::Closed && contacts.segment(event, admission, findings);
            }
            Some(flags) if flags.syn_ack() => true,
            Some(_) => {
                contacts.odd_segment(event, inspection, findings);
                false
            }
        };
        if is_answer && contacts.awaits(tuple.source, tuple.destination) {
            contacts.answered(event);
        }
        false
    }

    /// Shows the first payload of a client to those that look up what it says of server and program.
    #[inline]
    fn first_payload(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if let Some(part) = self.payloads.first_payload.take() {
            self.read_first_payload(event, part, findings);
        }
    }

    #[cold] // once or twice in a connection that is watched
    fn read_first_payload(&mut self, event: &Event<'_, '_>, part: Part, findings: &mut Findings<'_, '_>) {
        let payload = self.payloads.joined(part).unwrap_or_else(|| event.packet.payload());
        self.signatures.names_storage = false;
        self.signatures.first_payload(event, part, payload, findings);
        if self.signatures.names_storage {
            self.large_transfer.note_service(event.setting.key.address(event.packet.tuple.destination));
        }
        if !matches!(part, Part::Joined(_)) {
            self.bot.request(event, findings);
        }
    }

    /// Counts what has waited for an answer long enough.
    pub(crate) fn expire(&mut self, setting: Setting<'_>, findings: &mut Findings<'_, '_>) {
        self.contacts.expire(setting, findings);
        self.names.expire(setting.now, findings);
        self.mac_flood.expire(false, findings);
    }

    /// The traffic has ended.
    pub(crate) fn finish(&mut self, setting: Setting<'_>, findings: &mut Findings<'_, '_>) {
        self.contacts.finish(setting, findings);
        self.names.expire(Timestamp::MAX, findings);
        self.mac_flood.expire(true, findings);
    }

    /// From now on another engine sees the answers to what this one sees.
    pub(crate) const fn set_shard(&mut self, index: u32) {
        self.mac_flood.set_shard(index);
        self.contacts.set_shard();
        self.beacon.set_shard();
        self.payloads.set_shard();
    }

    /// Stations that are known, whether these are all, and revisions of all and of those that were added.
    pub(crate) fn devices(&mut self, now: Timestamp) -> (&[Device], bool, [u32; 2]) {
        self.mac_flood.devices().state(now)
    }

    /// Takes over stations of an earlier run.
    pub(crate) fn restore_devices(&mut self, devices: &[Device], is_complete: bool) {
        self.mac_flood.devices().restore(devices, is_complete);
    }

    /// A packet that could not be read.
    pub(crate) fn malformed(
        &self,
        packet: &Packet<'_>,
        fault: (Layer, Malformed),
        findings: &mut Findings<'_, '_>,
    ) {
        self.protocol_anomaly.malformed(packet, fault, findings);
    }

    /// A fragment overlaps another of its datagram.
    pub(crate) fn overlapping_fragment(
        &mut self,
        setting: Setting<'_>,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        self.contacts.crafted_packet(setting, packet, findings);
    }

    /// Hosts and names that were given up while they counted.
    pub(crate) const fn name_evictions(&self) -> u64 {
        self.names.evictions()
    }

    /// Pairs with a rhythm that were given up for want of room.
    pub(crate) const fn beacon_evictions(&self) -> u64 {
        self.beacon.evictions()
    }

    /// Connections whose first payloads were not read because there were too many.
    pub(crate) const fn unread_payloads(&self) -> u64 {
        self.payloads.unwatched()
    }

    /// DNS messages that were not read because there were too many.
    pub(crate) const fn unread_messages(&self) -> u64 {
        self.dns_tunnel.unread() + self.names.unread()
    }

    /// Takes over a new list of ports; returns how many of its entries did not fit.
    pub(crate) fn set_listed_ports(&mut self, list: &[ListedPort]) -> usize {
        let too_many = self.suspicious_port.set_list(list);
        self.update_watched_ports();
        too_many
    }

    /// Takes over packed lists of names and addresses; `None` for those that are built in. Returns false, and keeps those before, if
    /// they do not fit.
    pub(crate) fn set_signatures(&mut self, lists: Option<&[u8]>, built_in: &'static [u8]) -> bool {
        let fits = match lists {
            Some(lists) => self.signatures.set_lists(lists),
            None => {
                self.signatures.set_built_in(built_in);
                true
            }
        };
        self.update_lists();
        fits
    }

    /// Takes over a compiled list, or what has changed in it.
    pub(crate) fn set_indicators(&mut self, indicators: Option<&'static dyn IndicatorLookup>) {
        self.signatures.set_indicators(indicators);
        // A name that is asked for again and again is new to the list once.
        self.dns_tunnel.forget_recent();
        self.update_lists();
    }

    /// Takes over the sizes of large transfers that come with the lists.
    pub(crate) const fn set_transfer_sizes(&mut self, sizes: [u32; 2]) {
        self.large_transfer.set_sizes(sizes);
    }

    /// Returns true if the first packets of flows to the outside are looked up.
    #[inline]
    pub(crate) const fn looks_up_addresses(&self) -> bool {
        self.signatures.reads_addresses()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::{CLIENT, GATEWAY, KEY, ROOMY, Sensor, configs_with, dns, udp};
    use sentinel_alert::Kind;
    use sentinel_units::Address;

    /// With and without `dns_tunnel`, before and after a query, which changes what its flow needs.
    #[test]
    fn ports_that_a_detector_reads_may_be_read() {
        for enabled in [true, false] {
            let configs = configs_with(Kind::DnsTunnel, |config| config.enabled = enabled);
            let mut sensor = Sensor::with(ROOMY, KEY, &configs);
            let query = dns("www.example.org", false);
            for frame in [None, Some(udp((CLIENT, 40_000), (GATEWAY, 53), &query))] {
                if let Some(frame) = frame {
                    sensor.frame(1, &frame);
                }
                for port in 0..=u16::MAX {
                    let other = Port(40_000);
                    for (source_port, destination_port) in [(Port(port), other), (other, Port(port))] {
                        for tcp_flags in [None, Some(TcpFlags::ACK)] {
                            let (source, destination) = (Address::v4(1), Address::v4(2));
                            let tuple =
                                FiveTuple { source, destination, source_port, destination_port, tcp_flags };
                            assert!(
                                Detectors::may_be_read(&tuple) || !sensor.engine.detectors.reads(&tuple),
                                "{port}"
                            );
                        }
                    }
                }
            }
        }
    }
}
