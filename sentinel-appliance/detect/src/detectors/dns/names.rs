//! Names asked for and their answers, read once for `nxdomain_burst`, `dns_rebinding`, `punycode_lookalike` and `fast_flux`.
//!
//! Read first: RFC 1035 section 4; RFC 5452 section 9 (what makes an answer hard to forge).
//!
//! The question is the one that `dns_tunnel` has read; only without that detector, and over TCP, it is read here. An answer counts if it has
//! the number and the port of a question of the same client that none before it has answered. One of a resolver at home counts
//! without it for the tests of names, because its question may have been seen by another worker; never for `nxdomain_burst`, which says
//! something about the client.
//!
//! Messages that `dns_tunnel` does not read because there are too many are not read here either, and are counted there.

use sentinel_dissect::{FiveTuple, PacketSummary, dns};
use sentinel_units::{Address, Timestamp};

use super::answers::{Addresses, Reach};
use super::dga::NXDOMAIN;
use super::digest::digest;
use super::ends::{Ends, ends, looks_like_dns, second};
use super::fast_flux::FastFlux;
use super::information::PathHash;
use super::load::Load;
use super::lookalike::PunycodeLookalike;
use super::lookup::Lookup;
use super::nxdomain_burst::NxdomainBurst;
use super::question::{HEADER_LEN, is_encoded, read_question};
use super::rebinding::{AnsweredName, DnsRebinding, Reaches};
use super::suffix::{Labels, registered_labels};
use crate::incident::Findings;
use crate::registry::DetectorConfig;
use crate::shared::event::{DNS, Event, Question, ReadQuestion, Setting};

/// Messages read of one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;
/// Short-lived addresses of one message.
const MAX_ADDRESSES: usize = 16;
/// Questions without an answer that are remembered, a power of two.
const EXCHANGES: usize = 128;

/// Clients, ports and numbers of the questions asked last, one for each value of some of their bits. A newer one takes the place of an older
/// one, whose answer then does not count.
#[derive(Debug)]
struct Exchanges {
    tags: [u32; EXCHANGES],
}

impl Exchanges {
    /// Slot and tag of an exchange; the tag is never zero.
    #[inline]
    fn slot(&mut self, client_hash: u32, port: u16, bytes: &[u8]) -> Option<(&mut u32, u32)> {
        let id = u16::from_be_bytes(*bytes.first_chunk()?);
        let exchange = u32::from(id) << 16 | u32::from(port);
        let slot = self.tags.get_mut(usize::from(id ^ port) % EXCHANGES)?;
        Some((slot, client_hash.wrapping_add(exchange.wrapping_mul(0x9e37_79b1)) | 1))
    }

    #[inline]
    fn ask(&mut self, client_hash: u32, port: u16, bytes: &[u8]) {
        if let Some((slot, tag)) = self.slot(client_hash, port, bytes) {
            *slot = tag;
        }
    }

    /// Returns true for the first answer to a question.
    fn answer(&mut self, client_hash: u32, port: u16, bytes: &[u8]) -> bool {
        self.slot(client_hash, port, bytes).is_some_and(|(slot, tag)| {
            let is_answer = *slot == tag;
            if is_answer {
                *slot = 0;
            }
            is_answer
        })
    }
}

/// The four tests.
#[derive(Debug)]
pub(crate) struct Names<'m> {
    exchanges: Exchanges,
    burst: NxdomainBurst,
    rebinding: DnsRebinding<'m>,
    lookalike: PunycodeLookalike,
    flux: FastFlux,
    /// For messages that `dns_tunnel` does not read because it is off.
    load: Load,
    is_enabled: bool,
    reads_alone: bool,
    streams_are_reassembled: bool,
}

