//! Names and addresses of lists: `chat_app`, `cloud_storage`, `suspicious_tld`, `malicious_domain`; `malicious_ip`, `tor`,
//! `datacenter_ip`, `proxy_vpn`; with [`fingerprint`](super::fingerprint) `malicious_fingerprint`.
//!
//! Read first: RFC 1035 sections 3.1 and 4.1; <https://spec.torproject.org/dir-list-spec> and the lists of exit nodes, relays and bridges that
//! it describes.
//!
//! Names come from the first question of DNS queries of internal hosts, and from the first payloads that [`payload`](super::super::payload)
//! reads (SNI of TLS, `Host` of HTTP). A listed name stands for itself and all names below it, at borders
//! of labels. Of flows only the first packet is looked up, if an internal host itself sends it to an external address, answered or not. What
//! listed addresses send inwards is not reported: any open port gets such packets all day, and sources are easily forged.
//!
//! Services, zones and classes of information are told once a day for each host ([`OncePerDay`]). What is allowed is never reported, whatever
//! else lists it. A resolver at home repeats what its clients ask for: an entry that it was asked for in the last minute is theirs.
//!
//! Behind these lists stands that of [`indicators`](super::indicators), if there is one: names when they are new to the sensor, addresses with the
//! first packet of a flow, http URLs and fingerprints with the first payload of a connection. What passes its filter of 16 bits is `low`
//! until 32 more bits have confirmed it.
//!
//! Not seen: names in DNS over TLS or HTTPS, and on other ports than 53, unless the server is contacted and that connection watched; addresses of packets without ports, and of flows that were open before the
//! list was.

mod compiled;

use core::ops::ControlFlow;
use core::time::Duration;

use sentinel_alert::{Kind, Severity, ShortName, Test};
use sentinel_dissect::{FiveTuple, PacketSummary, TcpFlags, dns};
use sentinel_units::{Address, Port, Timestamp};

use compiled::upper;

use super::fingerprint::Fingerprints;
use super::indicators::{ADDRESSES, IndicatorLookup, KeyHash, KeyKind};
use super::name_list::{ENTRY, MAX_NAME_LABELS, fill_filter, filter_len, filter_shift, find, may_contain};
use super::{Rule, address_list};
use crate::detectors::dns::{Labels, name_tail, push_labels, queried_name, read_question};
use crate::detectors::payload::server_name::server_name;
use crate::detectors::payload::tls::Part;
use crate::incident::{Findings, scope};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::{DNS, Event, Question, Setting};
use crate::shared::once::OncePerDay;
use crate::shared::rate::Activation;

/// Services at most: each has a bit in what was told of a host today, and two are left for classes of addresses.
pub const MAX_SERVICES: usize = 30;
/// Value of a [name](super::name_list::name_entry) that is never reported, nor are those below it; less than [`MAX_SERVICES`] is a service.
pub const ALLOWED: u8 = 0xfd;
/// Value of the fingerprint of a malicious program, which is a name of one label.
pub const MALICIOUS_FINGERPRINT: u8 = 0xfc;
/// Value of a name in an often abused zone.
pub const ABUSED_ZONE: u8 = 0xfe;
/// Value of a malicious name.
pub const MALICIOUS: u8 = 0xff;

/// Class of an address, a bit position in its entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum AddressClass {
    /// Called malicious by the operator's list.
    Malicious,
    /// Tor exit node.
    TorExitNode,
    /// Tor relay.
    TorRelay,
    /// Tor bridge.
    TorBridge,
    /// Data centre.
    Datacenter,
    /// Public proxy or VPN.
    ProxyVpn,
    /// Never reported.
    Allowed,
}

/// Bytes of [`signatures_header`].
pub const SIGNATURES_HEADER: usize = 12;
/// Bytes of a path and query that are looked up.
pub const MAX_URL: usize = 512;
/// Time for which what a resolver was asked for explains that it asks for it.
const FORWARDING: Duration = Duration::from_mins(1);
/// Entries that resolvers were asked for, remembered.
const FORWARDED: usize = 8;

