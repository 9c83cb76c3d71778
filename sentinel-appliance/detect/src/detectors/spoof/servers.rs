//! `rogue_dhcp`, `rogue_dns`: a DHCP server beside the known one, and a resolver that was not named before.
//!
//! Read first: RFC 2131 sections 2 and 4.3, RFC 2132 (options); RFC 9915 section 16 (DHCP for IPv6); RFC 7610 section 3 (which server
//! messages to expect where).
//!
//! The first server of a link is trusted, unless another station holds its address: only its leases explain that an address moves, and
//! the router that it names is the gateway. A second server is rogue if it names another router or resolver: two servers that share
//! their leases name the same. If the proven gateway is the second, the first one is the rogue. A resolver that the trusted server itself
//! did not name before is of `low` severity, because that is how one is changed, unless one request got both answers.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::application::dhcpv6;
use sentinel_dissect::dhcp::{self, option};
use sentinel_track::neighbour::{Span, Tick};
use sentinel_units::{Address, Mac};

use crate::registry::Detector;

/// Servers at most, over all links. One that is not trusted makes room.
const MAX_SERVERS: usize = 8;
/// Silence after which another server may become the trusted one: leases are renewed after half of a day or of a week.
const LIFETIME: Span = Span::at_least(Duration::from_secs(7 * 86_400));
/// Silence of the trusted server, and of the gateway, after which a second one may be its replacement.
pub(super) const ABSENCE: Span = Span::at_least(Duration::from_secs(600));
/// A station is reported once a day, and as long as its messages follow each other.
const REPORT_INTERVAL: Span = Span::at_least(Duration::from_secs(86_400));
const REPORT_SPAN: Span = Span::at_least(Duration::from_secs(60));
/// Messages of DHCP for IPv6 that a client takes over (RFC 9915 section 7.3), and the option of resolvers (RFC 3646 section 3).
const ADVERTISE: u8 = 2;
const REPLY: u8 = 7;
const OPTION_DNS_SERVERS: u16 = 23;

/// Declaration of `rogue_dhcp`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct RogueDhcp;

impl RogueDhcp {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::RogueDhcp,
        about: "a second DHCP server of a link names another router or resolver; low if the first has been silent for ten minutes",
        source: "RFC 7610 section 3; RFC 2131 section 4.3",
        severity: Severity::High,
        thresholds: &[],
        ports: None,
    };
}

/// Declaration of `rogue_dns`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct RogueDns;

impl RogueDns {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::RogueDns,
        about: "the DHCP server or router names another resolver than before; low unless one request got both answers",
        source: "RFC 2132 section 3.8; RFC 8106 section 5.1",
        severity: Severity::High,
        thresholds: &[],
        ports: None,
    };
}

/// Station that should not be there, or says what it should not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rogue {
    pub(super) test: Test,
    /// False if it may be a replacement or a change of settings.
    pub(super) is_certain: bool,
    /// Station that is trusted, and the one that is not.
    pub(super) known: Mac,
    pub(super) other: Mac,
    /// Address of the latter.
    pub(super) address: Address,
    /// Router, resolver or prefix that it names.
    pub(super) named: Address,
}

/// Time of the last report about a station.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reported(Option<Tick>);

impl Reported {
    /// Returns true if a report is due.
    pub(super) fn is_due(&mut self, now: Tick) -> bool {
        let is_due = self.0.is_none_or(|last| {
            let span = now.distance(last);
            span <= REPORT_SPAN || span > REPORT_INTERVAL
        });
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// Offer or acknowledgement of a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) link: u32,
    /// Sender of the frame and of the packet.
    pub(super) mac: Mac,
    pub(super) address: Address,
    /// Client, and the address that it is given; unspecified for IPv6.
    pub(super) client: Mac,
    pub(super) leased: Address,
    /// First router and first resolver that the client is told of; unspecified for none.
    router: Address,
    resolver: Address,
    transaction: u32,
    /// The address is assigned, not only offered.
    pub(super) is_final: bool,
}

impl Answer {
    /// Reads an offer or acknowledgement to a client on this link that gives an address. Answers without, as those of a boot server beside
    /// a DHCP server (PXE), and those through a relay, which are for other links, are `None`.
    pub(super) fn read(payload: &[u8], link: u32, (mac, address): (Mac, Address)) -> Option<Self> {
        let message = dhcp::Message::parse(payload).ok()?;
        let is_final = message.kind == Some(dhcp::Kind::Ack);
        if !message.is_reply
            || !is_final && message.kind != Some(dhcp::Kind::Offer)
            || message.your_ip.is_unspecified()
            || !message.relay.is_unspecified()
        {
            return None;
        }
        let first = |number| {
            let (_, value) = dhcp::options(payload).find(|(found, _)| *found == number)?;
            value.first_chunk().map(|first| Address::v4(u32::from_be_bytes(*first)))
        };
        Some(Self {
            link,
            mac,
            address,
            client: message.client_mac,
            leased: message.your_ip,
            router: first(option::ROUTER).unwrap_or_default(),
            resolver: first(option::DOMAIN_NAME_SERVER).unwrap_or_default(),
            transaction: message.transaction,
            is_final,
        })
    }

