//! Household suite: claims of attack on ordinary networks, by what caused them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use sentinel_trafficgen::household::{Behaviour, Household, HouseholdFrame, HouseholdParameters};
use serde_json::{Value, json};

use super::alerts::{Raised, Severity};
use super::feed::{Feed, Frame};
use crate::report::per;

/// Size of the suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HouseholdOptions {
    /// Host-days after which no further household begins.
    pub(crate) host_days: u64,
    /// Hours of each household.
    pub(crate) hours: u64,
    /// Hour of the day at which each begins.
    pub(crate) first_hour: u64,
    /// Households simulated side by side.
    pub(crate) jobs: usize,
    /// Seed of the first household.
    pub(crate) seed: u64,
}

/// Midnight of a day in November 2023, UTC.
const MIDNIGHT_S: u64 = 1_700_006_400;
/// Devices of a household on average, which sets how many are simulated at once.
const USUAL_HOSTS: u64 = 25;

/// Kind, test and severity of a false alarm, and the behaviour that caused it.
type Cause = (Severity, String, String, Option<Behaviour>);

/// False alarms of one cause.
#[derive(Clone, Debug, Default)]
struct Alarms {
    count: u64,
    households: u64,
    example: String,
}

/// Result of the suite.
#[derive(Debug, Default)]
pub(crate) struct HouseholdResults {
    households: u64,
    host_hours: u64,
    frames: u64,
    alarms: BTreeMap<Cause, Alarms>,
}

/// Simulates households until there are `host_days`, in batches so that the result does not depend on the number of jobs.
pub(crate) fn run(sentinel: &Path, options: &HouseholdOptions) -> Result<HouseholdResults> {
    let mut results = HouseholdResults::default();
    let mut seed = options.seed;
    while results.host_hours < options.host_days * 24 {
        let missing = (options.host_days * 24 - results.host_hours).div_ceil(USUAL_HOSTS * options.hours);
        let seeds: Vec<u64> = (seed..seed + missing).collect();
        seed += missing;
        for one in batch(sentinel, options, &seeds) {
            results.add(one?);
        }
    }
    Ok(results)
}

fn batch(sentinel: &Path, options: &HouseholdOptions, seeds: &[u64]) -> Vec<Result<HouseholdResults>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let parameters =
                HouseholdParameters { seed: *seed, hours: options.hours, first_hour: options.first_hour };
            done.push((*seed, one(sentinel, &parameters).with_context(|| format!("household {seed}"))));
        }
        done
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    done.sort_by_key(|(seed, _)| *seed);
    done.into_iter().map(|(_, result)| result).collect()
}

/// One household: its frames through the program, and, if that raised alerts, a second time past them to find what caused each.
fn one(sentinel: &Path, parameters: &HouseholdParameters) -> Result<HouseholdResults> {
    let start_us = (MIDNIGHT_S + parameters.first_hour * 3_600) * 1_000_000;
    let mut household = Household::new(parameters);
    let hosts = u64::from(household.hosts());
    let mut feed = Feed::start(sentinel)?;
    for frame in household.by_ref() {
        feed.frame(&Frame { at_us: start_us + frame.at_us, bytes: &frame.bytes, wire_len: frame.wire_len })?;
    }
    let frames = feed.frames;
    let raised = incidents(feed.finish()?);
    let causes = causes(parameters, start_us, &raised);
    let mut alarms: BTreeMap<Cause, Alarms> = BTreeMap::new();
    for (raised, behaviour) in raised.into_iter().zip(causes) {
        let cause = (raised.severity, raised.kind, raised.test, behaviour);
        let entry = alarms.entry(cause).or_default();
        entry.count += 1;
        entry.households = 1;
        if entry.example.is_empty() {
            entry.example = raised.summary;
        }
    }
    Ok(HouseholdResults { households: 1, host_hours: hosts * parameters.hours, frames, alarms })
}

/// One alert for each incident: the one that opened it, with the highest severity that it reached.
fn incidents(raised: Vec<Raised>) -> Vec<Raised> {
    let mut by_number: BTreeMap<u64, Raised> = BTreeMap::new();
    for alert in raised {
        let entry = by_number.entry(alert.incident);
        entry.and_modify(|first| first.severity = first.severity.max(alert.severity)).or_insert(alert);
    }
    by_number.into_values().collect()
}

