//! Reference for the kinds about names and their answers, from their definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Pairs of a Cyrillic letter and the ASCII letter that it looks like.
const CYRILLIC: &str = "аaеeоoрpсcуyхxѕsіiјjӏl";
const IMITATED: [&str; 3] = ["apple", "paypal", "google"];

/// Answers that clients were given.
#[derive(Default)]
pub(crate) struct Lookups {
    /// By client: time, registered domain and whether it exists.
    domains: BTreeMap<IpAddr, Vec<(Duration, String, bool)>>,
    /// By client and name: addresses of each answer.
    addresses: BTreeMap<(IpAddr, String), Vec<Vec<IpAddr>>>,
    /// Names asked for.
    names: BTreeSet<String>,
}

impl Lookups {
    pub(crate) fn query(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// `records` are those of a response, whose owners are pointers.
    pub(crate) fn response(&mut self, at: Duration, client: IpAddr, name: &str, code: u8, records: &[u8]) {
        let labels: Vec<&str> = name.split('.').collect();
        let is_public =
            labels.len() > 1 && !["lan", "arpa", "local", "test"].contains(&labels[labels.len() - 1]);
        if is_public && [0, 3].contains(&code) {
            let domain = labels[labels.len() - 2..].join(".");
            self.domains.entry(client).or_default().push((at, domain, code == 0));
        }
        self.addresses.entry((client, name.to_owned())).or_default().push(addresses(records));
    }

    pub(crate) fn raised(&self) -> Vec<&'static str> {
        let mut raised = Vec::new();
        raised.extend(self.domains.values().any(|events| is_burst(events)).then_some("nxdomain_burst"));
        raised.extend(self.addresses.values().any(|answers| is_moved(answers)).then_some("dns_rebinding"));
        let is_flux = |((_, name), answers): (&(IpAddr, String), &Vec<Vec<IpAddr>>)| {
            let distinct = |bits: u32| {
                let all = answers.iter().flatten().filter(|address| !is_inside(**address));
                all.map(|address| prefix(*address, bits)).collect::<BTreeSet<_>>().len()
            };
            !name.ends_with("ntp.org") && distinct(16) >= 40 && distinct(8) >= 16
        };
        raised.extend(self.addresses.iter().any(is_flux).then_some("fast_flux"));
        raised.extend(self.names.iter().any(|name| is_lookalike(name)).then_some("punycode_lookalike"));
        raised
    }
}

/// Sixty distinct domains within a minute, with fewer that exist.
fn is_burst(events: &[(Duration, String, bool)]) -> bool {
    events.iter().enumerate().any(|(start, (begin, ..))| {
        let within = || events[start..].iter().take_while(|(at, ..)| *at - *begin < Duration::from_secs(60));
        let missing: BTreeSet<_> = within().filter(|event| !event.2).map(|event| &event.1).collect();
        missing.len() >= 60 && within().filter(|event| event.2).count() < missing.len()
    })
}

/// Public, then or at the same time inside, in one family.
fn is_moved(answers: &[Vec<IpAddr>]) -> bool {
    [true, false].into_iter().any(|v4| {
        let mut was_public = false;
        answers.iter().any(|answer| {
            let mut of_family = answer.iter().filter(|address| address.is_ipv4() == v4).peekable();
            if of_family.peek().is_none() {
                return false;
            }
            let (inside, public): (Vec<IpAddr>, Vec<IpAddr>) =
                of_family.copied().partition(|address| is_inside(*address));
            let is_move = !inside.is_empty() && (was_public || !public.is_empty());
            was_public = !public.is_empty();
            is_move
        })
    })
}

fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()
        }
    }
}

fn prefix(address: IpAddr, bits: u32) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits() >> (32 - bits)),
        IpAddr::V6(v6) => v6.to_bits() >> (128 - bits * 2),
    }
}

/// Read as one of the list, or Latin letters beside Cyrillic ones. The decoder is the one of the known names of the scenarios.
fn is_lookalike(name: &str) -> bool {
    let known = [
        ("xn--80ak6aa92e", "аррӏе"),
        ("xn--my-bnk-6nf", "my-bаnk"),
        ("xn--80aswg", "сайт"),
        ("xn--mnchen-3ya", "münchen"),
    ];
    let label = name.split('.').rev().nth(1).unwrap_or_default();
    let Some((_, text)) = known.iter().find(|(encoded, _)| *encoded == label) else { return false };
    let letters: Vec<char> = CYRILLIC.chars().collect();
    let reading: String = text
        .chars()
        .map(|letter| letters.chunks(2).find(|pair| pair[0] == letter).map_or(letter, |pair| pair[1]))
        .collect();
    let is_cyrillic = |letter: char| ('\u{400}'..'\u{530}').contains(&letter);
    IMITATED.contains(&reading.as_str())
        || text.chars().any(is_cyrillic) && text.chars().any(|letter| letter.is_ascii_alphabetic())
}

/// Addresses of records that each begin with a pointer.
fn addresses(mut records: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    while records.len() >= 12 && records[0] >= 0xc0 {
        let (kind, length) = (records[3], usize::from(records[11]));
        let Some(data) = records.get(12..12 + length) else { break };
        match (kind, length) {
            (1, 4) => found.push(Ipv4Addr::new(data[0], data[1], data[2], data[3]).into()),
            (28, 16) => found.push(Ipv6Addr::from_bits(u128::from_be_bytes(data.try_into().unwrap())).into()),
            _ => {}
        }
        records = &records[12 + length..];
    }
    found
}