/// Header of packed lists: the numbers of names, and of ranges of IPv4 and IPv6 addresses. Behind it stand the [names](super::name_list::name_entry),
/// sorted, eight bytes each; the starts of the ranges, four and sixteen bytes each, and their classes, one byte
/// each; and the services in the order of their numbers, each as one byte that is 1 for storage and 0 for chat, one byte of length, and its
/// name. All numbers have the lowest byte first.
#[must_use]
pub const fn signatures_header(names: u32, v4: u32, v6: u32) -> [u8; SIGNATURES_HEADER] {
    let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) =
        (names.to_le_bytes(), v4.to_le_bytes(), v6.to_le_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Bytes of memory that packed lists take.
#[must_use]
pub fn signatures_need(packed: &[u8]) -> usize {
    packed.len() + Lists::of(packed).map_or(0, |lists| filter_len(lists.names.len() / ENTRY))
}

/// Packed lists, taken apart.
#[derive(Clone, Copy, Debug)]
struct Lists<'l> {
    names: &'l [u8],
    ranges: (usize, usize),
    addresses: &'l [u8],
    services: &'l [u8],
}

impl<'l> Lists<'l> {
    fn of(packed: &'l [u8]) -> Option<Self> {
        let (header, rest) = packed.split_first_chunk::<SIGNATURES_HEADER>()?;
        let mut counts =
            header.as_chunks().0.iter().map(|word| usize::try_from(u32::from_le_bytes(*word)).unwrap_or(0));
        let (names, v4, v6) = (counts.next()?, counts.next()?, counts.next()?);
        let (names, rest) = rest.split_at_checked(names.checked_mul(ENTRY)?)?;
        let len = v4.checked_mul(5)?.checked_add(v6.checked_mul(17)?)?;
        let (addresses, services) = rest.split_at_checked(len)?;
        Some(Self { names, ranges: (v4, v6), addresses, services })
    }

    /// Name of a service, and true if it is storage.
    fn service(&self, number: u8) -> Option<(&'l str, bool)> {
        let mut rest = self.services;
        for _ in 0..number {
            let [_, len, behind @ ..] = rest else { return None };
            rest = behind.get(usize::from(*len)..)?;
        }
        let [is_storage, len, behind @ ..] = rest else { return None };
        Some((str::from_utf8(behind.get(..usize::from(*len))?).ok()?, *is_storage != 0))
    }
}

/// Fields that the declarations have in common.
const LISTED: Detector = Detector {
    kind: Kind::ChatApp,
    about: "",
    source: "config/signatures.json, and the file that the setting signatures_file names",
    severity: Severity::Info,
    thresholds: &[],
    ports: None,
};

/// Declaration of [`Kind::ChatApp`].
#[derive(Debug)]
pub(crate) struct ChatApp;

impl ChatApp {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::ChatApp,
        about: "a host asks for a server of a chat service; told once a day",
        ..LISTED
    };
}

/// Declaration of [`Kind::CloudStorage`].
#[derive(Debug)]
pub(crate) struct CloudStorage;

impl CloudStorage {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::CloudStorage,
        about: "a host asks for a server of a cloud storage service; told once a day",
        ..LISTED
    };
}

/// Declaration of [`Kind::SuspiciousTld`].
#[derive(Debug)]
pub(crate) struct SuspiciousTld;

impl SuspiciousTld {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::SuspiciousTld,
        about: "a host asks for a name in a zone that is often abused (weak evidence); told once a day",
        severity: Severity::Low,
        ..LISTED
    };
}

/// Declaration of [`Kind::MaliciousDomain`].
#[derive(Debug)]
pub(crate) struct MaliciousDomain;

impl MaliciousDomain {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::MaliciousDomain,
        about: "a host asks for a name that the operator's list calls malicious; without such a list it is silent",
        severity: Severity::High,
        ..LISTED
    };
}

/// Declaration of [`Kind::MaliciousIp`].
#[derive(Debug)]
pub(crate) struct MaliciousIp;

