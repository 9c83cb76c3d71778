//! First payloads of the connections that are watched.
//!
//! A connection is chosen once to be watched, at the SYN-ACK or at the first packet that was seen of it, by what is known of its
//! server ([`Servers`]): the first connections of each server are, then the first of each second and samples, so that the work depends on the
//! number of servers and not on that of connections; [`MAX_PER_S`] a second at most. A connection that says nothing counts little, so that nobody can make a server known with one of his
//! own. Of a watched connection up to [`MAX_PAYLOADS`] segments with payload are read.
//!
//! A [`Watch`] is kept in one of two places by a keyed hash. If both are in use the connection is not watched, which is counted.

use sentinel_alert::{Evidence, Severity, ShortName, Subject, Test};
use sentinel_dissect::TcpFlags;
use sentinel_track::flow::Endpoint;
use sentinel_units::Timestamp;

use super::anomaly::ProtocolAnomaly;
use super::credentials::{self, CleartextCredentials, Dialogue};
use super::server_name::server_name;
use super::servers::{Class, Report, Servers};
use super::tls::{Asked, Flight, Part, Risks};
use crate::incident::{Finding, Findings, scope};
use crate::registry::DetectorConfig;
use crate::shared::event::{DNS, Event, Setting};
use crate::shared::rate::Activation;

/// Bit of [`Event::session`] of a flow that is watched, above those of `brute_force`.
pub(crate) const WATCHED: u32 = 1 << 24;
/// Segments with payload that are read of one connection.
const MAX_PAYLOADS: u8 = 24;
/// Segments that are read after the first request of HTTP: a password follows when the server has asked for it.
const MAX_REQUESTS: u8 = 8;
/// Payloads of Telnet that may be single keys, of which few count.
const KEYS: usize = 2;
/// Seconds after which a watch makes room: of a connection that says nothing or was judged, and of all others.
const TIMEOUT_S: [u32; 2] = [3, 30];
/// Connections that may begin to be watched in one second. All others are left to the next one of their client.
const MAX_PER_S: u32 = 32;
/// Connections that begin to be watched in one second whatever is known of their servers.
const ALL_PER_S: u32 = 16;
/// Length of a frame with an acknowledgement alone, at most, but for rare headers.
const BARE: u32 = 78;
/// Bytes of Ethernet, VLAN tag, IPv6 and the longest TCP header: a longer frame has a payload, also if none was captured.
const HEADERS: u32 = 14 + 4 + 40 + 60;
/// Logarithm: one connection of so many, to a server that was judged, is watched.
const SAMPLE_SHIFT: u32 = 5;

/// A connection that is watched: 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Keyed hash of the connection; zero for a free place.
    flow: u32,
    last_s: u32,
    /// Next sequence number of client and server.
    next: [u32; 2],
    class: Class,
    /// Segments with payload that are still read.
    left: u8,
    /// True once the server was noted as known.
    is_noted: bool,
    /// Of TLS, the name that the client asked for.
    asked: Asked,
    dialogue: Dialogue,
}

const _: () = assert!(size_of::<Watch>() <= 72, "32 watches are 2 KiB");

/// The detectors of first payloads.
#[derive(Debug)]
pub(crate) struct FirstPayloads<'m> {
    servers: Servers<'m>,
    watches: &'m mut [Watch],
    credentials: Activation,
    tls: Activation,
    anomaly: Activation,
    flight: Flight<'m>,
    /// The current second, and the connections in it that began to be watched.
    opened: (u32, u32),
    /// State of a linear congruential generator, which draws samples.
    random: u32,
    /// Connections that were not watched for want of room.
    unwatched: u64,
    /// True if another engine sees the other direction.
    is_shard: bool,
    /// Session bits to keep with the flow of the last packet.
    pub(crate) request: Option<u32>,
    /// Part of the first payload of a client that came with the last packet, for those that look up what it says.
    pub(crate) first_payload: Option<Part>,
    /// True if they look up any.
    is_looked_up: bool,
    /// True if hellos that span segments are put together for them.
    joins_hellos: bool,
    /// True if requests of HTTP are shown to `bot`.
    reads_requests: bool,
}

