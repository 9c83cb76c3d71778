//! `tls_risk`: a server negotiates a poor version or cipher suite, or shows a certificate that clients should refuse.
//!
//! Read first: RFC 8996 (TLS 1.0 and 1.1), RFC 7568 (SSL 3.0), RFC 6176 (SSL 2.0), RFC 9325 sections 3.1 and 4.1 (suites), RFC 7465
//! (RC4), RFC 5280 section 4.1.2.5 (validity), RFC 9525 section 6 (names).
//!
//! The hello of the server says what it chose, and up to TLS 1.2 its certificate follows in clear text. Validity and names stand at the
//! beginning of a certificate, so that one which is longer than the memory of a flight, or cut, is judged as well. A validity is compared with
//! the time of the packet, and only if that is one at which a clock can stand that was ever set. Self-signed means that subject and
//! issuer are one name: signatures are not verified, there are no trust anchors. Inside the local network appliances sign their own
//! certificates and are old: there the certificate's issuer and names are no finding, and all else is `info`.
//!
//! The name that the client asked for (SNI) is compared with the names of the certificate, where `*` stands for one label, and without any with the
//! common name. Hashes of 32 bits are compared: of 2^32 wrong names one passes, and no right one is accused. A portal, a filter or a
//! content network that knows no such name answers with another certificate as well: a fact and no attack.
//!
//! Not seen: certificates of TLS 1.3, QUIC, the name in a hello that spans segments, names in the part of a certificate behind the
//! first segment; of two servers that answer at once one whose flight spans segments.

use sentinel_alert::{Kind, Severity, ShortName};
use sentinel_dissect::application::ber::Elements;
use sentinel_dissect::framing::MessageLen;
use sentinel_dissect::tls::ServerHello;
use sentinel_dissect::x509::Certificate;
use sentinel_units::{Port, Timestamp};

use crate::registry::{Detector, DetectorConfig};

/// Declaration of `tls_risk`; [`FirstPayloads`](super::watch::FirstPayloads) detects it.
#[derive(Debug)]
pub(crate) struct TlsRisk;

impl TlsRisk {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::TlsRisk,
        about: "a server chooses SSL, TLS 1.0 or 1.1 or a weak cipher suite, or its certificate is expired, not valid yet, self-signed \
                or of another name (info inside the local network, where self-signed ones and other names are ordinary)",
        source: "RFC 8996, RFC 7568, RFC 9325 sections 3.1 and 4.1, RFC 5280 section 4.1.2.5, RFC 9525; a server is reported once in 18 to 23 hours",
        severity: Severity::Low,
        thresholds: &[],
        ports: None,
    };

    pub(crate) const fn new(_config: &DetectorConfig) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) const fn configure(&mut self, _config: &DetectorConfig) {}
}

/// Seconds that a flight waits for its next segment before another one may have its place.
const WAIT_S: u32 = 3;
/// Begin of 2001: a clock that was never set stands at 1970, or at 2000.
const PLAUSIBLE_S: u64 = 978_307_200;
/// Difference of clocks that is no finding, in seconds.
const TOLERANCE_S: u64 = 86_400;

/// Properties of a connection, a bit each, in the order of [`NAMES`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Risks(u16);

const NAMES: [&str; 14] = [
    "SSL 2.0",
    "SSL 3.0",
    "TLS 1.0",
    "TLS 1.1",
    "no encryption",
    "no authentication",
    "export cipher",
    "RC4",
    "DES",
    "3DES",
    "expired certificate",
    "certificate not valid yet",
    "self-signed certificate",
    "certificate of another name",
];
const SSL_2: u16 = 0;
const SSL_3: u16 = 1;
const NULL: u16 = 4;
const ANONYMOUS: u16 = 5;
const EXPORT: u16 = 6;
const RC4: u16 = 7;
const DES: u16 = 8;
const TRIPLE_DES: u16 = 9;
const EXPIRED: u16 = 10;
const EARLY: u16 = 11;
const SELF_SIGNED: u16 = 12;
const OTHER_NAME: u16 = 13;