impl MaliciousIp {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::MaliciousIp,
        about: "an internal host contacts an address that the operator's list calls malicious; without such a list it is silent",
        severity: Severity::High,
        ..LISTED
    };
}

/// Declaration of [`Kind::Tor`].
#[derive(Debug)]
pub(crate) struct Tor;

impl Tor {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Tor,
        about: "an internal host contacts a listed exit node, relay or bridge of Tor; without such lists it is silent",
        severity: Severity::Medium,
        ..LISTED
    };
}

/// Declaration of [`Kind::DatacenterIp`].
#[derive(Debug)]
pub(crate) struct DatacenterIp;

impl DatacenterIp {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DatacenterIp,
        about: "an internal host contacts a listed address of a data centre; told once a day; without such a list it is silent",
        ..LISTED
    };
}

/// Declaration of [`Kind::ProxyVpn`].
#[derive(Debug)]
pub(crate) struct ProxyVpn;

impl ProxyVpn {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::ProxyVpn,
        about: "an internal host contacts a listed public proxy or VPN; told once a day; without such a list it is silent",
        ..LISTED
    };
}

/// Tests of the rules.
const TESTS: [Test; 10] = [
    Test::ChatApp,
    Test::CloudStorage,
    Test::SuspiciousTld,
    Test::MaliciousDomain,
    Test::MaliciousIp,
    Test::TorExitNode,
    Test::TorRelay,
    Test::TorBridge,
    Test::DatacenterIp,
    Test::ProxyVpn,
];
/// Classes of the lists of Tor.
const TOR: u8 = 1 << number(AddressClass::TorExitNode)
    | 1 << number(AddressClass::TorRelay)
    | 1 << number(AddressClass::TorBridge);
/// Bits of the classes of information in what was told, behind those of the services: an even and an odd class.
const FIRST_CLASS: u32 = 30;
/// Rules of names, in front of those of addresses.
const NAME_RULES: usize = 4;

/// Lists in force. Memory: the filter of names, and the lists of the operator behind it. Those that are built in stay where they are.
#[derive(Debug)]
struct Held<'m> {
    memory: &'m mut [u8],
    built_in: &'static [u8],
    /// Bytes of the filter.
    filter_len: usize,
    /// Bytes of the operator's lists; zero if those built in are in force.
    own_len: usize,
}

impl Held<'_> {
    fn lists(&self) -> Option<Lists<'_>> {
        let own = self.memory.get(self.filter_len..self.filter_len + self.own_len);
        Lists::of(if self.own_len == 0 { self.built_in } else { own.unwrap_or_default() })
    }

    /// Names of the lists in force.
    fn names(&self) -> &[u8] {
        self.lists().map_or(&[], |lists| lists.names)
    }

    /// Makes the filter for the lists in force; gives the bits of a key that it does not use.
    fn fill_filter(&mut self) -> u32 {
        if let Some((filter, own)) = self.memory.split_at_mut_checked(self.filter_len) {
            let own = own.get(..self.own_len).unwrap_or_default();
            let packed = if self.own_len == 0 { self.built_in } else { own };
            fill_filter(filter, Lists::of(packed).map_or(&[], |lists| lists.names));
        }
        filter_shift(self.filter_len)
    }
}

/// The lists, and what was told today.
#[derive(Debug)]
pub(crate) struct Signatures<'m> {
    held: Held<'m>,
    filter_shift: u32,
    reads_names: bool,
    reads_addresses: bool,
    /// Rules of names: chat, storage, abused zone, malicious name; behind them those of the classes of addresses in the order of
    /// [`AddressClass`].
    rules: [Rule; 10],
    fingerprint: Activation,
    reads_fingerprints: bool,
    /// Compiled list, and its contents that are looked up.
    indicators: Option<&'static dyn IndicatorLookup>,
    indicated: u32,
    told: OncePerDay,
    /// Resolver, entry, and the time until which the one explains that it asks for the other.
    forwarded: [(Address, u32, Timestamp); FORWARDED],
    newest: usize,
    /// True if the last name was that of a storage service.
    pub(crate) names_storage: bool,
}

