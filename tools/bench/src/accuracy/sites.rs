//! Beacons among the ordinary periodic traffic of a household: precision and recall of what a site sees in a day.
//!
//! Each site has one machine more, which calls home in four rhythms. Its alerts of a day are ranked by severity and then by time,
//! and the first ten count.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sentinel_trafficgen::adversary::Beacon;
use sentinel_trafficgen::household::{Household, HouseholdParameters};
use sentinel_trafficgen::{Parameters, TimedFrame};
use serde_json::{Value, json};

use super::alerts::Raised;
use super::feed::{Feed, Frame};
use super::form::Form;
use crate::report::per;

/// Midnight of a day in November 2023, UTC, in microseconds.
const MIDNIGHT_US: u64 = 1_700_006_400_000_000;
const HOUR_US: u64 = 3_600_000_000;
/// Alerts of a site and day that an operator looks at.
const BUDGET: usize = 10;
/// Periods in seconds; jitter and missed calls in percent.
const RHYTHMS: [(u64, u32, u32); 4] = [(10, 30, 10), (60, 0, 10), (300, 30, 0), (900, 20, 10)];

/// Alerts about the beacons and about all else, over all sites.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    sites: u64,
    beacons: u64,
    /// Beacons that a claim names, and that any alert names.
    claimed: u64,
    named: u64,
    /// Claims that name something else, and other alerts within the budget.
    wrong_claims: u64,
    wrong: u64,
}

/// Runs the sites: one of six hours in the small form.
pub(crate) fn run(sentinel: &Path, form: Form) -> Result<Sites> {
    let (sites, hours) = if form == Form::Small { (1, 6) } else { (20, 24) };
    let mut all = Sites::default();
    for seed in 1..=sites {
        let raised = site(sentinel, seed, hours)?;
        all.add(&raised);
    }
    Ok(all)
}

/// Address of the destination of a rhythm, by its number.
fn home(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, u8::try_from(113 + number).unwrap_or(113), 50)
}

/// Alerts of kind `beacon` of one site, an incident each, those that come first in the ranking.
fn site(sentinel: &Path, seed: u64, hours: u64) -> Result<Vec<Raised>> {
    let mut calls: Vec<TimedFrame> = Vec::new();
    for (number, (period_s, jitter_percent, missed_percent)) in RHYTHMS.into_iter().enumerate() {
        let mut parameters =
            Parameters { seed: seed * 16 + u64::try_from(number).unwrap_or(0), ..Parameters::default() };
        parameters.topology.outside = parameters.topology.outside.with_v4(home(number));
        let count = u32::try_from(hours * 3_600 / period_s).unwrap_or(0);
        let beacon =
            Beacon { period: Duration::from_secs(period_s), jitter_percent, missed_percent, calls: count };
        calls.extend(beacon.packets(&parameters));
    }
    calls.sort_by_key(|frame| frame.offset);
    let first_hour = 8;
    let start_us = MIDNIGHT_US + first_hour * HOUR_US;
    let mut feed = Feed::start(sentinel)?;
    let mut calls = calls.into_iter().peekable();
    for frame in Household::new(&HouseholdParameters { seed, hours, first_hour }) {
        let offset = Duration::from_micros(frame.at_us);
        while let Some(call) = calls.next_if(|call| call.offset <= offset) {
            let at_us = start_us + u64::try_from(call.offset.as_micros()).unwrap_or(0);
            let wire_len = u32::try_from(call.bytes.len()).unwrap_or(0);
            feed.frame(&Frame { at_us, bytes: &call.bytes, wire_len })?;
        }
        feed.frame(&Frame { at_us: start_us + frame.at_us, bytes: &frame.bytes, wire_len: frame.wire_len })?;
    }
    let mut raised = feed.finish()?;
    raised.retain(|alert| alert.kind == "beacon" && alert.opens());
    raised.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.at_us));
    raised.truncate(BUDGET);
    Ok(raised)
}

impl Sites {
    fn add(&mut self, raised: &[Raised]) {
        self.sites += 1;
        let machine = IpAddr::V4(Parameters::default().topology.attacker.v4);
        let count = |all: usize| u64::try_from(all).unwrap_or(u64::MAX);
        for number in 0..RHYTHMS.len() {
            let of = |alert: &&Raised| {
                alert.source == Some(machine) && alert.destination == Some(IpAddr::V4(home(number)))
            };
            self.beacons += 1;
            self.claimed += u64::from(raised.iter().filter(of).any(Raised::claims));
            self.named += u64::from(raised.iter().any(|alert| of(&alert)));
        }
        let (claims, low): (Vec<&Raised>, Vec<&Raised>) =
            raised.iter().filter(|alert| alert.source != Some(machine)).partition(|alert| alert.claims());
        self.wrong_claims += count(claims.len());
        self.wrong += count(low.len());
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "sites": self.sites,
            "beacons": self.beacons,
            "recall": per(self.named, self.beacons.max(1)),
            "recall_of_claims": per(self.claimed, self.beacons.max(1)),
            "precision_of_claims": per(self.claimed, (self.claimed + self.wrong_claims).max(1)),
            "wrong_claims": self.wrong_claims,
            "low_alerts_of_ordinary_traffic": self.wrong,
        })
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = String::new();
        let _infallible = writeln!(
            text,
            "beacons in households: {} sites, {} of {} beacons named, {} by a claim; {} claims of ordinary traffic (precision of claims {}), {} alerts of it below",
            self.sites,
            self.named,
            self.beacons,
            self.claimed,
            self.wrong_claims,
            per(self.claimed, (self.claimed + self.wrong_claims).max(1)),
            self.wrong
        );
        text
    }
}
