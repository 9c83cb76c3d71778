//! Captured interfaces between which this machine routes without changing addresses: a packet that it forwards is seen on both,
//! and would count twice.
//!
//! Known for certain is only what does not pass both with the same source: IPv4 behind a rule that translates the source of all
//! that leaves by one of them. So a pair is refused unless such a rule is found for IPv4, and IPv6, which is not translated, has
//! no way between them. Destination translation keeps the source, but changes what is counted with it.

use std::fmt;

use sentinel_capture::interfaces::{self, Interface, SourceNat};
use sentinel_units::Address;

use crate::worker::overlap;

/// Two captured interfaces that see the same routed packets.
#[derive(Clone, Debug, Eq, PartialEq)]
struct RoutedPair {
    first: String,
    second: String,
    family: &'static str,
    /// The one of the two that hosts are behind, if the other has the default route.
    inner: Option<String>,
    /// The rules of the firewall could not be read.
    is_uncertain: bool,
}

impl fmt::Display for RoutedPair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, family, inner, is_uncertain } = self;
        write!(out, "this machine routes {family} between '{first}' and '{second}'")?;
        out.write_str(match (*family, *is_uncertain) {
            (IPV4, false) => ", and no firewall rule translates all of it (masquerade, snat)",
            (IPV4, true) => ", and the firewall's rules cannot be read without CAP_NET_ADMIN",
            _ => ", which is not translated",
        })?;
        out.write_str("; choose ")?;
        match inner {
            Some(inner) => write!(out, "'{inner}', which shows hosts by their own addresses")?,
            None => out.write_str("one of them")?,
        }
        out.write_str(": packets that both see would count twice (the setting allow_overlap allows that)")
    }
}

const IPV4: &str = "IPv4";

/// Routing of this machine.
#[derive(Debug, Default)]
struct Routing {
    forwards_v4: bool,
    forwards_v6: bool,
    /// Interfaces with a default route of IPv4.
    default_routes: Vec<String>,
    /// Rules that translate; `None` if they could not be read.
    source_nat: Option<Vec<SourceNat>>,
}

impl Routing {
    /// Reads the state of the kernel; the rules of the firewall need `CAP_NET_ADMIN`.
    fn read() -> Self {
        Self { source_nat: source_nat(), ..Self::read_translated() }
    }

    /// Reads what needs no privilege, and takes IPv4 as translated where it leaves by a default route.
    fn read_translated() -> Self {
        let is_on = |path: &str| read_text(path).trim() == "1";
        Self {
            forwards_v4: is_on("/proc/sys/net/ipv4/ip_forward"),
            forwards_v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
            default_routes: default_routes(&read_text("/proc/net/route")),
            source_nat: Some(vec![SourceNat { device: None }]),
        }
    }

    fn routes(&self, first: &Interface, second: &Interface) -> Option<&'static str> {
        if self.forwards_v4 && has_v4(first) && has_v4(second) && !self.translates(first, second) {
            return Some(IPV4);
        }
        (self.forwards_v6 && is_v6_path(first, second)).then_some("IPv6")
    }

    /// Returns true if a rule translates what passes from one of the two to the other. A rule that names no interface may be in a
    /// chain that is only for some (OpenWrt has one for each zone): then one of the two must have a default route.
    fn translates(&self, first: &Interface, second: &Interface) -> bool {
        let is_either = |name: &String| *name == first.name || *name == second.name;
        self.source_nat.iter().flatten().any(|rule| match &rule.device {
            Some(device) => is_either(device),
            None => self.default_routes.iter().any(is_either),
        })
    }
}

/// Rules that translate; `None` if they cannot be read.
fn source_nat() -> Option<Vec<SourceNat>> {
    let rules = interfaces::source_nat();
    let is_denied = matches!(&rules, Err(error) if error.is_denied());
    // Without nf_tables there are no rules of it.
    let mut rules = rules.unwrap_or_default();
    // The rules of the older iptables have no dump; where its table for them is in use, they are taken to be there.
    if read_text("/proc/net/ip_tables_names").lines().any(|table| table == "nat") {
        rules.push(SourceNat { device: None });
    }
    (!is_denied || !rules.is_empty()).then_some(rules)
}

