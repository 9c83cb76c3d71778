//! Link layer: ARP, neighbour discovery and DHCP, and which station forwards the traffic of the Internet.
//!
//! All state is kept by link: captured interface and VLAN tags. Packets inside tunnels are left out.

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_dissect::{FiveTuple, Icmpv6, Ip, Network, PacketSummary, TcpFlags, Transport, VlanTag, Vlans};
use sentinel_track::neighbour::{Neighbour, Tick};
use sentinel_units::{Address, Mac, Port};

use super::bindings::{Bindings, Change, Claim, Form, Traffic};
use super::gateways::Gateways;
use super::routers::{Advertisement, Routers};
use super::servers::{ABSENCE, Answer, Rogue, Servers};
use super::starvation::{self, Clients, Starvation};
use super::{arp, ndp};
use crate::incident::{Finding, Findings, scope};
use crate::registry::DetectorConfig;
use crate::shared::event::{
    DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER, Event, OtherEvent, Setting,
};
use crate::shared::rate::Activation;

/// Link of packets inside tunnels: none.
const NO_LINK: u32 = u32::MAX;

/// State of all links.
#[derive(Debug)]
pub(crate) struct LinkLayer<'m> {
    /// Link of the packet at hand: number of the interface (8 bits), outer and inner VLAN (12 bits each).
    link: u32,
    /// Time of the last packet that was looked at for its sender.
    looked_at: Tick,
    bindings: Bindings<'m>,
    gateways: Gateways,
    servers: Servers,
    routers: Routers,
    clients: Clients,
    activations: Activations,
}

/// Settings of the kinds.
#[derive(Debug)]
struct Activations {
    arp: Activation,
    ndp: Activation,
    dhcp: Activation,
    ra: Activation,
    dns: Activation,
    starvation: Activation,
}

impl Activations {
    fn of(&self, test: Test) -> Activation {
        match test {
            Test::ArpSpoof => self.arp,
            Test::NdpSpoof => self.ndp,
            Test::RogueDhcp => self.dhcp,
            Test::RogueRa => self.ra,
            Test::RogueDns => self.dns,
            _ => self.starvation,
        }
    }
}

/// State of [`LinkLayer`] that every packet changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkMark(u32, Tick);

impl<'m> LinkLayer<'m> {
    pub(crate) fn new(
        slots: &'m mut [Neighbour],
        ndp: &DetectorConfig,
        dhcp: &DetectorConfig,
        ra: &DetectorConfig,
        dns: &DetectorConfig,
        starvation: &DetectorConfig,
        arp: &DetectorConfig,
    ) -> Self {
        Self {
            link: 0,
            looked_at: Tick::default(),
            bindings: Bindings::new(slots),
            gateways: Gateways::default(),
            servers: Servers::default(),
            routers: Routers::default(),
            clients: Clients::new(starvation),
            activations: Activations {
                arp: arp.into(),
                ndp: ndp.into(),
                dhcp: dhcp.into(),
                ra: ra.into(),
                dns: dns.into(),
                starvation: starvation.into(),
            },
        }
    }

    pub(crate) fn configure(
        &mut self,
        ndp: &DetectorConfig,
        dhcp: &DetectorConfig,
        ra: &DetectorConfig,
        dns: &DetectorConfig,
        starvation: &DetectorConfig,
        arp: &DetectorConfig,
    ) {
        self.clients.configure(starvation);
        self.activations = Activations {
            arp: arp.into(),
            ndp: ndp.into(),
            dhcp: dhcp.into(),
            ra: ra.into(),
            dns: dns.into(),
            starvation: starvation.into(),
        };
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.bindings.evictions() + self.servers.evictions() + self.routers.evictions()
    }

    /// The next packets were captured on `interface`, in these VLANs.
    #[inline]
    pub(crate) fn set_link(&mut self, interface: u8, vlans: &Vlans) {
        let id = |tag: Option<VlanTag>| u32::from(tag.map_or(0, VlanTag::id));
        self.link = u32::from(interface) << 24 | id(vlans.outer()) << 12 | id(vlans.inner());
    }

    /// The next packets were inside a tunnel, until [`Self::set_link`].
    pub(crate) const fn leave_link(&mut self) {
        self.link = NO_LINK;
    }

    /// State that every packet changes.
    pub(crate) const fn mark(&self) -> LinkMark {
        LinkMark(self.link, self.looked_at)
    }

    pub(crate) const fn restore(&mut self, LinkMark(link, looked_at): LinkMark) {
        (self.link, self.looked_at) = (link, looked_at);
    }