/// Behaviour that caused each alert: the one with the most frames of the alert's source (or to its destination, if it has no source) from
/// the first evidence to the alert; if there was none, what it did last before.
fn causes(parameters: &HouseholdParameters, start_us: u64, raised: &[Raised]) -> Vec<Option<Behaviour>> {
    let mut by_address: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
    let mut at_its_time: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, alert) in raised.iter().enumerate() {
        if let Some(address) = alert.source.or(alert.destination) {
            by_address.entry(address).or_default().push(index);
        }
        at_its_time.entry(alert.at_us).or_default().push(index);
    }
    let mut counts: Vec<BTreeMap<Behaviour, u64>> = vec![BTreeMap::new(); raised.len()];
    // What the address did last, for an alert that silence raised.
    let mut before: Vec<Option<Behaviour>> = vec![None; raised.len()];
    let last = raised.iter().map(|alert| alert.at_us).max();
    let frames = Household::new(parameters).take_while(|frame| Some(start_us + frame.at_us) <= last);
    for frame in frames {
        let at_us = start_us + frame.at_us;
        let mut count = |index: usize, amount: u64| {
            if let Some(counts) = counts.get_mut(index) {
                *counts.entry(frame.behaviour).or_default() += amount;
            }
        };
        // The frame that raised the alert decides a tie.
        at_its_time.get(&at_us).into_iter().flatten().for_each(|index| count(*index, 1));
        let (source, destination) = addresses(&frame);
        for (address, is_source) in [(source, true), (destination, false)] {
            for index in address.and_then(|address| by_address.get(&address)).into_iter().flatten() {
                let Some(alert) = raised.get(*index) else { continue };
                if alert.source.is_some() != is_source || at_us > alert.at_us {
                    continue;
                }
                if let Some(before) = before.get_mut(*index) {
                    *before = Some(frame.behaviour);
                }
                if at_us >= alert.first_us {
                    count(*index, 2);
                }
            }
        }
    }
    let most = |counts: BTreeMap<Behaviour, u64>| counts.into_iter().max_by_key(|(_, count)| *count);
    counts
        .into_iter()
        .zip(before)
        .map(|(counts, before)| most(counts).map(|(behaviour, _)| behaviour).or(before))
        .collect()
}

/// Source and destination address of a frame; of ARP the sender's and the target's.
fn addresses(frame: &HouseholdFrame) -> (Option<IpAddr>, Option<IpAddr>) {
    let bytes = &frame.bytes;
    let is_tagged = bytes.get(12..14) == Some(&[0x81, 0]);
    let at = if is_tagged { 16 } else { 12 };
    let v4 = |from: usize| {
        bytes.get(at + from..at + from + 4)?.try_into().ok().map(|octets: [u8; 4]| IpAddr::from(octets))
    };
    let v6 = |from: usize| {
        bytes.get(at + from..at + from + 16)?.try_into().ok().map(|octets: [u8; 16]| IpAddr::from(octets))
    };
    match bytes.get(at..at + 2) {
        Some([0x08, 0x00]) => (v4(14), v4(18)),
        Some([0x08, 0x06]) => (v4(16), v4(26)),
        Some([0x86, 0xdd]) => (v6(10), v6(26)),
        _ => (None, None),
    }
}

impl HouseholdResults {
    fn add(&mut self, other: Self) {
        self.households += other.households;
        self.host_hours += other.host_hours;
        self.frames += other.frames;
        for (cause, alarms) in other.alarms {
            let entry = self.alarms.entry(cause).or_default();
            entry.count += alarms.count;
            entry.households += alarms.households;
            if entry.example.is_empty() {
                entry.example = alarms.example;
            }
        }
    }

    /// Number of incidents that claim an attack.
    pub(crate) fn claims(&self) -> u64 {
        let is_claim = |(severity, ..): &Cause| *severity >= Severity::Medium;
        self.alarms.iter().filter(|(cause, _)| is_claim(cause)).map(|(_, alarms)| alarms.count).sum()
    }

    fn host_days(&self) -> f64 {
        per(self.host_hours, 24)
    }

    /// Causes, those that claim an attack first and then by number.
    fn sorted(&self) -> Vec<(&Cause, &Alarms)> {
        let mut all: Vec<_> = self.alarms.iter().collect();
        all.sort_by_key(|((severity, ..), alarms)| (*severity < Severity::Medium, u64::MAX - alarms.count));
        all
    }

    pub(crate) fn to_json(&self) -> Value {
        let alarms: Vec<Value> = self
            .sorted()
            .into_iter()
            .map(|((severity, kind, test, behaviour), alarms)| {
                json!({
                    "behaviour": behaviour.map_or("unknown", Behaviour::name),
                    "kind": kind,
                    "test": test,
                    "severity": severity.name(),
                    "incidents": alarms.count,
                    "households": alarms.households,
                    "example": alarms.example,
                })
            })
            .collect();
        json!({
            "households": self.households,
            "host_days": self.host_days(),
            "frames": self.frames,
            "claims": self.claims(),
            "claims_per_host_day": per(self.claims() * 24, self.host_hours),
            "alarms": alarms,
        })
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = format!(
            "household suite: {} households, {} host-days, {} frames: {} claims of attack, {} per host-day (aim: 0 in 3,000)\n",
            self.households,
            self.host_days(),
            self.frames,
            self.claims(),
            per(self.claims() * 24, self.host_hours),
        );
        let _infallible = writeln!(
            text,
            "  {:<17} {:<32} {:<9} {:>9} {:>7}  example",
            "behaviour", "kind, test", "severity", "incidents", "houses"
        );
        for ((severity, kind, test, behaviour), alarms) in self.sorted() {
            let test = if kind == test { kind.clone() } else { format!("{kind} {test}") };
            let _infallible = writeln!(
                text,
                "  {:<17} {test:<32} {:<9} {:>9} {:>7}  {}",
                behaviour.map_or("unknown", Behaviour::name),
                severity.name(),
                alarms.count,
                alarms.households,
                alarms.example
            );
        }
        text
    }
}