impl<'m> Signatures<'m> {
    #[expect(clippy::too_many_arguments, reason = "the table passes the settings of each kind")]
    pub(crate) fn new(
        memory: &'m mut [u8],
        chat: &DetectorConfig,
        storage: &DetectorConfig,
        abused: &DetectorConfig,
        malicious: &DetectorConfig,
        malicious_ip: &DetectorConfig,
        tor: &DetectorConfig,
        datacenter: &DetectorConfig,
        proxy: &DetectorConfig,
        fingerprint: &DetectorConfig,
    ) -> Self {
        let off =
            Rule { test: Test::ChatApp, activation: Activation { enabled: false, severity: Severity::Info } };
        let mut new = Self {
            held: Held { memory, built_in: &[], filter_len: 0, own_len: 0 },
            filter_shift: 0,
            reads_names: false,
            reads_addresses: false,
            rules: [off; 10],
            fingerprint: off.activation,
            reads_fingerprints: false,
            indicators: None,
            indicated: 0,
            names_storage: false,
            told: OncePerDay::default(),
            forwarded: [(Address::default(), 0, Timestamp::ZERO); FORWARDED],
            newest: 0,
        };
        new.configure(chat, storage, abused, malicious, malicious_ip, tor, datacenter, proxy, fingerprint);
        new
    }

    #[expect(clippy::too_many_arguments, reason = "the table passes the settings of each kind")]
    pub(crate) fn configure(
        &mut self,
        chat: &DetectorConfig,
        storage: &DetectorConfig,
        abused: &DetectorConfig,
        malicious: &DetectorConfig,
        malicious_ip: &DetectorConfig,
        tor: &DetectorConfig,
        datacenter: &DetectorConfig,
        proxy: &DetectorConfig,
        fingerprint: &DetectorConfig,
    ) {
        self.fingerprint = fingerprint.into();
        let configs = [chat, storage, abused, malicious, malicious_ip, tor, tor, tor, datacenter, proxy];
        for ((rule, test), config) in self.rules.iter_mut().zip(TESTS).zip(configs) {
            *rule = Rule { test, activation: config.into() };
        }
        self.update();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.told.evictions()
    }

    /// Takes over packed lists that live as long as the program.
    pub(crate) fn set_built_in(&mut self, packed: &'static [u8]) {
        let wanted = Lists::of(packed).map_or(0, |lists| filter_len(lists.names.len() / ENTRY));
        // A smaller filter lets more names through.
        let room = self.held.memory.len().checked_ilog2().map_or(0, |log| 1 << log);
        self.held.built_in = packed;
        (self.held.filter_len, self.held.own_len) = (wanted.min(room), 0);
        self.update();
    }

    /// Takes over packed lists by copying them. Returns false, and keeps those before, if they are none, or there is no room:
    /// [`signatures_need`].
    pub(crate) fn set_lists(&mut self, packed: &[u8]) -> bool {
        let Some(lists) = Lists::of(packed) else { return false };
        let filter_len = filter_len(lists.names.len() / ENTRY);
        let Some(place) = self.held.memory.get_mut(filter_len..filter_len + packed.len()) else {
            return false;
        };
        place.copy_from_slice(packed);
        (self.held.filter_len, self.held.own_len) = (filter_len, packed.len());
        self.update();
        true
    }