    /// Returns true for datagrams between DHCP clients and servers.
    #[inline]
    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        matches!(tuple.source_port, DHCP_CLIENT | DHCP_SERVER | DHCPV6_CLIENT | DHCPV6_SERVER)
    }

    /// Looks at the sender of the first packet of a flow, and reads DHCP.
    //
    // Only packets that are shown whatever the flow's inspection is: the fast path must change no verdict.
    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let is_request = event.packet.tuple.tcp_flags.is_some_and(TcpFlags::syn_only);
        if event.role.is_first && !is_request {
            self.sender(event.setting, event.packet, findings);
        }
        if event.packet.tuple.tcp_flags.is_none() && self.reads(&event.packet.tuple) {
            self.dhcp(event.setting, event.packet, findings);
        }
    }

    /// Looks at the sender of one packet in each 67 ms, and of every one while a takeover is watched.
    #[inline]
    pub(crate) fn sender(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        if Tick::of(setting.now) == self.looked_at && !self.bindings.has_disputes() {
            return;
        }
        let FiveTuple { source, destination, .. } = packet.tuple;
        if let Some(mac) = packet.sender_mac() {
            self.traffic(setting, (source, destination), mac, findings);
        }
    }

    /// An IP packet that `mac` sent.
    #[inline(never)] // rare, and then mostly to see that nothing is to be done
    fn traffic(
        &mut self,
        setting: Setting<'_>,
        (source, destination): (Address, Address),
        mac: Mac,
        findings: &mut Findings<'_, '_>,
    ) {
        let now = Tick::of(setting.now);
        if self.link == NO_LINK || mac.is_group() {
            return;
        }
        let is_external = setting.home_net.is_external(source) && setting.home_net.is_internal(destination);
        if is_external && now != self.looked_at {
            self.gateways.sample(self.link, mac, now);
        }
        self.looked_at = now;
        if !self.bindings.has_disputes() {
            return;
        }
        match self.bindings.traffic((self.link, source), mac, is_external, now) {
            Some(Traffic::Claim(claim)) => self.claim(setting, &claim, None, findings),
            Some(Traffic::Change(address, change)) => {
                self.report(setting, (address, None), &change, findings);
            }
            None => {}
        }
    }

    /// A datagram between DHCP clients and servers.
    #[inline(never)] // rare
    fn dhcp(&mut self, setting: Setting<'_>, packet: &PacketSummary<'_>, findings: &mut Findings<'_, '_>) {
        let now = Tick::of(setting.now);
        let Some(mac) = packet.sender_mac() else { return };
        let (source, payload) = (packet.tuple.source, packet.payload());
        let is_v4 = source.is_v4();
        if self.link == NO_LINK {
            return;
        }
        if matches!(packet.tuple.source_port, DHCP_CLIENT | DHCPV6_CLIENT) {
            let Some(identity) = starvation::identity(setting.key, payload, is_v4) else { return };
            let sender = starvation::hash(setting.key, 0, &mac.0);
            if let Some(starvation) = self.clients.ask(identity, sender, now) {
                self.report_starvation(setting, &starvation, mac, findings);
            }
            return;
        }
        let sender = (mac, source);
        let read = if is_v4 { Answer::read } else { Answer::read_v6 };
        let Some(answer) = read(payload, self.link, sender) else { return };
        // A message in the name of an address that another station holds is forged, and no station of that address sent it.
        let holder = self.bindings.holder(setting.key, self.link, source, now);
        if holder.is_some_and(|holder| holder != mac) {
            return;
        }
        let gateway = self.gateways.sender(self.link, now);
        let gateway = gateway.map(|(gateway, seen)| (gateway, now.distance(seen) <= ABSENCE));
        let (is_trusted, rogue) = self.servers.answer(&answer, gateway, now);
        if is_trusted && answer.is_final && is_v4 {
            self.bindings.lease(setting.key, (self.link, answer.leased), answer.client, now);
        }
        if let Some(rogue) = rogue {
            self.report_rogue(setting, &rogue, findings);
        }
    }

    /// ARP, neighbour discovery, and other packets without ports.
    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        if self.link == NO_LINK {
            return;
        }
        let setting = event.setting;
        let frame = event.packet.ethernet.map(|ethernet| (ethernet.source, ethernet.destination));
        match (&event.packet.network, &event.packet.transport) {
            (Network::Arp(message), _) => {
                if message.sender_mac.is_group() || !message.is_request() && !message.is_reply() {
                    return;
                }
                let claim = arp::read(message, self.link, frame.map(|(_, destination)| destination));
                let is_probe = message.is_probe();
                if message.is_request() && message.target_ip != message.sender_ip {
                    let now = Tick::of(setting.now);
                    self.bindings.ask(setting.key, &claim, message.target_ip, is_probe, now);
                }
                let told = Some(message.target_ip).filter(|target| *target != message.sender_ip);
                self.claim(setting, &claim, told, findings);
            }
            (Network::Ip(ip), transport) => {
                let Some((source, destination)) = frame else { return };
                self.traffic(setting, (ip.source, ip.destination), source, findings);
                if let Transport::Icmpv6(icmp) = transport {
                    self.neighbour_message((ip, icmp), setting, (source, destination), findings);
                    self.advertisement((ip, icmp), setting, source, findings);
                }
            }
            _ => {}
        }
    }

    fn neighbour_message(
        &mut self,
        (ip, icmp): (&Ip<'_>, &Icmpv6<'_>),
        setting: Setting<'_>,
        frame: (Mac, Mac),
        findings: &mut Findings<'_, '_>,
    ) {
        let (link, now) = (self.link, Tick::of(setting.now));
        let bindings = &mut self.bindings;
        let holder = |address| bindings.holder(setting.key, link, address, now);
        let Some(message) = ndp::read((ip, icmp), link, frame, holder) else { return };
        if let Some(target) = message.asks {
            let (source, receiver) = frame;
            let requester = Claim { link, address: ip.source, mac: source, form: Form::Request, receiver };
            self.bindings.ask(setting.key, &requester, target, message.is_probe, now);
        }
        if let Some(claim) = message.claim {
            let told = Some(ip.destination).filter(|told| !told.is_group());
            self.claim(setting, &claim, told, findings);
        }
    }

    /// A router advertisement that `mac` sent.
    fn advertisement(
        &mut self,
        (ip, icmp): (&Ip<'_>, &Icmpv6<'_>),
        setting: Setting<'_>,
        mac: Mac,
        findings: &mut Findings<'_, '_>,
    ) {
        // Others are ignored (RFC 4861 section 6.1.2).
        if ip.hop_limit != ndp::ON_LINK || icmp.code != 0 || !ip.source.is_link_local() {
            return;
        }
        let Some(message) = icmp.router_advertisement() else { return };
        let now = Tick::of(setting.now);
        let gateway = self.gateways.sender(self.link, now).map(|(gateway, _)| gateway);
        let advertisement = Advertisement {
            link: self.link,
            address: ip.source,
            mac: message.link_layer.unwrap_or(mac),
            lifetime_s: message.lifetime_s,
            prefix: message.prefix,
            resolver: message.resolver,
        };
        if let Some(rogue) = self.routers.advertise(&advertisement, gateway, now) {
            self.report_rogue(setting, &rogue, findings);
        }
    }

    /// Judges a claim that `told` received.
    fn claim(
        &mut self,
        setting: Setting<'_>,
        claim: &Claim,
        told: Option<Address>,
        findings: &mut Findings<'_, '_>,
    ) {
        // A group address holds nothing; a sender without an address claims nothing.
        if claim.address.is_unspecified() || claim.address.is_group() || claim.mac.is_group() {
            return;
        }
        let now = Tick::of(setting.now);
        let is_gateway = self.servers.is_router(claim.link, claim.address, now)
            || self.routers.is_router(claim.link, claim.address);
        let is_internal = setting.home_net.is_internal(claim.address) || claim.address.is_link_local();
        let facts = (is_internal, is_gateway);
        let change = self.bindings.claim(setting.key, claim, &mut self.gateways, facts, now);
        if let Some(change) = change {
            self.report(setting, (claim.address, told), &change, findings);
        }
    }

    fn report(
        &self,
        setting: Setting<'_>,
        (address, told): (Address, Option<Address>),
        change: &Change,
        findings: &mut Findings<'_, '_>,
    ) {
        let test = if address.is_v4() { Test::ArpSpoof } else { Test::NdpSpoof };
        let subject = Subject {
            source: Some(address),
            destination: told.filter(|told| *told != address && !told.is_unspecified()),
            mac: Some(change.suspect),
            ..Subject::default()
        };
        let evidence = Evidence::Binding { before: change.before, after: change.after, changes: 1 };
        self.add((setting, test, change.is_forged), subject, evidence, findings);
    }

    fn report_rogue(&self, setting: Setting<'_>, rogue: &Rogue, findings: &mut Findings<'_, '_>) {
        let Rogue { test, is_certain, known, other, address, named } = *rogue;
        let subject = Subject { source: Some(address), mac: Some(other), ..Subject::default() };
        let evidence = Evidence::Server { known, other, named, messages: 1 };
        self.add((setting, test, is_certain), subject, evidence, findings);
    }

    fn report_starvation(
        &self,
        setting: Setting<'_>,
        starvation: &Starvation,
        mac: Mac,
        findings: &mut Findings<'_, '_>,
    ) {
        let Starvation { count, threshold, is_one_sender } = *starvation;
        let subject = Subject { mac: is_one_sender.then_some(mac), ..Subject::default() };
        let evidence = Evidence::Packets { count: count.into(), threshold, window_s: starvation::WINDOW_S };
        self.add((setting, Test::DhcpStarvation, true), subject, evidence, findings);
    }

    /// Adds a finding, of `low` severity at most unless it `is_certain`.
    fn add(
        &self,
        (setting, test, is_certain): (Setting<'_>, Test, bool),
        subject: Subject,
        evidence: Evidence,
        findings: &mut Findings<'_, '_>,
    ) {
        let Activation { enabled, severity } = self.activations.of(test);
        if !enabled {
            return;
        }
        let scope = subject.source.map_or(0, |address| scope(address, Port(0))) ^ self.link;
        findings.add(&Finding {
            test,
            severity: if is_certain { severity } else { severity.min(Severity::Low) },
            first: setting.now,
            subject,
            evidence,
            adds: 1,
            scope,
        });
    }
}
