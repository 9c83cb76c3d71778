//! `fast_flux`: a name with many short-lived addresses in many networks, as hosts of a botnet serve it.
//!
//! Read first: "Measuring and Detecting Fast-Flux Service Networks" (Holz, Gorecki, Rieck, Freiling, NDSS 2008); "`FluXOR`: Detecting and
//! Monitoring Fast-Flux Service Networks" (Passerini, Paleari, Martignoni, Bruschi, DIMVA 2008).
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `fast_flux` | one client was answered for one name, within a day, with addresses in this many networks, valid for five minutes at most | low, unless configured |
//!
//! The score of Holz et al. is 1.32 for each address and 18.54 for each autonomous system, above 142. Without a map of these, networks of 16
//! bits (32 of IPv6) stand for them, of which a cloud has many: three times the seven systems that the score needs with ten addresses,
//! and at least ten blocks of 8 bits, which clouds and content networks do not reach for one name. Bitmaps with keyed hashes count
//! both, so that the numbers are lower bounds.
//!
//! Pools of volunteers (time servers; nodes of currencies) have the very shape. The one that every household asks is known;
//! for the sake of the others the test does not claim an attack.
//!
//! Not seen: a new name for each look-up; records valid for longer; fewer networks.

use sentinel_alert::{Kind, Severity, Test};
use sentinel_units::{Address, Timestamp};

use super::lookup::Lookup;
use super::suffix::Labels;
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `fast_flux`.
    Thresholds {
        networks: "networks", default 24, 10 to 48,
            "networks of 16 bits (32 of IPv6) that the addresses of one name are in";
        ttl_s: "s", default 300, 1 to 86_400,
            "longest validity of an address that counts";
    }
}

/// Names watched at once. A new one takes the place of the one with the fewest networks, of those the oldest.
const NAMES: usize = 32;
/// Blocks of 8 bits (20 of IPv6) at least.
const BLOCKS: u32 = 10;
/// Time within which the addresses count, in seconds.
const DAY_S: u32 = 86_400;
/// Registered domain of the pool of time servers, whose servers are volunteers'.
const POOL: [&[u8]; 2] = [b"ntp", b"org"];

/// Addresses of one name, as one client was told.
#[derive(Clone, Copy, Debug, Default)]
struct Flux {
    /// Hash of client and name; zero if the entry is empty.
    tag: u32,
    start_s: u32,
    addresses: [u32; 2],
    networks: [u32; 2],
    blocks: u32,
    /// True if it was reported: once is enough for a day.
    is_reported: bool,
}

/// Sets a bit of a bitmap by a hash.
fn mark(bitmap: &mut [u32; 2], hash: u32) {
    let [low, high] = bitmap;
    *(if hash & 32 == 0 { low } else { high }) |= 1 << (hash % 32);
}

fn count(bitmap: [u32; 2]) -> u32 {
    let [low, high] = bitmap;
    low.count_ones() + high.count_ones()
}

/// The names watched.
#[derive(Debug)]
pub(crate) struct FastFlux {
    names: [Flux; NAMES],
    activation: Activation,
    pub(super) thresholds: Thresholds,
}