/// Weak suites: first and last number, property (<https://www.iana.org/assignments/tls-parameters>). IDEA and suites that are both
/// anonymous and weak have one property.
const WEAK: &[(u16, u16, u16)] = &[
    (0x0000, 0x0002, NULL),
    (0x0003, 0x0003, EXPORT),
    (0x0004, 0x0005, RC4),
    (0x0006, 0x0006, EXPORT),
    (0x0008, 0x0008, EXPORT),
    (0x0009, 0x0009, DES),
    (0x000a, 0x000a, TRIPLE_DES),
    (0x000b, 0x000b, EXPORT),
    (0x000c, 0x000c, DES),
    (0x000d, 0x000d, TRIPLE_DES),
    (0x000e, 0x000e, EXPORT),
    (0x000f, 0x000f, DES),
    (0x0010, 0x0010, TRIPLE_DES),
    (0x0011, 0x0011, EXPORT),
    (0x0012, 0x0012, DES),
    (0x0013, 0x0013, TRIPLE_DES),
    (0x0014, 0x0014, EXPORT),
    (0x0015, 0x0015, DES),
    (0x0016, 0x0016, TRIPLE_DES),
    (0x0017, 0x001b, ANONYMOUS),
    (0x001e, 0x001e, DES),
    (0x001f, 0x001f, TRIPLE_DES),
    (0x0020, 0x0020, RC4),
    (0x0022, 0x0022, DES),
    (0x0023, 0x0023, TRIPLE_DES),
    (0x0024, 0x0024, RC4),
    (0x0026, 0x002b, EXPORT),
    (0x002c, 0x002e, NULL),
    (0x0034, 0x0034, ANONYMOUS),
    (0x003a, 0x003a, ANONYMOUS),
    (0x003b, 0x003b, NULL),
    (0x0046, 0x0046, ANONYMOUS),
    (0x0060, 0x0065, EXPORT),
    (0x0066, 0x0066, RC4),
    (0x006c, 0x006d, ANONYMOUS),
    (0x0089, 0x0089, ANONYMOUS),
    (0x008a, 0x008a, RC4),
    (0x008b, 0x008b, TRIPLE_DES),
    (0x008e, 0x008e, RC4),
    (0x008f, 0x008f, TRIPLE_DES),
    (0x0092, 0x0092, RC4),
    (0x0093, 0x0093, TRIPLE_DES),
    (0x009b, 0x009b, ANONYMOUS),
    (0x00a6, 0x00a7, ANONYMOUS),
    (0x00b0, 0x00b1, NULL),
    (0x00b4, 0x00b5, NULL),
    (0x00b8, 0x00b9, NULL),
    (0xc001, 0xc001, NULL),
    (0xc002, 0xc002, RC4),
    (0xc003, 0xc003, TRIPLE_DES),
    (0xc006, 0xc006, NULL),
    (0xc007, 0xc007, RC4),
    (0xc008, 0xc008, TRIPLE_DES),
    (0xc00b, 0xc00b, NULL),
    (0xc00c, 0xc00c, RC4),
    (0xc00d, 0xc00d, TRIPLE_DES),
    (0xc010, 0xc010, NULL),
    (0xc011, 0xc011, RC4),
    (0xc012, 0xc012, TRIPLE_DES),
    (0xc015, 0xc019, ANONYMOUS),
    (0xc01a, 0xc01c, TRIPLE_DES),
    (0xc033, 0xc033, RC4),
    (0xc034, 0xc034, TRIPLE_DES),
    (0xc039, 0xc03b, NULL),
];

impl Risks {
    fn add(&mut self, bit: u16) {
        self.0 |= 1 << bit;
    }

    /// Those that count at a server inside the local network.
    pub(super) const fn inside(self) -> Self {
        Self(self.0 & !(1 << SELF_SIGNED | 1 << OTHER_NAME))
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Their names, as many as fit.
    pub(super) fn names(self) -> ShortName {
        let mut names = ShortName::new();
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 >> bit & 1 != 0 && names.len() + name.len() + 2 <= names.capacity() {
                let separator = if names.is_empty() { "" } else { ", " };
                let _fits = names.push_str(separator).and_then(|()| names.push_str(name));
            }
        }
        names
    }
}