impl<'m> Names<'m> {
    pub(crate) fn new(
        answered: &'m mut [AnsweredName],
        burst: &DetectorConfig,
        rebinding: &DetectorConfig,
        lookalike: &DetectorConfig,
        flux: &DetectorConfig,
        tunnel: &DetectorConfig,
    ) -> Self {
        Self {
            exchanges: Exchanges { tags: [0; EXCHANGES] },
            burst: NxdomainBurst::new(burst),
            rebinding: DnsRebinding::new(answered, rebinding),
            lookalike: PunycodeLookalike::new(lookalike),
            flux: FastFlux::new(flux),
            load: Load::default(),
            is_enabled: [burst, rebinding, lookalike, flux].iter().any(|config| config.enabled),
            reads_alone: !tunnel.enabled,
            streams_are_reassembled: false,
        }
    }

    pub(crate) fn configure(
        &mut self,
        burst: &DetectorConfig,
        rebinding: &DetectorConfig,
        lookalike: &DetectorConfig,
        flux: &DetectorConfig,
        tunnel: &DetectorConfig,
    ) {
        self.burst.configure(burst);
        self.rebinding.configure(rebinding);
        self.lookalike.configure(lookalike);
        self.flux.configure(flux);
        self.is_enabled = [burst, rebinding, lookalike, flux].iter().any(|config| config.enabled);
        self.reads_alone = !tunnel.enabled;
    }

    /// Hosts and names that were given up while they counted.
    pub(crate) const fn evictions(&self) -> u64 {
        self.burst.evictions() + self.rebinding.evictions()
    }

    /// Messages that were not read because there were too many, without `dns_tunnel`.
    pub(crate) const fn unread(&self) -> u64 {
        self.load.unread()
    }

    /// Reports what has waited long enough.
    pub(crate) fn expire(&mut self, now: Timestamp, findings: &mut Findings<'_, '_>) {
        self.rebinding.expire(now, findings);
    }

    /// From now on messages over TCP come through [`Self::message`].
    pub(crate) const fn enable_reassembly(&mut self) {
        self.streams_are_reassembled = true;
    }