fn read_text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Checks that no two of `captured` see the same frames or routed packets, as far as they exist. The rules of the firewall are
/// read only by a process with the privilege to; otherwise IPv4 counts as translated where it leaves by a default route.
///
/// # Errors
/// Frames that the first two share, with advice.
pub(crate) fn check(
    captured: &[String],
    existing: &[Interface],
    is_allowed: bool,
    is_privileged: bool,
) -> Result<(), String> {
    if is_allowed || captured.len() < 2 {
        return Ok(());
    }
    overlap::check(captured, existing, false).map_err(|overlap| overlap.to_string())?;
    let routing = if is_privileged { Routing::read() } else { Routing::read_translated() };
    routed_pair(captured, existing, &routing).map_or(Ok(()), |pair| Err(pair.to_string()))
}

/// One of `captured` whose frames or routed packets another one of them shows as well, and the reason; `None` once there is none.
/// Of a bridge and its port it is the port, of an interface with the default route and one without it is the former.
pub(crate) fn redundant(captured: &[String], existing: &[Interface]) -> Option<(String, String)> {
    if let Err(overlap) = overlap::check(captured, existing, false) {
        return Some((overlap.redundant().to_owned(), overlap.to_string()));
    }
    let pair = routed_pair(captured, existing, &Routing::read())?;
    let is_inner = pair.inner.as_ref() == Some(&pair.second);
    Some((if is_inner { pair.first.clone() } else { pair.second.clone() }, pair.to_string()))
}

/// The first two of `captured` between which this machine routes without translation.
fn routed_pair(captured: &[String], existing: &[Interface], routing: &Routing) -> Option<RoutedPair> {
    let mut before: Vec<&Interface> = Vec::new();
    for second in existing.iter().filter(|found| captured.contains(&found.name) && found.kind != "loopback") {
        for first in &before {
            if let Some(family) = routing.routes(first, second) {
                let is_outer = |one: &Interface| routing.default_routes.contains(&one.name);
                let inner = match (is_outer(first), is_outer(second)) {
                    (false, true) => Some(first.name.clone()),
                    (true, false) => Some(second.name.clone()),
                    _ => None,
                };
                return Some(RoutedPair {
                    first: first.name.clone(),
                    second: second.name.clone(),
                    family,
                    inner,
                    is_uncertain: routing.source_nat.is_none(),
                });
            }
        }
        before.push(second);
    }
    None
}

/// Interfaces with a default route (`/proc/net/route`).
fn default_routes(table: &str) -> Vec<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        // Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask.
        let (name, destination, mask) = (fields.next()?, fields.next()?, fields.nth(5)?);
        (destination == "00000000" && mask == "00000000").then(|| name.to_owned())
    });
    routes.collect()
}

fn has_v4(interface: &Interface) -> bool {
    interface.addresses.iter().any(|own| own.address.is_v4())
}

/// Returns true if IPv6 of other machines may pass between two interfaces: both have it, and one of them has global addresses
/// (a router whose provider delegates a prefix may have only a link-local one outside), or both have unique local ones.
fn is_v6_path(first: &Interface, second: &Interface) -> bool {
    let (first, second) = (v6_scope(first), v6_scope(second));
    first.min(second) > Scope::None && first.max(second) == Scope::Global
        || first.min(second) == Scope::UniqueLocal
}

/// Widest scope of the IPv6 addresses of an interface.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Scope {
    None,
    LinkLocal,
    /// `fc00::/7`, RFC 4193.
    UniqueLocal,
    Global,
}

fn v6_scope(interface: &Interface) -> Scope {
    let scope = |address: Address| match address.words()[0] >> 24 {
        _ if address.is_v4() => Scope::None,
        0xfe => Scope::LinkLocal,
        0xfc | 0xfd => Scope::UniqueLocal,
        _ => Scope::Global,
    };
    interface.addresses.iter().map(|own| scope(own.address)).max().unwrap_or(Scope::None)
}

