//! Interfaces of `sentinel capture`: those of the command line, or the one of the default route.

use sentinel_capture::interfaces::Interface;

use crate::limits::MAX_INTERFACES;
use crate::terminal::failure::Failure;
use crate::worker::overlap;

/// Interfaces of the command line, each once. Those that exist are up.
pub(super) fn chosen(requested: &[String], existing: &[Interface]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for name in requested {
        if is_any(name, existing) {
            return all_interfaces(existing);
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        names.push(default_interface(existing)?);
    }
    if names.len() > MAX_INTERFACES {
        return Err(Failure::usage(format!("{} interfaces; at most {MAX_INTERFACES}", names.len())));
    }
    for interface in existing.iter().filter(|interface| names.contains(&interface.name)) {
        if !interface.is_up {
            let name = &interface.name;
            return Err(Failure::new(format!(
                "interface '{name}' is down; bring it up with: ip link set {name} up"
            )));
        }
    }
    Ok(names)
}

/// Returns true for `any`, tcpdump's name for all interfaces, unless an interface has that name.
pub(super) fn is_any(name: &str, existing: &[Interface]) -> bool {
    name == "any" && !existing.iter().any(|interface| interface.name == "any")
}

/// All interfaces that are up, but for those whose frames another one of them sees as well: ports of a bridge, VLANs.
fn all_interfaces(existing: &[Interface]) -> Result<Vec<String>, Failure> {
    let up = existing.iter().filter(|interface| interface.is_up && interface.link.is_some());
    let mut names: Vec<String> = up.map(|interface| interface.name.clone()).collect();
    // Ends: each step removes a name.
    while let Err(overlap) = overlap::check(&names, existing, false) {
        names.retain(|name| name != overlap.redundant());
    }
    if names.len() > MAX_INTERFACES {
        let names = names.join(", ");
        return Err(Failure::usage(format!(
            "-i any: at most {MAX_INTERFACES} interfaces; choose from {names}"
        )));
    }
    Ok(names)
}

/// Interface of the default route, or the only one besides the loopback.
fn default_interface(existing: &[Interface]) -> Result<String, Failure> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let routes6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let routed = default_route(&routes).or_else(|| default_route6(&routes6));
    if let Some(name) = routed.filter(|name| existing.iter().any(|interface| interface.name == **name)) {
        return Ok(name.to_owned());
    }
    let candidates: Vec<&str> = existing
        .iter()
        .filter(|interface| interface.is_up && interface.kind != "loopback" && interface.link.is_some())
        .map(|interface| interface.name.as_str())
        .collect();
    match *candidates.as_slice() {
        [only] => Ok(only.to_owned()),
        [] => Err(Failure::usage("only the loopback is up; use -i NAME".into())),
        _ => Err(Failure::usage(format!(
            "there is no default route to choose the interface by; use -i with one of {}",
            candidates.join(", ")
        ))),
    }
}

/// Interface of the IPv4 default route with the lowest metric (`/proc/net/route`).
fn default_route(table: &str) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        // Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask.
        let (name, destination) = (fields.next()?, fields.next()?);
        let (metric, mask) = (fields.nth(4)?.parse::<u32>().ok()?, fields.next()?);
        (destination == "00000000" && mask == "00000000").then_some((metric, name))
    });
    routes.min().map(|(_, name)| name)
}

/// Interface of the IPv6 default route with the lowest metric (`/proc/net/ipv6_route`), but for that of the loopback, which
/// rejects.
fn default_route6(table: &str) -> Option<&str> {
    let routes = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        // Columns: destination and length, source and length, next hop, metric, reference count, use, flags, device.
        let (destination, length) = (fields.next()?, fields.next()?);
        let metric = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let name = fields.nth(3)?;
        let is_default = length == "00" && destination.bytes().all(|digit| digit == b'0') && name != "lo";
        is_default.then_some((metric, name))
    });
    routes.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use sentinel_units::LinkType;

    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_counts() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth1\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     wan\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     br-lan\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_route(table), Some("wan"));
        assert_eq!(default_route("Iface\tDestination\n"), None);
    }

    #[test]
    fn a_default_route_of_the_loopback_is_skipped() {
        let zero = "0".repeat(32);
        let table = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 fe80{} 00000400 00000001 00000000 00000003    wan6\n",
            "0".repeat(28)
        );
        assert_eq!(default_route6(&table), Some("wan6"));
    }

    #[test]
    fn an_interface_is_taken_once_and_must_be_up() {
        let interface = |name: &str, is_up| Interface {
            name: name.into(),
            is_up,
            is_running: is_up,
            link: Some(LinkType::ETHERNET),
            ..Interface::default()
        };
        let existing = [interface("left", true), interface("right", false)];
        let requested = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        assert_eq!(chosen(&requested(&["left", "left"]), &existing).unwrap(), ["left"]);
        let error = chosen(&requested(&["left", "right"]), &existing).unwrap_err().to_string();
        assert_eq!(error, "interface 'right' is down; bring it up with: ip link set right up");
    }

    /// `-i any` was refused, because frames of a bridge and of its ports would come twice.
    #[test]
    fn any_is_each_frame_once() {
        let interface = |index, name: &str, change: &dyn Fn(&mut Interface)| {
            let mut interface = Interface {
                name: name.into(),
                index,
                is_up: true,
                link: Some(LinkType::ETHERNET),
                ..Interface::default()
            };
            change(&mut interface);
            interface
        };
        let port = |port: &mut Interface| {
            (port.bridge, port.master) = (Some("br-lan".into()), Some("br-lan".into()));
        };
        let mut existing = vec![
            interface(1, "lo", &|_| {}),
            interface(2, "lan1", &port),
            interface(3, "lan2", &port),
            interface(4, "br-lan", &|_| {}),
            interface(5, "wan.7", &|vlan| vlan.parent = Some("wan".into())),
            interface(6, "wan", &|_| {}),
            interface(7, "down", &|down| down.is_up = false),
            interface(8, "sit0", &|tunnel| tunnel.link = None),
        ];
        let any = ["any".to_owned()];
        assert_eq!(chosen(&any, &existing).unwrap(), ["lo", "br-lan", "wan"]);
        // Without the bridge, one of its ports.
        existing[3].is_up = false;
        assert_eq!(chosen(&any, &existing).unwrap(), ["lo", "lan2", "wan"]);
        existing.extend((9..20).map(|index| interface(index, &format!("eth{index}"), &|_| {})));
        assert!(chosen(&any, &existing).unwrap_err().to_string().contains("-i any: at most"));
        existing.push(interface(30, "any", &|_| {}));
        assert_eq!(chosen(&any, &existing).unwrap(), ["any"]);
    }
}