    /// Returns true if payloads between these ports are read. Whether responses are, `dns_tunnel` decides unless it is off.
    #[inline]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        self.is_enabled && (tuple.destination_port == DNS || self.reads_alone && tuple.source_port == DNS)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let tuple = &event.packet.tuple;
        let to_server = tuple.destination_port == DNS;
        if !(self.is_enabled && (to_server || tuple.source_port == DNS)) {
            return;
        }
        if tuple.tcp_flags.is_none() {
            if to_server {
                // Also of a name that repeats one: its answer may be another.
                self.exchanges.ask(event.source_hash, tuple.source_port.0, event.packet.payload());
            }
            // Most queries repeat a name.
            if matches!(event.question.get(), Question::Repeated | Question::Passed) {
                return;
            }
        }
        self.messages(event, findings);
    }

    /// Takes a datagram on another port that `dns_tunnel` has found to be DNS.
    #[inline]
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        let tuple = &event.packet.tuple;
        if let Question::Read(question) = event.question.get()
            && self.is_enabled
            && tuple.destination_port != DNS
            && tuple.source_port != DNS
            && let Some(ends) = ends(event)
        {
            let payload = event.packet.payload();
            if ends.from_client {
                self.exchanges.ask(event.source_hash, ends.client_port.0, payload);
            }
            self.read(event, ends, payload, question, findings);
        }
        false
    }

    /// Responses seen by other workers change nothing here.
    pub(crate) const fn response(&mut self, _: Setting<'_>, _: Address, _: Address, _: bool) {}

    /// See [`Self::response`].
    pub(crate) const fn needs_response(&self, _: &FiveTuple) -> bool {
        false
    }

    /// Tests a reassembled message. `packet` is one of those that carried it.
    pub(crate) fn message(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        let tuple = &packet.tuple;
        if self.is_enabled && (tuple.destination_port == DNS || tuple.source_port == DNS) {
            let event = Event::of_message(setting, packet);
            self.read_alone(&event, message, findings);
        }
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn messages(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let payload = event.packet.payload();
        let tuple = &event.packet.tuple;
        if tuple.tcp_flags.is_some() {
            // Only requests are reassembled.
            if !(self.streams_are_reassembled && tuple.destination_port == DNS) {
                for message in dns::tcp_messages(payload).take(MAX_TCP_MESSAGES) {
                    if looks_like_dns(message) {
                        self.read_alone(event, message, findings);
                    }
                }
            }
            return;
        }
        match event.question.get() {
            Question::Read(question) => {
                if let Some(ends) = ends(event) {
                    self.read(event, ends, payload, question, findings);
                }
            }
            Question::Unread
                if self.reads_alone
                    && (self.load.take_response(second(event.setting)) || self.load.takes_turn()) =>
            {
                self.read_alone(event, payload, findings);
            }
            _ => {}
        }
    }

    /// Reads a message that no other detector has read.
    #[cold]
    fn read_alone(&mut self, event: &Event<'_, '_>, bytes: &[u8], findings: &mut Findings<'_, '_>) {
        let (Ok(message), Some(ends)) = (dns::Message::parse(bytes), ends(event)) else { return };
        let mut labels = Labels::new();
        let Some(asked) = read_question(&message, bytes, &mut labels) else { return };
        let Some(registered) = registered_labels(&labels) else { return };
        let Some(domain) = labels.get(labels.len().saturating_sub(registered)..) else { return };
        let question = ReadQuestion {
            domain: PathHash::new(event.setting.key).domain(domain),
            end: asked.end,
            is_encoded: domain.first().is_some_and(|label| is_encoded(label)),
        };
        if ends.from_client {
            self.exchanges.ask(event.source_hash, ends.client_port.0, bytes);
        }
        self.read(event, ends, bytes, question, findings);
    }

    /// Takes a message whose question was read.
    #[inline(never)] // one copy for all ways
    fn read(
        &mut self,
        event: &Event<'_, '_>,
        ends: Ends,
        bytes: &[u8],
        question: ReadQuestion,
        findings: &mut Findings<'_, '_>,
    ) {
        // Flags and response code, questions, answers, authorities.
        let Some(&[_, _, flags, code, _, _, answers @ .., _, _, _, _]) = bytes.first_chunk::<12>() else {
            return;
        };
        let (is_response, code) = (flags & 0x80 != 0, code & 0x0f);
        let setting = event.setting;
        if ends.from_client {
            if !is_response && question.is_encoded {
                let mac = event.packet.sender_mac();
                let lookup = Lookup { setting, ends, client_hash: event.source_hash, mac, bytes, question };
                self.lookalike.query(&lookup, findings);
            }
            return;
        }
        let has_answers = answers != [0, 0] && code == 0;
        if !is_response || !has_answers && code != NXDOMAIN {
            return;
        }
        let client_hash = setting.key.address(ends.client);
        let is_answer = self.exchanges.answer(client_hash, ends.client_port.0, bytes);
        let lookup = Lookup { setting, ends, client_hash, mac: None, bytes, question };
        if code != NXDOMAIN {
            self.addresses(&lookup, is_answer, event.source_hash, findings);
        } else if is_answer {
            self.burst.nonexistent(&lookup, findings);
        }
    }

    /// Takes an answer with records.
    fn addresses(
        &mut self,
        lookup: &Lookup<'_>,
        is_answer: bool,
        server_hash: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let Lookup { setting, ends, client_hash, bytes, question, .. } = *lookup;
        if is_answer {
            self.burst.exists();
        } else if !setting.home_net.is_internal(ends.server) {
            return;
        }
        let ttl_limit_s = self.flux.thresholds.ttl_s;
        let mut short_lived = heapless::Vec::<Address, MAX_ADDRESSES>::new();
        let mut reaches = Reaches::default();
        for (ttl_s, address) in Addresses::of(bytes, question.end) {
            let reach = Reach::of(address);
            reaches.add(reach, address);
            if ttl_s <= ttl_limit_s && matches!(reach, Reach::Public | Reach::PublicV6) {
                let _more_say_no_more = short_lived.push(address);
            }
        }
        let name = bytes.get(HEADER_LEN..question.end.saturating_sub(4)).unwrap_or_default();
        let name_hash = digest(setting.key, client_hash, name);
        self.rebinding.answer(lookup, (name_hash, server_hash), reaches, findings);
        if !short_lived.is_empty() {
            self.flux.answer(lookup, name_hash.max(1), &short_lived, findings);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    extern crate std;
    use super::*;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use sentinel_alert::{Alert, Kind, Phase};
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use crate::testkit::{
        ACK, CLIENT, GATEWAY, KEY, OUTSIDE, ROOMY, Sensor, alone, config_of, configs, datagram, dns, ipv4,
        ipv6, segment, udp,
    };

    /// An answer to the question of [`ask`] for a name, with a response code and addresses that are valid for so long.
    pub(in super::super) fn answer(id: u16, name: &str, code: u8, ttl_s: u32, addresses: &[&str]) -> Vec<u8> {
        let mut message = dns(name, true);
        message[..2].copy_from_slice(&id.to_be_bytes());
        message[3] = code;
        message[7] = u8::try_from(addresses.len()).unwrap();
        for address in addresses {
            let (kind, data) = match address.parse().unwrap() {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (28, address.octets().to_vec()),
            };
            message.extend([0xc0, 12, 0, kind, 0, 1]);
            message.extend(ttl_s.to_be_bytes());
            message.extend([0, u8::try_from(data.len()).unwrap()]);
            message.extend(data);
        }
        message
    }

    /// A question for a name.
    pub(in super::super) fn ask(id: u16, name: &str) -> Vec<u8> {
        let mut message = dns(name, false);
        message[..2].copy_from_slice(&id.to_be_bytes());
        message
    }

    /// A question of a client to the resolver at home, and its answer.
    pub(in super::super) fn exchange(
        sensor: &mut Sensor,
        millis: u64,
        client: Ipv4Addr,
        id: u16,
        name: &str,
        answer: &[u8],
    ) {
        sensor.frame(millis, &udp((client, 40_000), (GATEWAY, 53), &ask(id, name)));
        sensor.frame(millis + 5, &udp((GATEWAY, 53), (client, 40_000), answer));
    }

    /// A sensor with this detector alone.
    pub(in super::super) fn sensor(kind: Kind) -> Sensor {
        Sensor::with(ROOMY, KEY, &alone(kind))
    }

    /// The opening messages of a kind.
    pub(in super::super) fn opened(sensor: &Sensor, kind: Kind) -> Vec<&Alert> {
        let is_it = |alert: &&Alert| alert.phase == Phase::Open && alert.test.kind() == kind;
        sensor.raised.iter().filter(is_it).collect()
    }

    fn host(id: u16) -> String {
        format!("host{id}-nothing.com")
    }

    /// Transport that carries a message from one end to the other.
    type Carry = fn(bool, &[u8]) -> Vec<u8>;

    /// 80 nonexistent names within 40 s.
    fn bursts(configs: &crate::Configs, carry: Carry) -> usize {
        let mut sensor = Sensor::with(ROOMY, KEY, configs);
        for id in 0..80 {
            let millis = u64::from(id) * 500;
            sensor.frame(millis, &carry(true, &ask(id, &host(id))));
            sensor.frame(millis + 5, &carry(false, &answer(id, &host(id), NXDOMAIN, 0, &[])));
        }
        opened(&sensor, Kind::NxdomainBurst).len()
    }

    fn over_udp(is_question: bool, message: &[u8]) -> Vec<u8> {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 53));
        if is_question { udp(client, server, message) } else { udp(server, client, message) }
    }

    fn over_ipv6(is_question: bool, message: &[u8]) -> Vec<u8> {
        let [client, server] = ["fd00::11", "2001:db8::53"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        if is_question {
            ipv6(client, server, 17, &datagram(40_000, 53, message))
        } else {
            ipv6(server, client, 17, &datagram(53, 40_000, message))
        }
    }

    fn over_tcp(is_question: bool, message: &[u8]) -> Vec<u8> {
        let stream = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
        if is_question {
            ipv4(CLIENT, OUTSIDE, 6, &segment(40_000, 53, ACK, &stream))
        } else {
            ipv4(OUTSIDE, CLIENT, 6, &segment(53, 40_000, ACK, &stream))
        }
    }

    fn over_another_port(is_question: bool, message: &[u8]) -> Vec<u8> {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 5_300));
        if is_question { udp(client, server, message) } else { udp(server, client, message) }
    }

    #[test]
    fn messages_are_read_however_they_travel() {
        let mut both = alone(Kind::NxdomainBurst);
        config_of(&mut both, Kind::DnsTunnel).enabled = true;
        let ways: [(&str, Carry); 3] = [("udp", over_udp), ("ipv6", over_ipv6), ("tcp", over_tcp)];
        for (name, carry) in ways {
            assert_eq!(bursts(&alone(Kind::NxdomainBurst), carry), 1, "{name}, alone");
            assert_eq!(bursts(&both, carry), 1, "{name}");
        }
        assert_eq!(bursts(&both, over_another_port), 1);
    }

    #[test]
    fn mixed_case_and_extensions_make_no_difference() {
        let mut sensor = sensor(Kind::DnsRebinding);
        for (millis, name, address) in
            [(0, "ReBind.Example.COM", "203.0.113.9"), (9_000, "rebIND.exAMPle.com", "192.168.1.1")]
        {
            let mut message = answer(7, name, 0, 1, &[address]);
            // An OPT record behind (RFC 6891).
            message[11] = 1;
            message.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
            exchange(&mut sensor, millis, CLIENT, 7, name, &message);
        }
        sensor.finish();
        assert_eq!(opened(&sensor, Kind::DnsRebinding).len(), 1);
    }

    #[test]
    fn an_answer_counts_once_and_only_to_its_question() {
        let told = |of: &dyn Fn(u16) -> (u16, Ipv4Addr, u16)| {
            let mut sensor = sensor(Kind::NxdomainBurst);
            for id in 0..80 {
                let (answered, client, port) = of(id);
                sensor.frame(id.into(), &udp((CLIENT, 40_000), (GATEWAY, 53), &ask(id, &host(id))));
                let message = answer(answered, &host(id), NXDOMAIN, 0, &[]);
                sensor.frame(id.into(), &udp((GATEWAY, 53), (client, port), &message));
            }
            opened(&sensor, Kind::NxdomainBurst).len()
        };
        assert_eq!(told(&|id| (id, CLIENT, 40_000)), 1);
        assert_eq!(told(&|id| (id ^ 0x4000, CLIENT, 40_000)), 0, "another number");
        assert_eq!(told(&|id| (id, CLIENT, 40_001)), 0, "another port");
        assert_eq!(told(&|id| (id, crate::testkit::other(1), 40_000)), 0, "another client");
        assert_eq!(told(&|_| (0, CLIENT, 40_000)), 0, "one question, many answers");
    }

    #[test]
    fn every_message_cut_short_is_harmless() {
        let mut sensor = Sensor::with(ROOMY, KEY, &configs());
        let name = "xn--80ak6aa92e.com";
        for message in [ask(1, name), answer(1, name, 0, 1, &["10.0.0.1", "203.0.113.9", "fd00::1"])] {
            for len in 0..message.len() {
                sensor.frame(1, &udp((GATEWAY, 53), (CLIENT, 40_000), &message[..len]));
                sensor.frame(1, &udp((CLIENT, 40_000), (GATEWAY, 53), &message[..len]));
            }
        }
    }
}