/// The two ends of a connection, and its hashes.
struct Ends {
    client: Endpoint,
    server: Endpoint,
    server_hash: u32,
    flow: u32,
}

/// Next step after a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// The next one is needed too.
    Next,
    /// No other one of this direction is needed.
    Aside,
    /// The connection is watched no longer.
    Over,
}

/// Outcome of a payload.
enum Outcome {
    /// The next one is read too.
    More,
    /// The connection is judged.
    Over,
    /// A password, with the name of what carries it.
    Password(&'static str),
    /// Poor TLS.
    Poor(Risks),
    /// Another protocol than that of the port.
    Foreign(&'static str),
}

impl<'m> FirstPayloads<'m> {
    pub(crate) fn new(
        servers: &'m mut [u32],
        watches: &'m mut [Watch],
        flight: &'m mut [u8],
        credentials: &DetectorConfig,
        tls: &DetectorConfig,
        bot: &DetectorConfig,
        anomaly: &DetectorConfig,
    ) -> Self {
        Self {
            servers: Servers::new(servers),
            watches,
            credentials: credentials.into(),
            tls: tls.into(),
            anomaly: anomaly.into(),
            flight: Flight::new(flight),
            opened: (0, 0),
            random: 0,
            unwatched: 0,
            is_shard: false,
            request: None,
            first_payload: None,
            is_looked_up: false,
            joins_hellos: false,
            reads_requests: bot.enabled,
        }
    }

    pub(crate) fn configure(
        &mut self,
        credentials: &DetectorConfig,
        tls: &DetectorConfig,
        bot: &DetectorConfig,
        anomaly: &DetectorConfig,
    ) {
        (self.credentials, self.tls, self.anomaly) = (credentials.into(), tls.into(), anomaly.into());
        self.reads_requests = bot.enabled;
    }

    /// Takes over whether the names of servers are looked up, and the fingerprints of hellos.
    pub(crate) const fn set_lookups(&mut self, names: bool, fingerprints: bool) {
        (self.is_looked_up, self.joins_hellos) = (names || fingerprints, fingerprints);
    }

    /// Hello that was put together, if that is the part. It is given up.
    pub(crate) fn joined(&mut self, part: Part) -> Option<&[u8]> {
        if matches!(part, Part::Joined(_)) { Some(self.flight.take_hello()) } else { None }
    }

    /// Servers that made room for others while they were known.
    pub(crate) const fn evictions(&self) -> u64 {
        self.servers.evictions()
    }

    /// Connections that were to be watched and were not, because there were too many.
    pub(crate) const fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// From now on another engine sees the answers to what this one sees.
    pub(crate) const fn set_shard(&mut self) {
        self.is_shard = true;
    }

    /// Returns true for segments that [`Self::segment`] is for: of a flow that is watched, and those that may open one.
    #[inline]
    pub(crate) const fn concerns(&self, event: &Event<'_, '_>, flags: TcpFlags) -> bool {
        event.session & WATCHED != 0
            || flags.syn_ack()
            || event.role.is_first && (event.packet.wire_len > BARE || self.is_shard) && flags.ordinary()
            || self.is_shard && event.role.from_initiator && flags.syn_only()
    }

    /// Reads a segment. Returns true, and leaves a request, if the next one of this direction is needed.
    #[inline(never)]
    pub(crate) fn segment(
        &mut self,
        event: &Event<'_, '_>,
        flags: TcpFlags,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let reads_requests = self.reads_requests || self.is_looked_up;
        if !(self.credentials.enabled || self.tls.enabled || self.anomaly.enabled || reads_requests) {
            return false;
        }
        if event.session & WATCHED == 0 && !self.open(event, flags) {
            return false;
        }
        let ends = Ends::of(event);
        let kept = if event.role.from_initiator { event.session & !WATCHED } else { 0 };
        let step = self.read(&ends, event, flags, findings);
        if step == Step::Aside {
            return false;
        }
        // When it is over, one more packet of this direction comes, without the bit.
        self.request = Some(if step == Step::Next { kept | WATCHED } else { kept });
        true
    }

    /// Decides about a new connection. Returns true if it is watched.
    fn open(&mut self, event: &Event<'_, '_>, flags: TcpFlags) -> bool {
        let tuple = &event.packet.tuple;
        // The packet of the canary has one address.
        let is_opening = !flags.ordinary() || self.is_shard || !event.packet.payload().is_empty();
        if !is_opening || tuple.source == tuple.destination || self.servers.is_empty() {
            return false;
        }
        let now = event.setting.now;
        let (server_hash, server_port) = if event.role.from_initiator {
            (event.setting.key.address(tuple.destination), tuple.destination_port)
        } else {
            (event.source_hash, tuple.source_port)
        };
        // Numerical Recipes; only the upper bits are used.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(server_hash | 1);
        let is_sample = self.random >> (32 - SAMPLE_SHIFT) == 0;
        let known = self.servers.find(event.setting.key.with(server_hash, server_port.0.into()), now);
        // Behind one address may be many names: as long as there are few connections, all are watched.
        let (second, opened) = self.opened;
        let has_room = opened < ALL_PER_S || second != seconds(now);
        if !has_room && !known.is_none_or(|known| known.is_due(is_sample)) {
            return false;
        }
        self.begin(event, flags)
    }

    /// Takes a place for a connection. Returns false, and counts it, if there is none.
    #[cold]
    fn begin(&mut self, event: &Event<'_, '_>, flags: TcpFlags) -> bool {
        let now_s = seconds(event.setting.now);
        let (second, opened) = self.opened;
        let opened = if second == now_s { opened + 1 } else { 1 };
        self.opened = (now_s, opened);
        if opened > MAX_PER_S {
            self.unwatched += 1;
            return false;
        }
        let ends = Ends::of(event);
        let Some(place) =
            places(self.watches, ends.flow).into_iter().flatten().find(|watch| watch.is_free(now_s))
        else {
            self.unwatched += 1;
            return false;
        };
        let (sequence, acknowledgement) = event.packet.tcp_numbers();
        let own = sequence.wrapping_add(u32::from(flags.has(TcpFlags::SYN)));
        let next = if event.role.from_initiator { [own, acknowledgement] } else { [acknowledgement, own] };
        *place = Watch { flow: ends.flow, last_s: now_s, next, left: MAX_PAYLOADS, ..Watch::default() };
        true
    }

    /// Reads the payload of a segment.
    fn read(
        &mut self,
        ends: &Ends,
        event: &Event<'_, '_>,
        flags: TcpFlags,
        findings: &mut Findings<'_, '_>,
    ) -> Step {
        let now = event.setting.now;
        let Some(watch) =
            places(self.watches, ends.flow).into_iter().flatten().find(|watch| watch.flow == ends.flow)
        else {
            return Step::Over;
        };
        if !event.role.from_initiator && watch.class.is_client_first() {
            return Step::Aside;
        }
        let payload = watch.in_order(event);
        let mut outcome = Outcome::More;
        if !payload.is_empty() {
            watch.last_s = seconds(now);
            let is_new = watch.class == Class::New;
            outcome = if event.role.from_initiator { watch.client(payload) } else { watch.server(payload) };
            if matches!(outcome, Outcome::Foreign(_)) && !matches!(ends.server.port.0, 53 | 80 | 443) {
                outcome = Outcome::Over;
            }
            if event.role.from_initiator {
                self.first_payload = match watch.class {
                    Class::Tls if self.joins_hellos => {
                        let (sequence, _) = event.packet.tcp_numbers();
                        let seen = event.packet.payload().len() - payload.len();
                        let at = sequence.wrapping_add(u32::try_from(seen).unwrap_or_default());
                        self.flight.hello(!ends.flow, is_new, (at, payload), seconds(now))
                    }
                    Class::Tls | Class::Http if is_new => Some(Part::Whole),
                    _ => None,
                };
                if is_new && watch.class == Class::Tls {
                    watch.asked = server_name(payload).map(Asked::name).unwrap_or_default();
                }
            }
        }
        if watch.class == Class::Tls && !event.role.from_initiator {
            let is_missing = event.packet.payload().is_empty() && event.packet.wire_len > HEADERS;
            let risks = if is_missing {
                Some(self.flight.end((ends.flow, watch.asked), now))
            } else if payload.is_empty() {
                None
            } else {
                self.flight.read((ends.flow, watch.asked), payload, now, seconds(now))
            };
            outcome = match risks {
                None => Outcome::More,
                Some(risks) if risks.is_none() => Outcome::Over,
                Some(risks) => Outcome::Poor(risks),
            };
        }
        let is_last =
            watch.count(event.packet.payload()) || flags.has_any(TcpFlags(TcpFlags::FIN.0 | TcpFlags::RST.0));
        let left = watch.left;
        // A server that begins in clear text, and goes on with TLS.
        let class = if watch.dialogue.greeting == 0 { watch.class } else { Class::Lines };
        let is_judged = class == Class::Http && watch.dialogue.is_over;
        let is_over = is_last || !matches!(outcome, Outcome::More);
        // Connections without a payload say nothing.
        let is_news = !watch.is_noted && left < MAX_PAYLOADS && (is_over || is_judged);
        watch.is_noted |= is_news;
        if is_over {
            *watch = Watch::default();
        }
        let report = match outcome {
            Outcome::Password(_) if self.credentials.enabled => Some(Report::Credentials),
            Outcome::Poor(_) if self.tls.enabled => Some(Report::Tls),
            Outcome::Foreign(_) if self.anomaly.enabled => Some(Report::Foreign),
            _ => None,
        };
        if !is_news && report.is_none() {
            return if is_over { Step::Over } else { Step::Next };
        }
        let before = self.servers.note(ends.server_hash, now, class, report);
        match outcome {
            _ if report.is_none_or(|report| before.is_reported(report)) => {}
            Outcome::Password(what) => self.report(ends, event.setting, what, findings),
            Outcome::Foreign(what) => self.report_foreign(ends, event.setting, what, findings),
            Outcome::Poor(risks) => self.report_tls(ends, event.setting, risks, findings),
            _ => {}
        }
        if is_over { Step::Over } else { Step::Next }
    }

    /// Reads the first datagram of a flow to the ports of SNMP, or one to the port of DNS that does not look like a query.
    #[inline(never)]
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (setting, payload) = (event.setting, event.packet.payload());
        let ends = Ends::of(event);
        let report = if ends.server.port != DNS && self.credentials.enabled && credentials::snmp(payload) {
            Report::Credentials
        } else if ends.server.port == DNS
            && self.anomaly.enabled
            && is_no_dns(payload)
            && ends.leaves(setting)
        {
            Report::Foreign
        } else {
            return;
        };
        let before = self.servers.note(ends.server_hash, setting.now, Class::Other, Some(report));
        match report {
            _ if before.is_reported(report) => {}
            Report::Foreign => self.report_foreign(&ends, setting, "not DNS", findings),
            _ => self.report(&ends, setting, "SNMP community", findings),
        }
    }

    /// Returns true for datagrams that [`Self::datagram`] is for.
    #[inline]
    pub(crate) fn concerns_datagram(event: &Event<'_, '_>) -> bool {
        event.role.is_first
            && match event.packet.tuple.destination_port.0 {
                161 | 162 => true,
                // Nearly every query is shorter, and has one question.
                53 => {
                    event.packet.wire_len > 120 && !matches!(event.packet.payload(), [_, _, _, _, 0, 1, ..])
                }
                _ => false,
            }
    }

    /// Reports a password.
    #[cold]
    fn report(&self, ends: &Ends, setting: Setting<'_>, what: &str, findings: &mut Findings<'_, '_>) {
        let severity = if ends.leaves(setting) {
            self.credentials.severity
        } else {
            self.credentials.ordinary(CleartextCredentials::DETECTOR.severity)
        };
        findings.add(&ends.finding(Test::CleartextCredentials, severity, setting.now, what));
    }

    /// Reports another protocol than that of the port.
    #[cold]
    fn report_foreign(&self, ends: &Ends, setting: Setting<'_>, what: &str, findings: &mut Findings<'_, '_>) {
        let severity = self.anomaly.ordinary(ProtocolAnomaly::DETECTOR.severity);
        findings.add(&ends.finding(Test::OtherProtocol, severity, setting.now, what));
    }

    /// Reports poor TLS.
    #[cold]
    fn report_tls(&self, ends: &Ends, setting: Setting<'_>, risks: Risks, findings: &mut Findings<'_, '_>) {
        let is_inside = !setting.home_net.is_external(ends.server.address);
        let (risks, severity) = if is_inside {
            (risks.inside(), self.tls.severity.min(Severity::Info))
        } else {
            (risks, self.tls.severity)
        };
        if !risks.is_none() {
            findings.add(&ends.finding(Test::TlsRisk, severity, setting.now, &risks.names()));
        }
    }
}

/// The two places of a connection.
fn places(watches: &mut [Watch], flow: u32) -> [Option<&mut Watch>; 2] {
    let pairs = watches.len() / 2;
    let index = usize::try_from(flow >> 1).unwrap_or_default().checked_rem(pairs).unwrap_or_default() * 2;
    match watches.get_mut(index..index + 2) {
        Some([first, second]) => [Some(first), Some(second)],
        _ => [None, None],
    }
}

impl Ends {
    #[inline(never)] // once in a segment that is watched
    fn of(event: &Event<'_, '_>) -> Self {
        let key = event.setting.key;
        let (client, server) = if event.role.from_initiator {
            (event.source(), event.destination())
        } else {
            (event.destination(), event.source())
        };
        let server_hash = key.with(key.address(server.address), server.port.0.into());
        let flow = key.with(server_hash ^ key.address(client.address), client.port.0.into()) | 1;
        Self { client, server, server_hash, flow }
    }

