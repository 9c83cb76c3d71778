//! `punycode_lookalike`: a host asks for an internationalised name that looks like a well-known one, or mixes alphabets.
//!
//! Read first: "The Homograph Attack" (Gabrilovich, Gontmakher, CACM 2002); Unicode TR 39 section 4 (skeletons).
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `punycode_lookalike` | the label before the public suffix, or a part of it between hyphens, has a letter of another alphabet or form and looks like a name of the list | as configured; low if its letters differ by marks only |
//! | `mixed_scripts` | the label has letters of two of the alphabets Latin, Greek, Cyrillic and Armenian | low, unless configured |
//!
//! Names of one alphabet are ordinary, whichever it is, and so are marks: banks whose own name has an accent own both spellings. Every query
//! of an internal host counts, whatever the answer is: a prefetched link is one as well. What is not seen: labels below the registered
//! domain, look-alikes of names that are not on the list, ASCII ones (`paypa1`).

use sentinel_alert::{Kind, Severity, ShortName, Test};
use sentinel_units::Address;

use super::lookup::Lookup;
use super::punycode::{decode, script, skeleton};
use super::suffix::{Labels, label_hashes};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `punycode_lookalike`.
    Thresholds {
        length: "characters", default 4, 4 to 16,
            "shortest well-known name that is looked for";
    }
}

/// Labels that phishing imitates most: accounts, mail, payment, banks, parcels, games (yearly reports of the Anti-Phishing Working
/// Group, of Check Point and of Cloudflare name most of them).
const IMITATED_TEXTS: [&str; 96] = [
    "adobe",
    "airbnb",
    "aliexpress",
    "allegro",
    "amazon",
    "americanexpress",
    "apple",
    "bankofamerica",
    "barclays",
    "bbva",
    "binance",
    "bitfinex",
    "bitstamp",
    "blockchain",
    "booking",
    "caixabank",
    "capitalone",
    "chase",
    "citi",
    "citibank",
    "cloudflare",
    "coinbase",
    "commerzbank",
    "correos",
    "costco",
    "deutschebank",
    "discord",
    "docusign",
    "dropbox",
    "ebay",
    "epicgames",
    "facebook",
    "fedex",
    "github",
    "gitlab",
    "gmail",
    "google",
    "hotmail",
    "hsbc",
    "icloud",
    "inpost",
    "instagram",
    "intesasanpaolo",
    "klarna",
    "kraken",
    "kucoin",
    "ledger",
    "linkedin",
    "lloydsbank",
    "mastercard",
    "metamask",
    "microsoft",
    "microsoftonline",
    "myetherwallet",
    "natwest",
    "netflix",
    "office",
    "office365",
    "onedrive",
    "opensea",
    "outlook",
    "paypal",
    "paypay",
    "pinterest",
    "playstation",
    "poloniex",
    "postbank",
    "rakuten",
    "reddit",
    "revolut",
    "roblox",
    "santander",
    "sberbank",
    "signal",
    "snapchat",
    "sparkasse",
    "spotify",
    "steam",
    "steamcommunity",
    "steampowered",
    "stripe",
    "swisscom",
    "telegram",
    "tiktok",
    "trezor",
    "twitch",
    "twitter",
    "unicredit",
    "usps",
    "venmo",
    "vodafone",
    "walmart",
    "wellsfargo",
    "whatsapp",
    "yahoo",
    "youtube",
];
static IMITATED: [u32; 96] = label_hashes(IMITATED_TEXTS);

/// Settings of the test, which has no state.
#[derive(Debug)]
pub(crate) struct PunycodeLookalike {
    activation: Activation,
    thresholds: Thresholds,
}

