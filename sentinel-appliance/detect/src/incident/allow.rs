//! Allow rules: behaviour that the operator expects and that opens no incident.

use core::fmt;
use core::str::FromStr;

use sentinel_alert::{Kind, ShortName, Subject};
use sentinel_units::{Address, Port, Prefix};

use super::Finding;

/// Rules at most.
pub const MAX_ALLOW_RULES: usize = 16;

/// Expected behaviour: all conditions that are given must hold for the finding as a whole. `destination` and `port` therefore match no
/// finding that is about several, and `source` none whose source may be forged. At least one condition is given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AllowRule {
    kind: Option<Kind>,
    source: Option<Prefix>,
    destination: Option<Prefix>,
    port: Option<Port>,
    /// Domain in lower case without a final dot, which stands for its subdomains as well; empty without this condition.
    name: ShortName,
}

/// A text is no rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseAllowRuleError;

impl AllowRule {
    /// Returns true if the finding is expected.
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let Subject { source, destination, destination_port, .. } = &finding.subject;
        let is_within = |prefix: Option<Prefix>, address: Option<Address>| {
            prefix.is_none_or(|prefix| address.is_some_and(|address| prefix.contains(address)))
        };
        self.kind.is_none_or(|kind| kind == finding.test.kind())
            && is_within(self.source, *source)
            && is_within(self.destination, *destination)
            && self.port.is_none_or(|port| *destination_port == Some(port))
            && (self.name.is_empty()
                || finding.evidence.domain().is_some_and(|domain| is_part(domain, &self.name)))
    }
}

/// Returns true for the domain itself and what is below it.
fn is_part(domain: &str, of: &str) -> bool {
    domain.strip_suffix(of).is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

impl FromStr for AllowRule {
    type Err = ParseAllowRuleError;

    /// Parses conditions with `+` between, `kind=port_scan+source=192.168.1.10`; each of them once.
    fn from_str(text: &str) -> Result<Self, ParseAllowRuleError> {
        let mut rule = Self::default();
        for condition in text.split('+') {
            let (key, value) = condition.split_once('=').ok_or(ParseAllowRuleError)?;
            let is_first = match key {
                "kind" => rule.kind.replace(Kind::from_name(value).ok_or(ParseAllowRuleError)?).is_none(),
                "source" => rule.source.replace(prefix(value)?).is_none(),
                "destination" => rule.destination.replace(prefix(value)?).is_none(),
                "port" => rule.port.replace(Port(value.parse().map_err(|_| ParseAllowRuleError)?)).is_none(),
                "name" => {
                    let is_first = rule.name.is_empty() && !value.is_empty();
                    rule.name = ShortName::try_from(value).map_err(|_| ParseAllowRuleError)?;
                    rule.name.make_ascii_lowercase();
                    is_first
                }
                _ => false,
            };
            if !is_first {
                return Err(ParseAllowRuleError);
            }
        }
        Ok(rule)
    }
}

fn prefix(text: &str) -> Result<Prefix, ParseAllowRuleError> {
    text.parse().map_err(|_| ParseAllowRuleError)
}

fn dynamic<T: fmt::Display>(value: &T) -> &dyn fmt::Display {
    value
}

/// The form that [`AllowRule::from_str`] reads.
impl fmt::Display for AllowRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut and = "";
        let mut condition = |key: &str, value: Option<&dyn fmt::Display>| {
            let Some(value) = value else { return Ok(()) };
            write!(out, "{and}{key}={value}")?;
            and = "+";
            Ok(())
        };
        let Self { kind, source, destination, port, name } = self;
        let name = Some(name).filter(|name| !name.is_empty());
        condition("kind", kind.as_ref().map(dynamic))?;
        condition("source", source.as_ref().map(dynamic))?;
        condition("destination", destination.as_ref().map(dynamic))?;
        condition("port", port.as_ref().map(dynamic))?;
        condition("name", name.map(dynamic))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::string::ToString;
    use std::vec::Vec;

    use sentinel_alert::{Phase, Test};

    use crate::testkit::{CLIENT, Sensor, VICTIM, each, request};

    fn rule(text: &str) -> AllowRule {
        text.parse().unwrap()
    }

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in [
            "kind=port_scan",
            "source=192.168.1.10/32",
            "kind=dns_tunnel+source=10.0.0.0/8+destination=fd00::/8+port=53+name=example.com",
        ] {
            assert_eq!(rule(text).to_string(), text);
        }
        assert_eq!(
            rule("name=Example.COM+source=192.0.2.1").to_string(),
            "source=192.0.2.1/32+name=example.com"
        );
        for bad in [
            "",
            "+",
            "kind",
            "kind=",
            "kind=scan",
            "source=300.0.0.1",
            "port=70000",
            "port=",
            "name=",
            "host=1",
            "kind=dga+kind=dga",
            "kind=dga+",
            "name=a+name=b",
        ] {
            assert_eq!(bad.parse::<AllowRule>(), Err(ParseAllowRuleError), "{bad:?}");
        }
    }

    #[test]
    fn a_name_stands_for_its_subdomains() {
        assert!(is_part("example.com", "example.com") && is_part("a.example.com", "example.com"));
        assert!(!is_part("badexample.com", "example.com") && !is_part("example.com", "a.example.com"));
    }

    fn opened(rules: &[&str]) -> (Vec<Test>, u64) {
        let mut sensor = Sensor::new();
        let rules: Vec<AllowRule> = rules.iter().map(|text| rule(text)).collect();
        assert_eq!(sensor.engine.set_allow_rules(&rules), 0);
        each(300, 5, request).for_each(|(millis, frame)| sensor.frame(millis, &frame));
        let opened = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
        (opened.map(|alert| alert.test).collect(), sensor.engine.losses().allowed)
    }

    #[test]
    fn what_is_expected_opens_no_incident_and_is_counted() {
        let (raised, allowed) = opened(&[]);
        assert_eq!((raised.as_slice(), allowed), (&[Test::SynFloodPerSource][..], 0));
        let source = crate::testkit::ATTACKER;
        let other: Ipv4Addr = CLIENT;
        for text in [
            std::format!("source={source}"),
            "kind=syn_flood".into(),
            std::format!("kind=syn_flood+source={source}/24+destination={VICTIM}"),
        ] {
            let (raised, allowed) = opened(&[&text, "kind=dga"]);
            assert_eq!(raised, [], "{text}");
            assert_eq!(allowed, 101, "{text}: the 200th and all behind it");
        }
        for text in [
            std::format!("source={other}"),
            "kind=udp_flood".into(),
            std::format!("kind=syn_flood+destination={other}"),
            "port=1".into(),
            "name=example.com".into(),
        ] {
            assert_eq!(opened(&[&text]).0, [Test::SynFloodPerSource], "{text}");
        }
    }

    #[test]
    fn rules_that_find_no_room_are_counted() {
        let rules = std::vec![rule("kind=dga"); MAX_ALLOW_RULES + 2];
        assert_eq!(Sensor::new().engine.set_allow_rules(&rules), 2);
    }
}