    /// Derives the switches from the lists and the settings.
    fn update(&mut self) {
        self.filter_shift = self.held.fill_filter();
        let (names, addresses) = self.rules.split_at(NAME_RULES);
        let is_any = |rules: &[Rule]| rules.iter().any(|rule| rule.activation.enabled);
        let lists = self.held.lists();
        let mut entries = lists.map_or(&[][..], |lists| lists.names.as_chunks::<ENTRY>().0).iter();
        let contents = self.indicators.map_or(0, IndicatorLookup::contents);
        let [malicious_name, malicious_address] =
            [names.last(), addresses.first()].map(|rule| rule.is_some_and(|rule| rule.activation.enabled));
        let wanted = [
            (malicious_name, KeyKind::Name.bit() | KeyKind::Url.bit()),
            (malicious_address, ADDRESSES | KeyKind::Ipv6.bit()),
            (self.fingerprint.enabled, KeyKind::Fingerprint.bit()),
        ];
        self.indicated =
            wanted.iter().filter(|(is_on, _)| *is_on).fold(0, |bits, (_, of)| bits | contents & of);
        self.reads_names =
            is_any(names) && entries.len() > 0 || self.indicates(KeyKind::Name.bit() | KeyKind::Url.bit());
        self.reads_fingerprints = self.fingerprint.enabled
            && (entries.any(|[value, ..]| *value == MALICIOUS_FINGERPRINT)
                || self.indicates(KeyKind::Fingerprint.bit()));
        self.reads_addresses = lists.is_some_and(|lists| !lists.addresses.is_empty()) && is_any(addresses)
            || self.indicates(ADDRESSES | KeyKind::Ipv6.bit());
    }

    /// Messages over TCP come through [`Self::message`] only: a segment alone is not read.
    #[expect(clippy::unused_self, reason = "the table calls it for each detector of payloads")]
    pub(crate) const fn enable_reassembly(&self) {}

    /// Returns true if queries are read.
    #[inline]
    pub(crate) const fn reads_names(&self) -> bool {
        self.reads_names
    }

    /// Returns true if the fingerprints of clients are looked up.
    pub(crate) const fn reads_fingerprints(&self) -> bool {
        self.reads_fingerprints
    }

    /// Returns true if the first packets of flows to the outside are looked up.
    #[inline]
    pub(crate) const fn reads_addresses(&self) -> bool {
        self.reads_addresses
    }

    #[inline]
    pub(crate) fn question(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if event.packet.tuple.destination_port == DNS && self.reads_names {
            self.query(event, findings);
        }
    }

    /// Looks at the end of the name in a query, which an earlier detector has measured, and reads it all if it may be listed.
    #[inline(never)] // keeps the dispatch of all other packets short
    fn query(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let tail = event.tail.get();
        let is_new = || !matches!(event.question.get(), Question::Repeated);
        if tail == 0
            || may_contain(self.held.memory, self.filter_shift, tail)
            || self.indicates(KeyKind::Name.bit()) && is_new()
        {
            self.unmeasured(event, findings);
        }
    }

    /// Reads a query whose name may be listed, or was not measured because it is short, long or compressed, or no detector did.
    #[cold]
    fn unmeasured(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let bytes = event.packet.payload();
        // Messages over TCP are read once they are complete.
        if event.packet.tuple.tcp_flags.is_some() {
            return;
        }
        let tail = queried_name(bytes).map_or(0, name_tail);
        if tail == 0
            || may_contain(self.held.memory, self.filter_shift, tail)
            || self.indicates(KeyKind::Name.bit())
        {
            self.names(event.setting, event.packet, bytes, findings);
        }
    }

    /// Tests a reassembled message. `packet` is one of those that carried it.
    pub(crate) fn message(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        if packet.tuple.destination_port == DNS && self.reads_names {
            self.names(setting, packet, message, findings);
        }
    }

    #[cold]
    fn names(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        bytes: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        if message.is_response() || !setting.home_net.is_internal(packet.tuple.source) {
            return;
        }
        let mut labels = Labels::new();
        if read_question(&message, bytes, &mut labels).is_some() {
            self.labels(setting, packet, &labels, findings);
        }
    }