/// Part of the first payload of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// All of it, or all that there will be, in the packet itself.
    Whole,
    /// The first segment of a hello of TLS.
    Start,
    /// A hello of several segments, of which the first has so many bytes.
    Joined(usize),
}

/// Name that a client asked for: hashes of it, and of what is behind its first label; zeros if it is not known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked([u32; 2]);

impl Asked {
    /// The name, unless it is an address, which certificates hold in another form.
    pub(super) fn name(name: &[u8]) -> Self {
        let parent = name.iter().position(|byte| *byte == b'.').and_then(|at| name.get(at + 1..));
        match (name.last(), parent) {
            (Some(last), Some(parent)) if last.is_ascii_alphabetic() => Self([hash(name), hash(parent)]),
            _ => Self::default(),
        }
    }

    fn is_known(self) -> bool {
        self != Self::default()
    }

    /// Returns true if a name of a certificate is this one, or may be.
    fn is(self, name: &[u8]) -> bool {
        let Self([own, parent]) = self;
        match name {
            [b'*', b'.', rest @ ..] => hash(rest) == parent,
            // Parts of a label, which are seldom used.
            _ => name.contains(&b'*') || hash(name) == own,
        }
    }

    /// Returns true if a certificate certainly covers other names only.
    fn is_missing(self, certificate: &Certificate<'_>, der: &[u8]) -> bool {
        const DNS_NAME: u8 = 0x82;
        self.is_known()
            && match Certificate::alternative_names(der) {
                Ok(Some(names)) => {
                    !Elements::new(names).any(|(kind, name)| kind == DNS_NAME && self.is(name))
                }
                Ok(None) => certificate.subject.common_name().is_some_and(|name| !self.is(name)),
                Err(_) => false,
            }
    }
}

/// FNV-1a of a name in lower case.
#[inline(never)]
fn hash(name: &[u8]) -> u32 {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    name.iter().fold(0x811c_9dc5, step)
}

/// The first flight of one server, or the hello of one client, whose end is waited for.
pub(super) struct Flight<'m> {
    /// Keyed hash of the connection; of a hello its complement.
    flow: u32,
    last_s: u32,
    len: usize,
    /// Of a hello, bytes of its first segment, and the next sequence number.
    first: usize,
    next: u32,
    /// A flight and behind it its messages without records, or a hello.
    memory: &'m mut [u8],
}

// What a certificate says is public, but thousands of bytes say nothing.
impl core::fmt::Debug for Flight<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Flight").field("flow", &self.flow).field("len", &self.len).finish_non_exhaustive()
    }
}

impl<'m> Flight<'m> {
    /// A flight has one half of the memory, its messages the other.
    pub(super) const fn new(memory: &'m mut [u8]) -> Self {
        Self { flow: 0, last_s: 0, len: 0, first: 0, next: 0, memory }
    }

    /// Returns true if something else is kept, whose end may still come.
    const fn is_taken(&self, flow: u32, now_s: u32) -> bool {
        self.flow != flow && self.len > 0 && now_s.wrapping_sub(self.last_s) <= WAIT_S
    }

    /// Reads a payload of a client, at a sequence number: the first one if `is_start`. Gives the part of its hello that can be read now. What
    /// does not follow on what is kept ends it.
    #[cold] // once or twice in a connection that is watched
    pub(super) fn hello(
        &mut self,
        flow: u32,
        is_start: bool,
        (at, payload): (u32, &[u8]),
        now_s: u32,
    ) -> Option<Part> {
        let is_own = self.flow == flow && self.len > 0;
        if is_start {
            // Of a hello that is complete, and of one that there is no room for, all is in the packet.
            if !is_cut(payload) || self.is_taken(flow, now_s) || payload.len() >= self.memory.len() {
                return Some(Part::Whole);
            }
            (self.len, self.first) = (0, payload.len());
        } else if !is_own {
            return None;
        } else if self.next != at {
            self.len = 0;
            return None;
        }
        for (to, from) in self.memory.get_mut(self.len..).unwrap_or_default().iter_mut().zip(payload) {
            *to = *from;
        }
        self.len = (self.len + payload.len()).min(self.memory.len());
        (self.flow, self.last_s) = (flow, now_s);
        self.next = at.wrapping_add(u32::try_from(payload.len()).unwrap_or_default());
        if is_start {
            return Some(Part::Start);
        }
        let is_complete =
            self.len == self.memory.len() || !is_cut(self.memory.get(..self.len).unwrap_or_default());
        is_complete.then_some(Part::Joined(self.first))
    }

