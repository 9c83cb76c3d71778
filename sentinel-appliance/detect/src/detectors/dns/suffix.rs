//! Registered domain of a name: its public suffix and one label more.
//!
//! Read first: the algorithm of the public suffix list, <https://publicsuffix.org/list/>; RFC 2317 (reverse zones).
//!
//! The list has 9,500 rules, 40 KB once compressed, which the program has no room for. A rule and a short list stand for it: under
//! a top-level domain of two letters the usual second levels (`co`, `com`, `gov` ...) are suffixes, which covers most of the section
//! of registries; the list has the providers of section "private" under which strangers own neighbouring names: dynamic
//! DNS and web hosting. Where both miss a rule, neighbours share one domain, and more than one of them is needed
//! to make it suspicious.
//!
//! Reverse names are divided where zones are delegated: /24 of IPv4, /32 of IPv6.

/// Labels of a name, most specific first.
pub(crate) type Labels<'n> = heapless::Vec<&'n [u8], MAX_LABELS>;

/// Labels of the longest name: 127 of one byte, and the root (RFC 1035 section 2.3.4).
pub(crate) const MAX_LABELS: usize = 127;

/// Octets of a delegated zone of `in-addr.arpa`, and the two labels of the tree.
const IN_ADDR_LABELS: usize = 5;
/// Nibbles of a delegated zone of `ip6.arpa`, and the two labels of the tree.
const IP6_LABELS: usize = 10;
/// Labels of the longest suffix of [`SUFFIXES`].
const MAX_SUFFIX_LABELS: usize = 3;

/// Second levels that are public suffixes under nearly every top-level domain of two letters that has them.
static SECOND_LEVELS: [u32; 27] = hashes([
    "com", "co", "net", "org", "edu", "gov", "ac", "mil", "or", "ne", "go", "gob", "gouv", "nom", "info",
    "biz", "web", "sch", "ltd", "plc", "asso", "firm", "id", "in", "msk", "med", "int",
]);

/// Longest of [`SECOND_LEVELS`].
const MAX_SECOND_LEVEL: usize = 4;

/// Suffixes of registrars of dynamic names and of hosting, whose customers choose their names. Content networks draw names, and
/// customers have no servers under them.
const SUFFIX_TEXTS: [&str; 38] = [
    "appspot.com",
    "blogspot.com",
    "firebaseapp.com",
    "web.app",
    "run.app",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudapp.azure.com",
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "netlify.app",
    "vercel.app",
    "pages.dev",
    "workers.dev",
    "onrender.com",
    "fly.dev",
    "wordpress.com",
    "weebly.com",
    "ngrok.io",
    "ngrok.app",
    "duckdns.org",
    "ddns.net",
    "no-ip.org",
    "no-ip.com",
    "hopto.org",
    "zapto.org",
    "sytes.net",
    "dyndns.org",
    "dynu.net",
    "freeddns.org",
    "myfritz.net",
    "synology.me",
    "dynv6.net",
    "eu.org",
    "uk.com",
    "co.com",
    "com.de",
];
static SUFFIXES: [u32; 38] = hashes(SUFFIX_TEXTS);

/// Registered domains of services whose names carry data by design: virus scanners, block lists, measurements by browsers.
const DATA_SERVICE_TEXTS: [&str; 39] = [
    "mcafee.com",
    "sophosxl.net",
    "sophosxl.com",
    "e5.sk",
    "eset.com",
    "avast.com",
    "avcdn.net",
    "avg.com",
    "kaspersky.com",
    "kaspersky-labs.com",
    "trendmicro.com",
    "webrootcloudav.com",
    "bitdefender.net",
    "symantec.com",
    "shasta-rrs.com",
    "fortiguard.net",
    "cymru.com",
    "spamhaus.org",
    "spamhaus.net",
    "spamcop.net",
    "sorbs.net",
    "barracudacentral.org",
    "surbl.org",
    "uribl.com",
    "dnswl.org",
    "mailspike.net",
    "abuseat.org",
    "dronebl.org",
    "senderbase.org",
    "senderscore.com",
    "invaluement.com",
    "backscatterer.org",
    "uceprotect.net",
    "psbl.org",
    "njabl.org",
    "rspamd.com",
    "msbl.org",
    "gstatic.com",
    "googlesyndication.com",
];
static DATA_SERVICES: [u32; 39] = hashes(DATA_SERVICE_TEXTS);