impl FastFlux {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::FastFlux,
        about: "a name has many short-lived addresses in many networks",
        source: "Holz et al. 2008: seven systems with ten addresses; three times as many networks, because clouds have several each",
        severity: Severity::Low,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self { names: [Flux::default(); NAMES], activation: config.into(), thresholds: config.into() }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        (self.activation, self.thresholds) = (config.into(), config.into());
    }

    /// Takes the short-lived public addresses of an answer. `tag` is the hash of the client and the name.
    #[inline(never)] // answers with more than one address, or of a name that is watched
    pub(super) fn answer(
        &mut self,
        lookup: &Lookup<'_>,
        tag: u32,
        addresses: &[Address],
        findings: &mut Findings<'_, '_>,
    ) {
        if !self.activation.enabled {
            return;
        }
        let (now_s, key) = (lookup.second(), lookup.setting.key);
        let is_live = |name: &Flux| now_s.saturating_sub(name.start_s) < DAY_S;
        let evidence =
            |name: &Flux| if is_live(name) { (count(name.networks), name.start_s) } else { (0, 0) };
        let found = self.names.iter().position(|name| name.tag == tag && is_live(name));
        // A name with one address at a time is watched from one of eight answers on: nearly all names are such, and few rotate.
        let number = lookup.bytes.first_chunk().map_or(0, |number| u16::from_be_bytes(*number));
        if found.is_none() && addresses.len() < 2 && key.with(tag, number.into()) >> 29 != 0 {
            return;
        }
        let index = found.or_else(|| {
            let names = self.names.iter().enumerate();
            names.min_by_key(|(_, name)| evidence(name)).map(|(index, _)| index)
        });
        let Some(name) = index.and_then(|index| self.names.get_mut(index)) else { return };
        if found.is_none() {
            *name = Flux { tag, start_s: now_s, ..Flux::default() };
        }
        for &address in addresses {
            let [a, _, _, d] = address.words();
            let bits = if address.is_v4() { d >> 16 } else { a };
            let block = if address.is_v4() { d >> 24 } else { a >> 12 };
            mark(&mut name.addresses, key.with(key.address(address), tag));
            mark(&mut name.networks, key.with(bits, tag));
            name.blocks |= 1 << (key.with(block, !tag) % 32);
        }
        if !name.is_reported
            && count(name.networks) >= self.thresholds.networks
            && name.blocks.count_ones() >= BLOCKS
        {
            name.is_reported = true;
            let name = *name;
            self.report(lookup, name, findings);
        }
    }

    #[cold]
    fn report(&self, lookup: &Lookup<'_>, flux: Flux, findings: &mut Findings<'_, '_>) {
        let mut labels = Labels::new();
        let Some(start) = lookup.labels(&mut labels) else { return };
        let is_label = |(label, known): (&&[u8], &[u8])| label.eq_ignore_ascii_case(known);
        let domain = labels.get(start..).unwrap_or_default();
        if domain.len() == POOL.len() && domain.iter().zip(POOL).all(is_label) {
            return;
        }
        let networks = count(flux.networks);
        let numbers = [count(flux.addresses).max(networks), networks, self.thresholds.networks, 0];
        findings.add(&lookup.finding(
            (Test::FastFlux, self.activation.severity),
            (Timestamp::from_parts(flux.start_s.into(), 0), flux.tag),
            numbers,
            (Address::UNSPECIFIED, &labels, ""),
        ));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::names::tests::{answer, exchange, opened, sensor};
    use super::*;
    use sentinel_alert::Evidence;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use crate::testkit::{CLIENT, OUTSIDE, Random, Sensor, udp};

    const KIND: Kind = Kind::FastFlux;

    /// So many answers for a name, each with five addresses.
    fn play(sensor: &mut Sensor, name: &str, count: u16, ttl_s: u32, mut address: impl FnMut() -> String) {
        for id in 0..count {
            let addresses: Vec<String> = (0..5).map(|_| address()).collect();
            let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
            exchange(sensor, u64::from(id) * 60_000, CLIENT, id, name, &answer(id, name, 0, ttl_s, &texts));
        }
    }

    fn alerts(name: &str, count: u16, ttl_s: u32, address: impl FnMut() -> String) -> usize {
        let mut sensor = sensor(KIND);
        play(&mut sensor, name, count, ttl_s, address);
        opened(&sensor, KIND).len()
    }

    /// Addresses of networks all over the Internet.
    fn anywhere() -> impl FnMut() -> String {
        let mut random = Random(5);
        move || {
            format!(
                "{}.{}.{}.{}",
                11 + random.below(88),
                random.below(256),
                random.below(256),
                random.below(256)
            )
        }
    }

    /// Addresses in as many blocks of 8 bits.
    fn blocks(count: u64) -> impl FnMut() -> String {
        let mut random = Random(5);
        move || {
            format!(
                "{}.{}.{}.{}",
                50 + random.below(count),
                random.below(256),
                random.below(256),
                random.below(256)
            )
        }
    }

    #[test]
    fn many_short_lived_addresses_in_many_networks_are_reported() {
        assert_eq!(alerts("update.example.com", 12, 60, anywhere()), 1);
        assert_eq!(alerts("update.example.com", 4, 60, anywhere()), 0, "twenty addresses");
        assert_eq!(alerts("update.example.com", 12, 301, anywhere()), 0, "valid for longer");
        assert_eq!(alerts("update.example.com", 12, 300, anywhere()), 1);
        let mut random = Random(5);
        let v6 = || format!("2{:03x}:{:x}::1", random.below(4_096), random.below(65_536));
        assert_eq!(alerts("update.example.com", 12, 60, v6), 1, "IPv6");
    }

    #[test]
    fn the_summary_gives_lower_bounds() {
        let mut sensor = sensor(KIND);
        play(&mut sensor, "update.example.com", 12, 60, anywhere());
        let [alert] = opened(&sensor, KIND)[..] else { panic!("{:?}", sensor.raised) };
        assert_eq!(alert.severity, Severity::Low);
        let Evidence::Answers { count, networks, .. } = alert.evidence else { panic!("{alert:?}") };
        assert!((24..=30).contains(&networks) && (networks..=40).contains(&count), "{networks} {count}");
        let summary = alert.summary().to_string();
        assert!(
            summary.starts_with("10.20.30.11 was told at least ")
                && summary.ends_with(" networks for update.example.com"),
            "{summary}"
        );
    }

    #[test]
    fn clouds_pools_and_large_answers_are_ordinary() {
        assert_eq!(alerts("api.example.com", 200, 60, blocks(6)), 0, "a cloud with six blocks");
        assert_eq!(alerts("2.android.pool.ntp.org", 200, 150, anywhere()), 0, "the pool of time servers");
        let mut random = Random(5);
        let site = || format!("203.{}.{}.{}", random.below(8), random.below(256), random.below(256));
        assert_eq!(alerts("cdn.example.com", 200, 20, site), 0, "a content network");
        let inside = || "192.168.1.9".to_string();
        assert_eq!(alerts("nas.example.com", 200, 20, inside), 0);
    }

    #[test]
    fn names_with_a_few_networks_do_not_evict_one_with_more() {
        let mut sensor = sensor(KIND);
        let mut address = anywhere();
        for id in 0..12_u16 {
            let addresses: Vec<String> = (0..5).map(|_| address()).collect();
            let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let millis = u64::from(id) * 60_000;
            exchange(
                &mut sensor,
                millis,
                CLIENT,
                id,
                "a.example.com",
                &answer(id, "a.example.com", 0, 60, &texts),
            );
            for other in 0..100 {
                let name = format!("www.site{other}.com");
                let found = answer(other, &name, 0, 60, &["203.0.113.9", "198.51.100.9"]);
                exchange(&mut sensor, millis + 100 + u64::from(other) * 50, CLIENT, other, &name, &found);
            }
        }
        assert_eq!(opened(&sensor, KIND).len(), 1);
    }

    #[test]
    fn answers_from_outside_that_nobody_asked_for_say_nothing() {
        let mut sensor = sensor(KIND);
        let mut address = anywhere();
        for id in 0..60 {
            let message = answer(id, "example.com", 0, 60, &[&address(), &address()]);
            sensor.frame(u64::from(id) * 900, &udp((OUTSIDE, 53), (CLIENT, 40_000), &message));
        }
        assert!(sensor.raised.is_empty(), "{:?}", sensor.raised);
    }
}