    /// Returns true if a client inside talks to a server outside.
    fn leaves(&self, setting: Setting<'_>) -> bool {
        let home_net = setting.home_net;
        home_net.is_internal(self.client.address) && home_net.is_external(self.server.address)
    }

    fn finding(&self, test: Test, severity: Severity, first: Timestamp, what: &str) -> Finding {
        Finding {
            test,
            severity,
            first,
            subject: Subject {
                source: Some(self.client.address),
                destination: Some(self.server.address),
                destination_port: Some(self.server.port),
                ..Subject::default()
            },
            evidence: Evidence::Observed { count: 1, what: ShortName::try_from(what).unwrap_or_default() },
            adds: 1,
            scope: scope(self.server.address, self.server.port),
        }
    }
}

impl Watch {
    /// Returns true if nothing was seen for so long that another connection may have the place.
    fn is_free(&self, now_s: u32) -> bool {
        let [silent, known] = TIMEOUT_S;
        let timeout = if self.class == Class::New || self.is_noted { silent } else { known };
        self.flow == 0 || now_s.wrapping_sub(self.last_s) > timeout
    }

    /// The payload of a segment that was not read before. What is missing before it is given up.
    fn in_order<'p>(&mut self, event: &Event<'_, 'p>) -> &'p [u8] {
        let payload = event.packet.payload();
        let (sequence, _) = event.packet.tcp_numbers();
        let [client, server] = &mut self.next;
        let next = if event.role.from_initiator { client } else { server };
        let ahead = sequence.wrapping_sub(*next).cast_signed();
        let new = match usize::try_from(ahead.wrapping_neg()) {
            Ok(seen) => payload.get(seen..).unwrap_or_default(),
            Err(_) => payload,
        };
        if ahead > 0 && !payload.is_empty() && event.role.from_initiator {
            self.dialogue.forget();
        }
        if !new.is_empty() {
            *next = sequence.wrapping_add(u32::try_from(payload.len()).unwrap_or_default());
        }
        new
    }

