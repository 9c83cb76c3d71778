//! Verdict on one attack: what the program under test said of it.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sentinel_trafficgen::adversary::{Named, noise};
use sentinel_trafficgen::{Host, Packets, Parameters, TimedFrame, Topology};

use super::alerts::Raised;
use super::feed::{Feed, Frame};

/// Time at which each attack begins, microseconds since the Unix epoch.
const START_US: u64 = 1_700_006_400_000_000;
/// Noise before an attack, so that tables are as full as it makes them.
const LEAD: Duration = Duration::from_secs(5);

/// Alert that an attack must raise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation<'e> {
    /// Kinds of which one must be raised.
    pub(crate) kinds: &'e [&'e str],
    /// Address that it must name.
    pub(crate) named: Named,
}

/// Outcome of an attack, best first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Outcome {
    /// A claim of an expected kind names the right address.
    Named,
    /// Only an alert that claims no attack does.
    Low,
    /// Nothing does.
    Silent,
    /// A claim names somebody who did nothing.
    Wrong,
    /// The program has none of the kinds.
    NotBuilt,
}

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Low => "low",
            Self::Silent => "silent",
            Self::Wrong => "wrong accusation",
            Self::NotBuilt => "not built",
        }
    }
}

/// Verdict on one run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Time from the first frame of the attack to the alert that named it.
    pub(crate) after: Option<Duration>,
    /// Frames of the attack until then, without the victim's responses.
    pub(crate) frames: Option<u64>,
    /// Kinds and tests of the claims, as evidence for a reader.
    pub(crate) said: Vec<String>,
    /// Number of incidents that claim an attack.
    pub(crate) incidents: u64,
}

/// Runs the attack, in noise if `with_noise`, and judges.
pub(crate) fn judge(
    sentinel: &Path,
    detectors: &[String],
    expectation: Expectation<'_>,
    parameters: &Parameters,
    attack: Packets,
    with_noise: bool,
) -> Result<Verdict> {
    let is_built = |kind: &&str| detectors.iter().any(|detector| detector == kind);
    if !expectation.kinds.iter().any(is_built) {
        return Ok(Verdict {
            outcome: Outcome::NotBuilt,
            after: None,
            frames: None,
            said: Vec::new(),
            incidents: 0,
        });
    }
    let attack: Vec<TimedFrame> = attack.collect();
    let lead = if with_noise { LEAD } else { Duration::ZERO };
    let end = attack.last().map_or(Duration::ZERO, |frame| frame.offset) + lead;
    let noise: Packets = if with_noise {
        noise(parameters, end + Duration::from_secs(1))
    } else {
        Box::new(std::iter::empty())
    };
    let mut feed = Feed::start(sentinel)?;
    let mut write = |offset: Duration, bytes: &[u8]| {
        let at_us = START_US + u64::try_from(offset.as_micros()).unwrap_or(u64::MAX);
        feed.frame(&Frame { at_us, bytes, wire_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) })
    };
    let mut noise = noise.peekable();
    for frame in &attack {
        while let Some(other) = noise.next_if(|other| other.offset <= frame.offset + lead) {
            write(other.offset, &other.bytes)?;
        }
        write(frame.offset + lead, &frame.bytes)?;
    }
    for other in noise {
        write(other.offset, &other.bytes)?;
    }
    let raised = feed.finish()?;
    Ok(verdict(expectation, &parameters.topology, &raised, &attack, lead))
}

fn verdict(
    expectation: Expectation<'_>,
    topology: &Topology,
    raised: &[Raised],
    attack: &[TimedFrame],
    lead: Duration,
) -> Verdict {
    let is_right = |alert: &&Raised| {
        expectation.kinds.contains(&alert.kind.as_str()) && names(alert, expectation.named, topology)
    };
    let named = raised.iter().filter(|alert| alert.claims()).find(is_right);
    let low = raised.iter().find(is_right);
    let is_wrong =
        raised.iter().any(|alert| alert.claims() && accuses_innocent(alert, expectation.named, topology));
    let outcome = match (is_wrong, named, low) {
        (true, ..) => Outcome::Wrong,
        (false, Some(_), _) => Outcome::Named,
        (false, None, Some(_)) => Outcome::Low,
        (false, None, None) => Outcome::Silent,
    };
    let begin = attack.first().map_or(Duration::ZERO, |frame| frame.offset);
    let after = named.map(|alert| {
        Duration::from_micros(alert.at_us.saturating_sub(START_US)).saturating_sub(lead).saturating_sub(begin)
    });
    let is_sent = |frame: &&TimedFrame| frame.bytes.get(6..12) != Some(&topology.victim.mac.0);
    let frames = after.map(|after| {
        let until = attack.iter().take_while(|frame| frame.offset <= begin + after);
        u64::try_from(until.filter(is_sent).count()).unwrap_or(u64::MAX)
    });
    let claims = || raised.iter().filter(|alert| alert.claims() && alert.opens());
    let mut said: Vec<String> = claims()
        .map(|alert| {
            let who = |address: Option<IpAddr>| {
                address.map_or("many".to_owned(), |address| role(address, topology))
            };
            format!("{} {}: {} to {}", alert.kind, alert.test, who(alert.source), who(alert.destination))
        })
        .collect();
    said.sort_unstable();
    said.dedup();
    said.truncate(8);
    Verdict { outcome, after, frames, said, incidents: u64::try_from(claims().count()).unwrap_or(u64::MAX) }
}