#[cfg(test)]
mod tests {
    use sentinel_capture::interfaces::InterfaceAddress;

    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        let own = |text: &&str| InterfaceAddress {
            address: Address::from(text.parse::<std::net::IpAddr>().unwrap()),
            prefix_length: 24,
        };
        Interface {
            name: name.into(),
            addresses: addresses.iter().map(own).collect(),
            ..Interface::default()
        }
    }

    /// A router with a guest network and a monitored port; `v6` are the addresses of its LAN and WAN.
    fn machine(v6: [&[&str]; 2]) -> Vec<Interface> {
        let [lan, wan] = v6;
        vec![
            interface("br-lan", &[&["192.168.1.1"], lan].concat()),
            interface("guest", &["192.168.2.1"]),
            interface("wan", &[&["203.0.113.7"], wan].concat()),
            interface("monitor", &[]),
            Interface { kind: "loopback".into(), ..interface("lo", &["127.0.0.1", "::1"]) },
        ]
    }

    fn routing(rules: &[Option<&str>]) -> Routing {
        let rule = |device: &Option<&str>| SourceNat { device: device.map(Into::into) };
        Routing {
            forwards_v4: true,
            forwards_v6: true,
            default_routes: vec!["wan".into()],
            source_nat: Some(rules.iter().map(rule).collect()),
        }
    }

    fn checked(names: &[&str], all: &[Interface], routing: &Routing) -> Result<(), String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        routed_pair(&names, all, routing).map_or(Ok(()), |pair| Err(pair.to_string()))
    }

    #[test]
    fn lan_and_wan_need_a_rule_that_translates() {
        let all = machine([&[], &[]]);
        let pair = ["wan", "br-lan"];
        let text = checked(&pair, &all, &routing(&[])).unwrap_err();
        assert!(
            text.starts_with("this machine routes IPv4 between 'br-lan' and 'wan', and no firewall rule"),
            "{text}"
        );
        assert!(text.contains("choose 'br-lan', which shows") && text.contains("allow_overlap"), "{text}");
        assert_eq!(checked(&pair, &all, &routing(&[None])), Ok(()));
        assert_eq!(checked(&pair, &all, &routing(&[Some("wan")])), Ok(()));
        assert!(checked(&pair, &all, &routing(&[Some("vpn")])).is_err());
        let unknown = Routing { source_nat: None, ..routing(&[]) };
        assert!(checked(&pair, &all, &unknown).unwrap_err().contains("CAP_NET_ADMIN"));
        let no_router = Routing { forwards_v4: false, ..routing(&[]) };
        assert_eq!(checked(&pair, &all, &no_router), Ok(()));
        for other in [&["wan"][..], &["monitor", "br-lan"], &["lo", "br-lan"], &["absent", "wan"]] {
            assert_eq!(checked(other, &all, &routing(&[])), Ok(()), "{other:?}");
        }
    }

    #[test]
    fn two_inner_networks_are_not_translated() {
        let text = checked(&["guest", "br-lan"], &machine([&[], &[]]), &routing(&[None])).unwrap_err();
        assert!(text.contains("'br-lan' and 'guest'") && text.contains("; choose one of them"), "{text}");
    }

    #[test]
    fn ipv6_that_passes_both_is_not_translated() {
        for (lan, wan, passes) in [
            (&["fe80::1", "2001:db8::1"][..], &["fe80::2", "2001:db8:1::2"][..], true),
            (&["fe80::1", "2001:db8::1"], &["fe80::2"], true), // a delegated prefix
            (&["fe80::1", "fd00::1"], &["fe80::2", "fd01::1"], true),
            (&["fe80::1", "fd00::1"], &["fe80::2"], false), // OpenWrt without IPv6 of the provider
            (&["fe80::1", "2001:db8::1"], &[], false),
        ] {
            let all = machine([lan, wan]);
            let result = checked(&["br-lan", "wan"], &all, &routing(&[None]));
            assert_eq!(result.is_err(), passes, "{lan:?} {wan:?}: {result:?}");
            if let Err(text) = result {
                assert!(text.contains("routes IPv6 between") && text.contains("not translated"), "{text}");
            }
            let off = Routing { forwards_v6: false, ..routing(&[None]) };
            assert_eq!(checked(&["br-lan", "wan"], &all, &off), Ok(()));
        }
    }

    #[test]
    fn default_routes_are_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     wan\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     br-lan\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     vpn\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n";
        assert_eq!(default_routes(table), ["wan"]);
    }
}