    /// Counts a payload. Returns true if it was the last one that is read.
    fn count(&mut self, payload: &[u8]) -> bool {
        let [client, server] = self.next;
        // Users of Telnet send each key alone.
        if payload.is_empty() {
            return false;
        }
        if self.class != Class::Telnet || payload.len() > KEYS || (client ^ server) & 7 == 0 {
            // Of what nobody knows little is read.
            self.left = self.left.saturating_sub(if self.class == Class::New { 3 } else { 1 });
        }
        self.left == 0
    }

    /// Reads a payload of the client.
    fn client(&mut self, payload: &[u8]) -> Outcome {
        if self.class == Class::New || matches!(payload, [22, 3, 0..=4, ..]) {
            self.class = self.class_of_client(payload);
        }
        let is_request = is_http(payload);
        let dialogue = &mut self.dialogue;
        let found = match self.class {
            Class::Http => {
                if is_request && dialogue.is_over {
                    dialogue.is_over = false;
                }
                let found = dialogue.lines(Class::Http, payload);
                if dialogue.is_over {
                    self.left = self.left.min(MAX_REQUESTS);
                }
                found
            }
            Class::Lines | Class::Redis => {
                let found = dialogue.lines(self.class, payload);
                if dialogue.is_over {
                    return Outcome::Over;
                }
                found
            }
            Class::Telnet => {
                let is_typed = payload.first().is_some_and(u8::is_ascii_graphic);
                (dialogue.is_prompted && is_typed).then_some("Telnet")
            }
            Class::Mqtt => match credentials::mqtt(dialogue.join(payload)) {
                Some(true) => Some("MQTT"),
                Some(false) => return Outcome::Over,
                None => None,
            },
            Class::Ldap => dialogue.bind(payload).then_some("LDAP simple bind"),
            // The answer is of interest.
            Class::Tls => None,
            Class::New | Class::Other => {
                let _start = dialogue.join(payload);
                None
            }
        };
        found.map_or(Outcome::More, Outcome::Password)
    }

