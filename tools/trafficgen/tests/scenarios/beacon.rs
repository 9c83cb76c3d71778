//! Beacons by their definition: every contact of every pair is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Ports that are asked at regular times by their nature.
const LEFT_OUT: [u16; 8] = [53, 123, 500, 853, 3_478, 4_500, 5_060, 19_302];
/// Contacts before a pair is watched, and those that make a rhythm.
const UNWATCHED: usize = 3;
const CONTACTS: usize = 11;

#[derive(Default)]
pub(crate) struct Calls {
    /// By host, destination or its network, and port.
    contacts: BTreeMap<(IpAddr, IpAddr, u16), Vec<Duration>>,
    /// By host: destinations so far.
    addresses: BTreeMap<IpAddr, BTreeSet<IpAddr>>,
    answers: BTreeSet<Vec<u8>>,
}

impl Calls {
    pub(crate) fn contact(&mut self, at: Duration, host: IpAddr, destination: IpAddr, port: u16) {
        if LEFT_OUT.contains(&port) {
            return;
        }
        // A network is called if its addresses are called again; a sweep is no call.
        let addresses = self.addresses.entry(host).or_default();
        let is_new = addresses.insert(destination);
        let is_several =
            addresses.iter().filter(|address| network(**address) == network(destination)).count() > 1;
        let network = Some(network(destination)).filter(|_| is_several && !is_new);
        for to in network.into_iter().chain([destination]) {
            self.contacts.entry((host, to, port)).or_default().push(at);
        }
    }

    pub(crate) fn answer(&mut self, message: &[u8]) {
        self.answers.insert(message.to_vec());
    }

    fn is_named(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return false };
        self.answers.iter().any(|message| message.windows(4).any(|bytes| bytes == v4.octets()))
    }

    pub(crate) fn have_rhythm(&self) -> bool {
        let of_many = |destination: &IpAddr| {
            let hosts: BTreeSet<_> =
                self.contacts.keys().filter(|(_, to, _)| to == destination).map(|(host, ..)| host).collect();
            hosts.len() >= 3 && self.is_named(*destination)
        };
        self.contacts.iter().any(|((_, destination, _), times)| is_regular(times) && !of_many(destination))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

/// Returns true if some run of contacts is regular: of the gaps of at least four seconds most are within a factor of 1.5 of their median.
fn is_regular(times: &[Duration]) -> bool {
    let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).filter(|gap| *gap >= 4.0);
    let gaps: Vec<f64> = gaps.skip(UNWATCHED).collect();
    (CONTACTS - 1..=gaps.len()).any(|end| {
        let recent = &gaps[end.saturating_sub(24)..end];
        let mut sorted = recent.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        let regular = recent.iter().filter(|gap| **gap < median * 1.5 && **gap > median / 1.5).count();
        regular >= CONTACTS - 1 && regular * 5 >= recent.len() * 4
    })
}