    /// Reads an advertisement or reply of DHCP for IPv6.
    pub(super) fn read_v6(payload: &[u8], link: u32, (mac, address): (Mac, Address)) -> Option<Self> {
        let message = dhcpv6::Message::parse(payload)?;
        let [a, b, c] = *message.header.first_chunk()?;
        if !matches!(message.kind, ADVERTISE | REPLY) {
            return None;
        }
        let resolver =
            message.option(OPTION_DNS_SERVERS).and_then(|servers| servers.as_chunks::<4>().0.first_chunk());
        let resolver = resolver.map(|words: &[[u8; 4]; 4]| Address::v6(words.map(u32::from_be_bytes)));
        Some(Self {
            link,
            mac,
            address,
            client: Mac::ZERO,
            leased: Address::default(),
            router: Address::default(),
            resolver: resolver.unwrap_or_default(),
            transaction: u32::from_be_bytes([0, a, b, c]),
            is_final: message.kind == REPLY,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Server {
    answer: Answer,
    seen: Tick,
    is_trusted: bool,
    reported: Reported,
}

/// Servers that answered clients.
#[derive(Debug, Default)]
pub(super) struct Servers {
    list: [Option<Server>; MAX_SERVERS],
    overwritten: u64,
}

impl Servers {
    /// Servers that made room for others.
    pub(super) const fn evictions(&self) -> u64 {
        self.overwritten
    }

    /// Records an answer. Returns true if its server is trusted, and what is wrong. `gateway` is the proven one of the link, with true if
    /// it is active.
    pub(super) fn answer(
        &mut self,
        answer: &Answer,
        gateway: Option<(Mac, bool)>,
        now: Tick,
    ) -> (bool, Option<Rogue>) {
        let Some(trusted) = self.trusted(answer.link, answer.address.is_v4(), now) else {
            self.record(answer, true, now);
            return (true, None);
        };
        let before = trusted.answer;
        let is_active =
            now.distance(trusted.seen) <= ABSENCE || gateway.is_some_and(|(_, is_active)| is_active);
        let (other_router, other_resolver) =
            (differ(before.router, answer.router), differ(before.resolver, answer.resolver));
        if before.mac == answer.mac {
            let is_double = (before.transaction, before.is_final) == (answer.transaction, answer.is_final);
            let is_worth_telling = other_resolver && (is_double || !other_router);
            // Fields that are missing stay as they were.
            let keep = |new: Address, old| if new.is_unspecified() { old } else { new };
            let (router, resolver) =
                (keep(answer.router, before.router), keep(answer.resolver, before.resolver));
            (trusted.answer, trusted.seen) = (Answer { router, resolver, ..*answer }, now);
            let rogue = Rogue {
                test: Test::RogueDns,
                is_certain: is_double,
                known: before.mac,
                other: before.mac,
                address: answer.address,
                named: answer.resolver,
            };
            return (!(is_double && other_resolver), is_worth_telling.then_some(rogue));
        }
        let is_gateway = gateway.is_some_and(|(mac, _)| mac == answer.mac);
        let replaces = is_gateway && (other_router || other_resolver);
        if replaces {
            trusted.is_trusted = false;
        }
        let slot = self.record(answer, replaces, now);
        let is_due = slot.is_some_and(|server| server.reported.is_due(now));
        if !(other_router || other_resolver) || !is_due {
            return (replaces, None);
        }
        let (known, rogue) = if replaces { (answer, &before) } else { (&before, answer) };
        let named = if other_router { rogue.router } else { rogue.resolver };
        let (known, other) = (known.mac, rogue.mac);
        let rogue = Rogue {
            test: Test::RogueDhcp,
            is_certain: is_active,
            known,
            other,
            address: rogue.address,
            named,
        };
        (replaces, Some(rogue))
    }

    /// Returns true if the trusted server of `link` names `address` as router.
    pub(super) fn is_router(&mut self, link: u32, address: Address, now: Tick) -> bool {
        address.is_v4() && self.trusted(link, true, now).is_some_and(|server| server.answer.router == address)
    }

    fn trusted(&mut self, link: u32, is_v4: bool, now: Tick) -> Option<&mut Server> {
        self.list.iter_mut().flatten().find(|server| {
            server.is_trusted
                && (server.answer.link, server.answer.address.is_v4()) == (link, is_v4)
                && now.distance(server.seen) <= LIFETIME
        })
    }

    /// Records a server that is not the trusted one, or becomes it.
    fn record(&mut self, answer: &Answer, is_trusted: bool, now: Tick) -> Option<&mut Server> {
        let key = |answer: &Answer| (answer.link, answer.mac, answer.address.is_v4());
        let is_same = |server: &Server| key(&server.answer) == key(answer);
        let order = |slot: &Option<Server>| match slot {
            Some(server) if is_same(server) => 0,
            None => 1,
            Some(server) if !server.is_trusted => 2,
            Some(_) => 3,
        };
        let slot = self.list.iter_mut().min_by_key(|slot| order(slot))?;
        self.overwritten += u64::from(order(slot) > 1);
        let reported = slot.filter(is_same).map(|server| server.reported).unwrap_or_default();
        Some(slot.insert(Server { answer: *answer, seen: now, is_trusted, reported }))
    }
}

/// Returns true if both are known and not the same.
fn differ(one: Address, other: Address) -> bool {
    !one.is_unspecified() && !other.is_unspecified() && one != other
}