/// Returns true for the registered domain of one of [`DATA_SERVICES`]. One domain in 110 million is taken for another, and then
/// counts a 64th.
#[cold]
pub(super) fn is_data_service(domain: &[&[u8]]) -> bool {
    holds(&DATA_SERVICES, domain.iter().rev().fold(START, |hash, label| add(hash, label)))
}

/// Number of labels of the registered domain of a name, zero if it ends in no top-level domain; `None` if the name is a public suffix itself, or has one label only.
pub(crate) fn registered_labels(labels: &[&[u8]]) -> Option<usize> {
    let [rest @ .., second, top] = labels else { return None };
    if top.eq_ignore_ascii_case(b"arpa") {
        let needed = if second.eq_ignore_ascii_case(b"ip6") { IP6_LABELS } else { IN_ADDR_LABELS };
        return Some(needed.min(labels.len()));
    }
    // No top-level domain has digits, but for the punycode of internationalised ones: a direct tunnel, without a domain of its own.
    if top.iter().any(u8::is_ascii_digit) && !top.starts_with(b"xn--") {
        return Some(0);
    }
    let suffix_labels = if may_end_suffix(second, top) || top.len() == 2 && second.len() <= MAX_SECOND_LEVEL {
        listed_labels(rest, second, top)
    } else {
        1
    };
    (suffix_labels < labels.len()).then_some(suffix_labels + 1)
}

/// Number of labels of the public suffix, of names whose last two labels may be one.
#[inline(never)] // few names come so far
fn listed_labels(rest: &[&[u8]], second: &[u8], top: &[u8]) -> usize {
    let mut suffix_labels = 1;
    if top.len() == 2 && holds(&SECOND_LEVELS, add(START, second)) {
        suffix_labels = 2;
    }
    let mut hash = add(add(START, top), second);
    let mut left = rest.iter().rev();
    for count in 2..=MAX_SUFFIX_LABELS + 1 {
        if holds(&SUFFIXES, hash) {
            suffix_labels = count;
        }
        let Some(label) = left.next() else { break };
        hash = add(hash, label);
    }
    suffix_labels
}

/// Returns true if a list has the hash. Not inlined: the values would become code.
#[inline(never)]
fn holds(list: &[u32], hash: u32) -> bool {
    list.contains(&hash)
}

/// Bit for the class of the last two labels of each suffix: spares most names the hashes.
const SUFFIX_BITS: [u32; 8] = {
    let mut bits = [0; 8];
    let mut index = 0;
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "a constant expression: wrong means no build"
    )]
    while index < SUFFIX_TEXTS.len() {
        let text = SUFFIX_TEXTS[index].as_bytes();
        let (mut dot, mut start) = (text.len(), 0);
        let mut position = 0;
        while position < text.len() {
            if text[position] == b'.' {
                start = if dot < text.len() { dot + 1 } else { 0 };
                dot = position;
            }
            position += 1;
        }
        let class = class(text[start], dot - start, text[dot + 1]);
        bits[(class / 32) as usize] |= 1 << (class % 32);
        index += 1;
    }
    bits
};

/// Class of 256: first characters of the last two labels, and length of the last but one.
#[inline]
#[expect(clippy::as_conversions, reason = "at most 63; From is not const")]
const fn class(second: u8, len: usize, top: u8) -> u8 {
    (second & 0x1f).wrapping_mul(8).wrapping_add((len as u8).wrapping_mul(37)) ^ (top & 0x1f)
}

/// Returns false if the last two labels of a name certainly end none of [`SUFFIXES`].
#[inline]
fn may_end_suffix(second: &[u8], top: &[u8]) -> bool {
    let (Some(second_first), Some(top_first)) = (second.first(), top.first()) else { return false };
    let class = class(*second_first, second.len(), *top_first);
    let word = SUFFIX_BITS.get(usize::from(class / 32));
    word.is_some_and(|word| word >> (class % 32) & 1 == 1)
}