    /// Class by the first bytes of the client.
    fn class_of_client(&mut self, payload: &[u8]) -> Class {
        let mut joined = self.dialogue;
        let class = class_of(joined.join(payload));
        if class != Class::New {
            return class;
        }
        // What came before was no beginning, but this may be one.
        let class = class_of(payload);
        if class != Class::New {
            self.dialogue.forget();
        }
        class
    }

    /// Reads a payload of the server.
    fn server(&mut self, payload: &[u8]) -> Outcome {
        if matches!(*payload, [22, 3, 0..=4, _, _, 2, ..] | [0x80..=0xbf, _, 4, 0..=1, _, 0, 2, ..]) {
            self.class = Class::Tls;
        }
        if self.class == Class::New {
            self.class = match *payload {
                [greeting @ b'2', b'2', b'0', b' ' | b'-', ..]
                | [greeting @ b'+', b'O', b'K', ..]
                | [greeting @ b'*', b' ', b'O' | b'P', b'K' | b'R', ..] => {
                    self.dialogue.greeting = greeting;
                    Class::Lines
                }
                [0xff, 0xf0..=0xfe, ..] => Class::Telnet,
                [b'S', b'S', b'H', b'-', ..] => return Outcome::Foreign("SSH"),
                _ => Class::New,
            };
        }
        if self.class == Class::Telnet && credentials::is_prompt(payload) {
            self.dialogue.is_prompted = true;
        }
        Outcome::More
    }
}

/// Returns true for bytes that have room for the header of DNS, and neither one question nor none (RFC 7873 section 5.4, RFC 8490).
fn is_no_dns(payload: &[u8]) -> bool {
    payload.len() >= 12 && !matches!(*payload, [_, _, _, _, 0, 0 | 1, ..])
}

/// Class by the first bytes of a client.
#[inline(never)]
fn class_of(start: &[u8]) -> Class {
    match *start {
        [22, 3, 0..=4, ..] => Class::Tls,
        [0x30, 0..=0x84, ..] => Class::Ldap,
        [0x10, _, ..] => Class::Mqtt,
        [b'*', b'1'..=b'9', ..] | [b'A' | b'a', b'U' | b'u', b'T' | b't', b'H' | b'h', b' ', ..] => {
            Class::Redis
        }
        [b'P' | b'p', b'A' | b'a', b'S' | b's', b'S' | b's', b' ', ..]
        | [b'U' | b'u', b'S' | b's', b'E' | b'e', b'R' | b'r', b' ', ..] => Class::Lines,
        _ if is_http(start) => Class::Http,
        _ => Class::New,
    }
}

/// Returns true if bytes start with the method of an HTTP request (RFC 9110 section 9, RFC 5789).
#[inline(never)]
fn is_http(start: &[u8]) -> bool {
    let methods: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"PROPFIND "];
    methods.iter().any(|method| start.starts_with(method))
}

#[expect(clippy::as_conversions, reason = "seconds of the packet clock, compared modulo 2^32")]
const fn seconds(now: Timestamp) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}