    /// The hello that is complete. It is kept no longer.
    pub(super) fn take_hello(&mut self) -> &[u8] {
        self.memory.get(..core::mem::take(&mut self.len)).unwrap_or_default()
    }

    /// Reads a payload of a server. `None` if more is needed, which is kept; never if another flight is kept now.
    pub(super) fn read(
        &mut self,
        (flow, asked): (u32, Asked),
        payload: &[u8],
        now: Timestamp,
        now_s: u32,
    ) -> Option<Risks> {
        let is_taken = self.is_taken(flow, now_s);
        let half = self.memory.len() / 2;
        let (bytes, joined) = self.memory.split_at_mut(half);
        if is_taken {
            return Some(judge(payload, asked, joined, now).0);
        }
        let len = if self.flow == flow { self.len } else { 0 };
        let room = bytes.get_mut(len..).unwrap_or_default();
        let added = room.len().min(payload.len());
        if let (Some(room), Some(payload)) = (room.get_mut(..added), payload.get(..added)) {
            room.copy_from_slice(payload);
        }
        (self.flow, self.last_s, self.len) = (flow, now_s, len + added);
        let bytes = bytes.get(..self.len).unwrap_or_default();
        let (risks, is_complete) = judge(bytes, asked, joined, now);
        // The begin of the certificate is enough: of what follows the kernel may keep headers only.
        if is_cut(bytes) && added == payload.len() && !is_complete {
            return None;
        }
        self.len = 0;
        Some(risks)
    }

    /// Judges what is there of a flight whose next bytes were not captured.
    pub(super) fn end(&mut self, (flow, asked): (u32, Asked), now: Timestamp) -> Risks {
        let len = if self.flow == flow { core::mem::take(&mut self.len) } else { 0 };
        let (bytes, joined) = self.memory.split_at_mut(self.memory.len() / 2);
        judge(bytes.get(..len).unwrap_or_default(), asked, joined, now).0
    }
}

/// Returns true if a message of TLS goes on behind these bytes.
fn is_cut(bytes: &[u8]) -> bool {
    let port = Port(0);
    matches!(sentinel_dissect::application::message_len(bytes, (port, port)), MessageLen::AtLeast(_))
}

/// Judges the first flight of a server; true if its certificate was read.
#[inline(never)]
fn judge(bytes: &[u8], asked: Asked, joined: &mut [u8], now: Timestamp) -> (Risks, bool) {
    let mut risks = Risks::default();
    // Length, type and version of the hello of SSL 2.0 (RFC 6101 appendix E).
    if matches!(*bytes, [0x80..=0xbf, _, 4, 0..=1, _, 0, 2, ..]) {
        risks.add(SSL_2);
    }
    let Ok(hello) = ServerHello::parse(bytes, joined) else { return (risks, false) };
    let version = hello.version();
    if (0x0300..=0x0302).contains(&version) {
        risks.add(SSL_3 + (version & 3));
    }
    let suite = hello.cipher_suite;
    if let Some((_, _, property)) = WEAK.iter().find(|(first, last, _)| (*first..=*last).contains(&suite)) {
        risks.add(*property);
    }
    let Ok(certificate) = Certificate::parse_start(hello.certificate_start) else {
        return (risks, false);
    };
    let now_s = now.as_nanos() / 1_000_000_000;
    if now_s > PLAUSIBLE_S {
        if certificate.not_after.seconds() < now_s.saturating_sub(TOLERANCE_S) {
            risks.add(EXPIRED);
        }
        if certificate.not_before.seconds() > now_s + TOLERANCE_S {
            risks.add(EARLY);
        }
    }
    if certificate.is_self_issued() {
        risks.add(SELF_SIGNED);
    }
    if asked.is_missing(&certificate, hello.certificate_start) {
        risks.add(OTHER_NAME);
    }
    (risks, true)
}