/// FNV-1a offset basis and prime, 32 bits.
const START: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// Extends the hash of a suffix by the label before it. Without a key: a collision merely joins neighbouring names.
#[inline(never)] // few names come so far
fn add(hash: u32, label: &[u8]) -> u32 {
    let hash = label.iter().fold(hash, |hash, byte| step(hash, byte.to_ascii_lowercase()));
    step(hash, b'.')
}

const fn step(hash: u32, byte: u8) -> u32 {
    #[expect(clippy::as_conversions, reason = "u8 to u32 is lossless; From is not const")]
    (hash ^ byte as u32).wrapping_mul(PRIME)
}

/// The hashes of single labels in lower case.
pub(super) const fn label_hashes<const N: usize>(labels: [&str; N]) -> [u32; N] {
    hashes(labels)
}

/// The hashes of suffixes in text form, as [`add`] makes them.
#[expect(clippy::indexing_slicing, reason = "a constant expression: wrong means no build")]
const fn hashes<const N: usize>(suffixes: [&str; N]) -> [u32; N] {
    let mut hashes = [START; N];
    let mut index = 0;
    while index < N {
        let text = suffixes[index].as_bytes();
        let mut end = text.len();
        loop {
            let mut start = end;
            while start > 0 && text[start - 1] != b'.' {
                start -= 1;
            }
            let mut position = start;
            while position < end {
                hashes[index] = step(hashes[index], text[position]);
                position += 1;
            }
            hashes[index] = step(hashes[index], b'.');
            if start == 0 {
                break;
            }
            end = start - 1;
        }
        index += 1;
    }
    hashes
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn registered(name: &str) -> Option<String> {
        let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
        let count = registered_labels(&labels)?;
        let parts: Vec<&str> = name.split('.').collect();
        Some(parts[parts.len() - count..].join("."))
    }

    #[test]
    fn the_registered_domain_is_a_label_under_the_public_suffix() {
        for (name, domain) in [
            ("www.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.b.EXAMPLE.co.uk", Some("EXAMPLE.co.uk")),
            ("x.shop.com.br", Some("shop.com.br")),
            ("t.co", Some("t.co")),
            ("a.b.t.co", Some("t.co")),
            ("home.tunnel.duckdns.org", Some("tunnel.duckdns.org")),
            ("d1.cloudfront.net", Some("cloudfront.net")),
            ("a.vm.west.cloudapp.azure.com", Some("west.cloudapp.azure.com")),
            ("dnscat.0a1b2c.53e", Some("")),
            ("www.example.xn--p1ai", Some("example.xn--p1ai")),
            ("co.uk", None),
            ("github.io", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(registered(name).as_deref(), domain, "{name}");
        }
    }

    #[test]
    fn reverse_names_are_divided_where_zones_are_delegated() {
        for (name, domain) in [
            ("7.113.0.203.in-addr.arpa", "113.0.203.in-addr.arpa"),
            ("data.7.113.0.203.in-addr.arpa", "113.0.203.in-addr.arpa"),
            ("10.in-addr.arpa", "10.in-addr.arpa"),
            ("f.e.d.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ] {
            assert_eq!(registered(name).as_deref(), Some(domain), "{name}");
        }
    }

    #[test]
    fn every_suffix_is_found() {
        for suffix in SUFFIX_TEXTS {
            let name = std::format!("a.Neighbour.{}", suffix.to_uppercase());
            assert_eq!(registered(&name), Some(std::format!("Neighbour.{}", suffix.to_uppercase())));
        }
    }

    #[test]
    fn data_services_are_found_in_any_case() {
        let is_one = |name: &str| is_data_service(&name.split('.').map(str::as_bytes).collect::<Vec<_>>());
        assert!(DATA_SERVICE_TEXTS.iter().all(|name| is_one(name) && is_one(&name.to_uppercase())));
        assert!(!is_one("example.com") && !is_one("com.mcafee") && !is_one("mcafee.net") && !is_one(""));
    }

    #[test]
    fn no_two_suffixes_share_a_hash() {
        for list in [&SUFFIXES[..], &SECOND_LEVELS, &DATA_SERVICES] {
            let distinct: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(distinct.len(), list.len());
        }
    }
}