    /// Looks up the first payload of a client: the server that it names, because who resolves names over HTTPS asks for none in sight, and the
    /// fingerprint of its program.
    #[cold]
    pub(crate) fn first_payload(
        &mut self,
        event: &Event<'_, '_>,
        part: Part,
        payload: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        let Event { setting, packet, .. } = *event;
        if !setting.home_net.is_internal(packet.tuple.source) {
            return;
        }
        // What the first segment says was looked up when it came.
        let is_named =
            matches!(part, Part::Joined(first) if payload.get(..first).and_then(server_name).is_some());
        if self.reads_names
            && !is_named
            && let Some(name) = server_name(payload)
        {
            let mut labels = Labels::new();
            let is_short = name.split(|byte| *byte == b'.').all(|label| labels.push(label).is_ok());
            if is_short && labels.len() > 1 {
                self.labels(setting, packet, &labels, findings);
            }
        }
        if part == Part::Whole && self.indicates(KeyKind::Url.bit()) {
            self.url(event, payload, findings);
        }
        if self.reads_fingerprints
            && part != Part::Start
            && let Some(fingerprints) = Fingerprints::of(payload)
        {
            self.fingerprints(event, &fingerprints, findings);
        }
    }

    /// Looks up the fingerprints of a hello.
    fn fingerprints(
        &self,
        event: &Event<'_, '_>,
        fingerprints: &Fingerprints,
        findings: &mut Findings<'_, '_>,
    ) {
        let names = self.held.names();
        // Hash of a listed one, which separates incidents.
        let mut hash = 0;
        let mut is_confirmed = true;
        let [ja3, ja4] = [fingerprints.ja3.as_bytes(), fingerprints.ja4.as_bytes()].map(|text| {
            let outcome = find(names, &[text], &mut |entry| {
                if value(entry) != MALICIOUS_FINGERPRINT {
                    return ControlFlow::Continue(());
                }
                hash = u32::try_from(entry >> 32).unwrap_or(0);
                ControlFlow::Break(())
            });
            if outcome.is_break() || text.is_empty() {
                return outcome.is_break();
            }
            let key = KeyHash::default().before(text);
            let found = self.indicated(key, KeyKind::Fingerprint);
            if let Some(found) = found {
                (hash, is_confirmed) = (upper(key.key(KeyKind::Fingerprint)), is_confirmed && found);
            }
            found.is_some()
        });
        if ja3 || ja4 {
            let found = (ja3, ja4, is_confirmed);
            fingerprints.report(self.fingerprint, event, found, hash, findings);
        }
    }

    /// Reports what the lists say of a name, the most specific label first.
    fn labels(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        labels: &[&[u8]],
        findings: &mut Findings<'_, '_>,
    ) {
        let names = self.held.names();
        let mut entries = heapless::Vec::<u64, MAX_NAME_LABELS>::new();
        let outcome = find(names, labels, &mut |entry| {
            if value(entry) == ALLOWED {
                return ControlFlow::Break(());
            }
            // Of entries that say the same the most general one is enough.
            if !entries.iter().any(|known| value(*known) == value(entry)) {
                let _full = entries.push(entry);
            }
            ControlFlow::Continue(())
        });
        if outcome.is_break() {
            return;
        }
        let indicated = if entries.iter().any(|entry| value(*entry) == MALICIOUS) {
            None
        } else {
            self.indicated_name(labels)
        };
        if entries.is_empty() && indicated.is_none() {
            return;
        }
        let mut name = ShortName::new();
        push_labels(&mut name, labels);
        entries.into_iter().for_each(|entry| self.name(setting, packet, &name, entry, findings));
        if let Some((hash, is_confirmed)) = indicated
            && !self.is_forwarded(setting, &packet.tuple, hash)
        {
            self.report_indicated(
                Test::MaliciousDomain,
                is_confirmed,
                (setting, packet, &name, hash),
                findings,
            );
        }
    }

