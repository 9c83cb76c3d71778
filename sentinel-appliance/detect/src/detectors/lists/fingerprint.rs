//! `malicious_fingerprint`: JA3 and JA4 of TLS clients, looked up in a list.
//!
//! Read first: [`sentinel_dissect::tls::fingerprint`]; <https://sslbl.abuse.ch/blacklist/> (JA3 of malware, with its warning about false positives).
//!
//! A fingerprint is that of the TLS library and its settings, which malware shares with ordinary programs: one listed fingerprint is `low`. It is
//! confirmed, with the severity of the setting, if both JA3 and JA4 of a hello are listed. Hellos are those of internal hosts in
//! connections that [`payload`](crate::detectors::payload) watches; one that goes on in a second segment is put together in the memory for first
//! flights of servers, one at a time. Entries are [names](super::name_list::name_entry) of one label.
//!
//! Not seen: QUIC; hellos of more than one record; a list of more than [`MAX_JA3`] characters; a client that shuffles its extensions, as
//! browsers do, by JA3.

use core::fmt::Write;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::tls::{
    ClientHello,
    fingerprint::{self, Carrier},
};
use sentinel_seal::digest;

use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::Event;
use crate::shared::rate::Activation;

/// Characters of the string of JA3 at most: OpenSSL with every suite takes 900.
const MAX_JA3: usize = 1_024;
/// Characters of a JA3 and of a JA4.
const JA3_LEN: usize = 32;
const JA4_LEN: usize = 36;

/// Declaration of [`Kind::MaliciousFingerprint`]; [`Signatures`](super::signatures::Signatures) detects it.
#[derive(Debug)]
pub(crate) struct MaliciousFingerprint;

impl MaliciousFingerprint {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::MaliciousFingerprint,
        about: "an internal host begins TLS with a JA3 or JA4 that the operator's list calls malicious: low for one of them, because ordinary \
                programs use the same libraries; without such a list it is silent",
        source: "the file that the setting signatures_file names, for example with the list of sslbl.abuse.ch",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };

    pub(crate) const fn new(_config: &DetectorConfig) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) const fn configure(&mut self, _config: &DetectorConfig) {}
}

/// Returns true for the 32 digits of a JA3 in lower case, and for a JA4: ten letters and digits, and twice twelve digits behind an underscore.
#[must_use]
pub fn is_fingerprint(text: &[u8]) -> bool {
    let is_digest = |digits: &[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() {
        JA3_LEN => is_digest(text),
        JA4_LEN => text.iter().enumerate().all(|(at, byte)| match at {
            0..10 => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
            10 | 23 => *byte == b'_',
            _ => is_digest(&[*byte]),
        }),
        _ => false,
    }
}

/// JA3 and JA4 of one hello, as lists have them; empty if it has none.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    pub(super) ja3: heapless::String<JA3_LEN>,
    pub(super) ja4: heapless::String<JA4_LEN>,
}

impl Fingerprints {
    /// Fingerprints of a complete hello.
    #[cold] // once in a connection that is watched, with a list
    pub(super) fn of(payload: &[u8]) -> Option<Self> {
        let hello = ClientHello::parse(payload).ok().filter(|hello| hello.malformed.is_none())?;
        let mut new = Self::default();
        let mut text = heapless::String::<MAX_JA3>::new();
        let hash = fingerprint::ja3(&hello, &mut text).map(|()| digest::md5(&[text.as_bytes()]));
        if hash.and_then(|hash| fingerprint::hex(&hash, &mut new.ja3)).is_err() {
            new.ja3.clear();
        }
        if fingerprint::ja4(&hello, Carrier::Tcp, digest::sha256, &mut new.ja4).is_err() {
            new.ja4.clear();
        }
        Some(new)
    }

    /// Reports a hello of which lists have JA3, JA4, or both; not confirmed if only 16 bits of a hash of one are known to be listed.
    #[cold]
    pub(super) fn report(
        &self,
        activation: Activation,
        event: &Event<'_, '_>,
        (ja3, ja4, is_confirmed): (bool, bool, bool),
        scope: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let mut what = ShortName::new();
        let severity = if ja3 && ja4 && is_confirmed {
            activation.severity
        } else {
            activation.ordinary(MaliciousFingerprint::DETECTOR.severity)
        };
        // All of them fit.
        let _fits = match (ja3, ja4) {
            (true, true) => write!(what, "JA3 and JA4 {}", self.ja4),
            (true, false) => write!(what, "JA3 {}", self.ja3),
            _ => write!(what, "JA4 {}", self.ja4),
        };
        if !is_confirmed {
            let _fits = what.push_str(", unconfirmed");
        }
        let tuple = &event.packet.tuple;
        findings.add(&Finding {
            test: Test::MaliciousFingerprint,
            severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(tuple.source),
                destination: Some(tuple.destination),
                destination_port: Some(tuple.destination_port),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Observed { count: 1, what },
            adds: 1,
            scope,
        });
    }
}