impl PunycodeLookalike {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::PunycodeLookalike,
        about: "a host asks for an internationalised name that looks like a well-known one; or, at low severity, that mixes alphabets",
        source: "Unicode TR 39; names that phishing imitates most",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self { activation: config.into(), thresholds: config.into() }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        *self = Self::new(config);
    }

    /// Takes a query whose label before the public suffix is in punycode.
    #[cold]
    pub(super) fn query(&self, lookup: &Lookup<'_>, findings: &mut Findings<'_, '_>) {
        let mut labels = Labels::new();
        if !self.activation.enabled {
            return;
        }
        let Some(domain) = lookup.labels(&mut labels).and_then(|start| labels.get(start..)) else { return };
        let Some(characters) = domain.first().and_then(|label| label.get(4..)).and_then(decode) else {
            return;
        };
        let scripts = characters.iter().fold(0, |all, character| all | script(*character));
        let weak = self.activation.weak_severity(&Self::DETECTOR);
        let (test, severity, imitated) = match self.imitated(&characters) {
            Some((imitated, true)) => (Test::PunycodeLookalike, self.activation.severity, imitated),
            Some((imitated, false)) => (Test::PunycodeLookalike, weak, imitated),
            None if scripts.count_ones() > 1 => (Test::PunycodeMixedScripts, weak, ShortName::new()),
            None => return,
        };
        findings.add(&lookup.finding(
            (test, severity),
            (lookup.setting.now, lookup.question.domain),
            [1, 0, 0, 0],
            (Address::UNSPECIFIED, domain, &imitated),
        ));
    }

    /// Name of the list that a part of the label looks like, and true if a letter of it is of another alphabet or form. The part has a
    /// character that is not ASCII.
    fn imitated(&self, characters: &[u32]) -> Option<(ShortName, bool)> {
        let least = usize::try_from(self.thresholds.length).unwrap_or(usize::MAX);
        let hyphen = u32::from(b'-');
        let parts = characters.split(|character| *character == hyphen);
        core::iter::once(characters).chain(parts).find_map(|part| {
            let (mut is_other, mut reading) = (false, ShortName::new());
            for character in part {
                let (letter, is_other_form) = skeleton(*character)?;
                is_other |= is_other_form;
                reading.push(char::from(letter)).ok()?;
            }
            let is_foreign = part.iter().any(|character| *character >= 0x80);
            let [hash] = label_hashes([reading.as_str()]);
            (is_foreign && reading.len() >= least && IMITATED.contains(&hash)).then_some((reading, is_other))
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::names::tests::{answer, ask, exchange, opened, sensor};
    use super::*;
    use sentinel_alert::Evidence;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use crate::testkit::{CLIENT, GATEWAY, OUTSIDE, udp};

    const KIND: Kind = Kind::PunycodeLookalike;

    /// Test, severity and name for each query.
    fn asked(names: &[&str]) -> Vec<(Test, Severity, String)> {
        let mut sensor = sensor(KIND);
        for (id, name) in (1..).zip(names) {
            exchange(&mut sensor, id.into(), CLIENT, id, name, &answer(id, name, 0, 60, &["203.0.113.9"]));
        }
        let named = |evidence: &Evidence| match evidence {
            Evidence::Answers { name, .. } => name.to_string(),
            other => panic!("{other:?}"),
        };
        let alerts = opened(&sensor, KIND);
        alerts.iter().map(|alert| (alert.test, alert.severity, named(&alert.evidence))).collect()
    }

    #[test]
    fn letters_of_other_alphabets_that_read_like_a_known_name_are_claimed() {
        for (name, imitated) in [
            ("www.xn--80ak6aa92e.com", "xn--80ak6aa92e.com apple"),
            ("xn--pypal-4ve.com", "xn--pypal-4ve.com paypal"),
            ("XN--Pypal-4ve.CO.UK", "xn--pypal-4ve.co.uk paypal"),
            ("login.xn--ggle-55da.com", "xn--ggle-55da.com google"),
            ("xn--paypl-login-1ij.com", "xn--paypl-login-1ij.com paypal"),
        ] {
            let expected = (Test::PunycodeLookalike, Severity::Medium, imitated.to_string());
            assert_eq!(asked(&[name]), [expected], "{name}");
        }
    }

    #[test]
    fn marks_alone_and_mixed_alphabets_are_low() {
        let marks = (Test::PunycodeLookalike, Severity::Low, "xn--fcebook-hwa.com facebook".to_string());
        assert_eq!(asked(&["xn--fcebook-hwa.com"]), [marks]);
        let mixed = (Test::PunycodeMixedScripts, Severity::Low, "xn--my-bnk-6nf.com".to_string());
        assert_eq!(asked(&["xn--my-bnk-6nf.com"]), [mixed]);
    }

    #[test]
    fn names_of_one_alphabet_are_ordinary() {
        for name in [
            "www.xn--mnchen-3ya.de",
            "xn--80aswg.xn--p1ai",
            "xn--fiqs8s.cn",
            "xn--wgv71a119e.jp",
            "xn--hxakic4aa.gr",
            "xn--caf-dma.fr",
            "xn--apple-zubehr-fjb.de",
            "apple.com",
            "xn--apple-.com",
            "xn--.com",
            "xn--99999999.com",
            "xn--80ak6aa92e.example.com",
            "xn--80ak6aa92e.lan",
        ] {
            assert_eq!(asked(&[name]), [], "{name}");
        }
    }

    #[test]
    fn the_summary_gives_both_names() {
        let mut sensor = sensor(KIND);
        sensor.frame(0, &udp((CLIENT, 40_000), (GATEWAY, 53), &ask(1, "xn--80ak6aa92e.com")));
        assert_eq!(
            sensor.raised[0].summary().to_string(),
            "10.20.30.11 asked for xn--80ak6aa92e.com, which reads like apple"
        );
        let mut sensor = super::super::names::tests::sensor(KIND);
        let message = ask(1, "xn--80ak6aa92e.com");
        sensor.frame(0, &udp((OUTSIDE, 40_000), (GATEWAY, 53), &message));
        sensor.frame(
            9,
            &udp((OUTSIDE, 53), (CLIENT, 40_000), &answer(1, "xn--80ak6aa92e.com", 0, 9, &["10.0.0.1"])),
        );
        assert!(sensor.raised.is_empty(), "strangers, and answers that nobody asked for");
    }

    #[test]
    fn the_list_is_in_order_without_repetitions_and_reads_like_itself() {
        assert!(IMITATED_TEXTS.is_sorted_by(|before, after| before < after));
        for text in IMITATED_TEXTS {
            assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            assert_eq!(label_hashes([text]).map(|hash| IMITATED.contains(&hash)), [true]);
        }
    }
}