    /// Reports a name in lower case that the sender of `packet` asked for, by one of its entries.
    fn name(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        name: &str,
        entry: u64,
        findings: &mut Findings<'_, '_>,
    ) {
        // One incident for each service, and for each entry of the other lists.
        let hash = u32::try_from(entry >> 32).unwrap_or(0);
        let value = value(entry);
        if self.is_forwarded(setting, &packet.tuple, hash) {
            return;
        }
        let host = setting.key.address(packet.tuple.source);
        let [chat, storage, abused, malicious, ..] = self.rules;
        let (rule, scope, label, is_news) = match value {
            MALICIOUS => (malicious, hash, name, true),
            // Each zone is a host of its own here: more zones are listed than there are bits.
            ABUSED_ZONE => (abused, hash, name, self.told.is_first(host ^ hash, 0, setting.now)),
            _ => match self.held.lists().and_then(|lists| lists.service(value)) {
                Some((label, is_storage)) => {
                    self.names_storage |= is_storage;
                    let rule = if is_storage { storage } else { chat };
                    (rule, value.into(), label, self.told.is_first(host, value.into(), setting.now))
                }
                None => return,
            },
        };
        if is_news {
            rule.report(setting, packet, label, scope, findings);
        }
    }

    /// Returns true for a query of a resolver that was asked for the same entry shortly before, and remembers what resolvers are asked for.
    fn is_forwarded(&mut self, setting: Setting<'_>, tuple: &FiveTuple, entry: u32) -> bool {
        let Setting { now, home_net, .. } = setting;
        let is_own =
            |known: &(Address, u32, Timestamp)| (known.0, known.1) == (tuple.source, entry) && known.2 > now;
        let is_forwarded = self.forwarded.iter().any(is_own);
        if home_net.is_internal(tuple.destination) {
            self.newest = (self.newest + 1) % FORWARDED;
            if let Some(oldest) = self.forwarded.get_mut(self.newest) {
                *oldest = (tuple.destination, entry, now.after(FORWARDING));
            }
        }
        is_forwarded
    }

    /// Takes the first packet of a flow.
    #[inline]
    pub(crate) fn new_flow(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if self.reads_addresses && event.role.is_first && event.role.from_initiator {
            self.address(event, findings);
        }
    }

    #[inline(never)] // nothing of it without a list
    fn address(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let Event { setting, packet, .. } = *event;
        let FiveTuple { source, destination, tcp_flags, .. } = packet.tuple;
        // Segments that answer others open nothing, whatever the flow table still knows.
        let is_answer = tcp_flags.is_some_and(|flags| flags.has(TcpFlags::RST) || flags.syn_ack());
        if is_answer || !setting.home_net.is_internal(source) || !setting.home_net.is_external(destination) {
            return;
        }
        let lists = self.held.lists();
        let classes =
            lists.map_or(0, |lists| address_list::classes(lists.addresses, lists.ranges, destination));
        let is_of = |class: AddressClass| classes >> number(class) & 1 == 1;
        if is_of(AddressClass::Allowed) {
            return;
        }
        let malicious = 1 << number(AddressClass::Malicious);
        let classes = classes | if self.is_indicated(destination) { malicious } else { 0 };
        // One bit for each class that is told; an exit node is a relay too: the first of the lists of Tor that names it counts.
        let mut left = classes;
        while left != 0 {
            let class = left.trailing_zeros();
            left &= left - 1;
            let Some(rule) = usize::try_from(class).ok().and_then(|class| self.rules.get(NAME_RULES + class))
            else {
                return;
            };
            let (is_news, scope) = match rule.test {
                Test::TorExitNode | Test::TorRelay | Test::TorBridge => {
                    left &= !TOR;
                    // Whoever uses Tor uses many of them.
                    (true, 0)
                }
                Test::DatacenterIp | Test::ProxyVpn => {
                    (self.told.is_first(event.source_hash, FIRST_CLASS + (class & 1), setting.now), 0)
                }
                _ => (true, scope(destination, Port(0))),
            };
            if is_news {
                rule.report(setting, packet, rule.test.name(), scope, findings);
            }
        }
    }
}

#[expect(clippy::as_conversions, reason = "the number of a class")]
const fn number(class: AddressClass) -> u8 {
    class as u8
}

/// Value that a list gives a name.
const fn value(entry: u64) -> u8 {
    let [value, ..] = entry.to_le_bytes();
    value
}
