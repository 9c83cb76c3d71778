//! Look-ups in the compiled list of indicators.

use sentinel_alert::{ShortName, Test};
use sentinel_dissect::PacketSummary;
use sentinel_dissect::http::Request;
use sentinel_units::Address;

use super::{MAX_URL, MaliciousDomain, Signatures};
use crate::detectors::lists::indicators::{ADDRESSES, IndicatorLookup, KeyHash, KeyKind};
use crate::detectors::lists::name_list::{MAX_NAME, MAX_NAME_LABELS};
use crate::incident::Findings;
use crate::shared::event::{Event, Setting};

impl Signatures<'_> {
    /// Returns true if the compiled list has one of these contents, and is asked for it.
    pub(super) const fn indicates(&self, contents: u32) -> bool {
        self.indicated & contents != 0
    }

    /// Takes over a compiled list, or what has changed in it.
    pub(crate) fn set_indicators(&mut self, indicators: Option<&'static dyn IndicatorLookup>) {
        self.indicators = indicators;
        self.update();
    }

    /// Looks a key up in the compiled list.
    #[cold]
    pub(super) fn indicated(&self, hash: KeyHash, kind: KeyKind) -> Option<bool> {
        let indicators = self.indicators.filter(|_| self.indicates(kind.bit()))?;
        indicators.find(hash.key(kind))
    }

    /// Hash of the most general name in the compiled list that a name is or lies below, and true if it is confirmed.
    pub(super) fn indicated_name(&self, labels: &[&[u8]]) -> Option<(u32, bool)> {
        if !self.indicates(KeyKind::Name.bit()) {
            return None;
        }
        let mut hash = KeyHash::default();
        for (index, label) in labels.iter().rev().take(MAX_NAME_LABELS).enumerate() {
            for byte in label.iter().rev() {
                hash = hash.before(&[byte.to_ascii_lowercase()]);
            }
            // A top-level domain is no name of such a list.
            if index > 0
                && let Some(is_confirmed) = self.indicated(hash, KeyKind::Name)
            {
                return Some((upper(hash.key(KeyKind::Name)), is_confirmed));
            }
            hash = hash.before(b".");
        }
        None
    }

    /// Reports a name or URL of the compiled list.
    #[cold]
    pub(super) fn report_indicated(
        &self,
        test: Test,
        is_confirmed: bool,
        (setting, packet, name, scope): (Setting<'_>, &PacketSummary<'_>, &str, u32),
        findings: &mut Findings<'_, '_>,
    ) {
        let [_, _, _, mut rule, ..] = self.rules;
        rule.test = test;
        if !is_confirmed {
            rule.test = Test::MaliciousUnconfirmed;
            rule.activation.severity = rule.activation.ordinary(MaliciousDomain::DETECTOR.severity);
        }
        rule.report(setting, packet, name, scope, findings);
    }

    /// Looks up what a request of HTTP asks for.
    pub(super) fn url(&self, event: &Event<'_, '_>, payload: &[u8], findings: &mut Findings<'_, '_>) {
        let Ok(request) = Request::parse(payload) else { return };
        let Some(host) = request.host().filter(|host| host.len() <= MAX_NAME) else { return };
        // The form that proxies get has the host as well.
        if request.target.first() != Some(&b'/') || request.target.len() > MAX_URL {
            return;
        }
        let host = host.strip_suffix(b":80").unwrap_or(host);
        let mut hash = KeyHash::default().before(request.target);
        for byte in host.iter().rev() {
            hash = hash.before(&[byte.to_ascii_lowercase()]);
        }
        let Some(is_confirmed) = self.indicated(hash, KeyKind::Url) else { return };
        let mut url = ShortName::new();
        let host = host.iter().map(u8::to_ascii_lowercase);
        for byte in host.chain(request.target.iter().copied()).take(url.capacity()) {
            let _fits_by_take = url.push(if byte.is_ascii_graphic() { char::from(byte) } else { '?' });
        }
        let scope = upper(hash.key(KeyKind::Url));
        let subject = (event.setting, event.packet, url.as_str(), scope);
        self.report_indicated(Test::MaliciousUrl, is_confirmed, subject, findings);
    }

    /// Returns true for an address of the compiled list.
    pub(super) fn is_indicated(&self, address: Address) -> bool {
        if !self.indicates(ADDRESSES | KeyKind::Ipv6.bit()) {
            return false;
        }
        let words = address.words();
        match words {
            [.., last] if address.is_v4() => {
                self.indicates(ADDRESSES) && self.indicators.is_some_and(|list| list.has_address(last))
            }
            _ => {
                let hash = words
                    .iter()
                    .rev()
                    .fold(KeyHash::default(), |hash, word| hash.before(&word.to_be_bytes()));
                self.indicated(hash, KeyKind::Ipv6) == Some(true)
            }
        }
    }
}

/// Upper half of a key.
#[expect(clippy::as_conversions, reason = "the upper half of a number")]
pub(super) const fn upper(key: u64) -> u32 {
    (key >> 32) as u32
}