/// Name of an address: its role, or the network that made-up and further hosts are in.
fn role(address: IpAddr, topology: &Topology) -> String {
    let roles = [
        ("attacker", topology.attacker),
        ("victim", topology.victim),
        ("client", topology.client),
        ("gateway", topology.gateway),
        ("outside", topology.outside),
    ];
    roles.into_iter().find(|(_, host)| is(host, address)).map_or_else(
        || if is_attackers(address) { "attacker".into() } else { "other".into() },
        |(name, _)| name.into(),
    )
}

fn is(host: &Host, address: IpAddr) -> bool {
    address == IpAddr::V4(host.v4) || address == IpAddr::V6(host.v6)
}

/// True for the /64 from which an attacker draws addresses.
fn is_attackers(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[..4] == [0x2001, 0xdb8, 0x66, 0])
}

/// True if the alert names the attacker or the victim, whichever it must.
fn names(alert: &Raised, named: Named, topology: &Topology) -> bool {
    let is_attacker = |address: IpAddr| {
        is(&topology.attacker, address) || is(&topology.outside, address) || is_attackers(address)
    };
    let is_victim = |address: IpAddr| {
        [topology.victim, topology.gateway, topology.client].iter().any(|host| is(host, address))
    };
    let is_mac = alert.source_mac.as_deref() == Some(topology.attacker.mac.to_string().as_str());
    let source = alert.source.is_some_and(is_attacker) || is_mac;
    let victim = alert.destination.is_some_and(is_victim)
        || is_of_the_link(alert) && alert.source.is_some_and(is_victim);
    match named {
        Named::Source => source,
        Named::Victim => victim,
        Named::Either => source || victim,
        Named::Nobody => true,
    }
}

/// True for alerts whose source is the address in dispute, not a culprit.
fn is_of_the_link(alert: &Raised) -> bool {
    alert.kind.ends_with("_spoof")
}

/// True if the source of the alert is a host that did nothing but answer. Made-up addresses of the noise are nobody.
fn accuses_innocent(alert: &Raised, named: Named, topology: &Topology) -> bool {
    let mut innocent = vec![topology.victim, topology.client, topology.gateway];
    if named == Named::Victim {
        innocent.push(topology.attacker);
    }
    alert
        .source
        .is_some_and(|address| !is_of_the_link(alert) && innocent.iter().any(|host| is(host, address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(kind: &str, severity: &str, source: &str, destination: &str) -> Raised {
        let line = format!(
            r#"{{"time":"2023-11-15T00:00:02.000000Z","kind":"{kind}","test":"t","severity":"{severity}","src":{source},"dst":{destination},"summary":"","phase":"open","incident":1}}"#
        );
        Raised::parse(&line).unwrap()
    }

    #[test]
    fn the_right_address_the_wrong_one_and_silence_are_told_apart() {
        let topology = Topology::default();
        let frames: Vec<TimedFrame> = (0..10)
            .map(|second| TimedFrame { offset: Duration::from_secs(second), bytes: Vec::new() })
            .collect();
        let outcome = |alerts: &[Raised], named| {
            let expectation = Expectation { kinds: &["port_scan"], named };
            verdict(expectation, &topology, alerts, &frames, Duration::ZERO)
        };
        let attacker = alert("port_scan", "medium", "\"10.20.30.66\"", "null");
        let found = outcome(std::slice::from_ref(&attacker), Named::Source);
        assert_eq!(
            (found.outcome, found.after, found.frames),
            (Outcome::Named, Some(Duration::from_secs(2)), Some(3))
        );
        assert_eq!(outcome(&[], Named::Source).outcome, Outcome::Silent);
        assert_eq!(
            outcome(&[alert("port_scan", "low", "\"10.20.30.66\"", "null")], Named::Source).outcome,
            Outcome::Low
        );
        let victim = alert("port_scan", "medium", "\"10.20.30.10\"", "null");
        assert_eq!(outcome(&[attacker, victim.clone()], Named::Source).outcome, Outcome::Wrong);
        assert_eq!(outcome(&[victim], Named::Victim).outcome, Outcome::Wrong);
        let other = alert("syn_flood", "medium", "\"10.20.30.66\"", "null");
        assert_eq!(outcome(&[other], Named::Source).outcome, Outcome::Silent, "another kind");
        let of_victim = alert("port_scan", "high", "null", "\"10.20.30.10\"");
        assert_eq!(outcome(&[of_victim], Named::Victim).outcome, Outcome::Named);
    }
}
