//! Captured interfaces that see the same frames: each such frame would be counted twice, and thresholds be reached at half of
//! what they say.
//!
//! A frame cannot be recognised as one that was seen before: the same bytes may be sent twice, and a scan or a flood is just
//! that. So such interfaces are refused, unless the setting `allow_overlap` says otherwise. Packets that are routed from one
//! captured interface to another are the subject of [`super::routes`].

use std::fmt;

use sentinel_capture::interfaces::Interface;

/// Two captured interfaces that see the same frames.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Overlap {
    first: String,
    second: String,
    relation: Relation,
}

/// Relation of two interfaces; the names are those of [`Overlap`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Relation {
    /// The first is a port of the second.
    PortAndMaster,
    /// Both are ports of this bridge, and a frame from one to the other passes both.
    PortsOfOneBridge,
    /// The first lies on the second: the same frames, with a tag, in a session of `PPPoE`, or to another hardware address.
    StackedOn,
}

impl Overlap {
    /// The one of the two whose frames the other sees as well.
    pub(crate) fn redundant(&self) -> &str {
        &self.first
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, relation } = self;
        match relation {
            Relation::PortAndMaster => {
                write!(
                    out,
                    "'{first}' is a port of '{second}'; choose '{second}', which sees the frames of all its ports, or '{first}' alone"
                )?;
            }
            Relation::PortsOfOneBridge => {
                write!(
                    out,
                    "'{first}' and '{second}' are ports of one bridge; choose the bridge, which sees the frames of all its ports, or one port alone"
                )?;
            }
            Relation::StackedOn => {
                write!(out, "the frames of '{first}' pass '{second}' as well; choose one of them")?;
            }
        }
        out.write_str(": frames that both see would count twice (the setting allow_overlap allows that)")
    }
}

/// Checks that no two of `captured` see the same frames, as far as they exist.
///
/// # Errors
/// The first two that do.
pub(crate) fn check(captured: &[String], existing: &[Interface], is_allowed: bool) -> Result<(), Overlap> {
    if is_allowed {
        return Ok(());
    }
    find(captured, existing).map_or(Ok(()), Err)
}

fn find(captured: &[String], existing: &[Interface]) -> Option<Overlap> {
    let captured: Vec<&Interface> = existing.iter().filter(|found| captured.contains(&found.name)).collect();
    let pairs = captured.iter().flat_map(|first| captured.iter().map(move |second| (*first, *second)));
    // Each pair in both orders, because the relations have a direction.
    pairs.filter(|(first, second)| first.index != second.index).find_map(|(first, second)| {
        let relation = relation(first, second, existing)?;
        Some(Overlap { first: first.name.clone(), second: second.name.clone(), relation })
    })
}

fn relation(first: &Interface, second: &Interface, existing: &[Interface]) -> Option<Relation> {
    if first.master.as_ref() == Some(&second.name) {
        return Some(Relation::PortAndMaster);
    }
    // In the other order it is that relation.
    if second.master.as_ref() == Some(&first.name) {
        return None;
    }
    if carries(second, first, existing) {
        return Some(Relation::StackedOn);
    }
    let is_same_bridge = first.bridge.is_some() && first.bridge == second.bridge;
    is_same_bridge.then_some(Relation::PortsOfOneBridge)
}

/// Returns true if frames of `lower` reach `upper`, by ports to their bridge or bond and from there to the interfaces on it.
fn carries(lower: &Interface, upper: &Interface, existing: &[Interface]) -> bool {
    // Grows while it is walked; each interface at most once, so a circle ends too.
    let mut reached = vec![lower];
    let mut next = 0;
    while let Some(at) = reached.get(next).copied() {
        next += 1;
        let is_above = |found: &&Interface| {
            at.master.as_ref() == Some(&found.name) || found.parent.as_ref() == Some(&at.name)
        };
        for found in existing.iter().filter(is_above) {
            if found.index == upper.index {
                return true;
            }
            if !reached.iter().any(|known| known.index == found.index) {
                reached.push(found);
            }
        }
    }
    false
}

/// Sets the interface below PPP interfaces to the device of the `PPPoE` sessions, as far as the kernel names it.
pub(crate) fn find_pppoe(existing: &mut [Interface]) {
    if existing.iter().any(is_ppp) {
        let sessions = std::fs::read_to_string("/proc/net/pppoe").unwrap_or_default();
        let device = pppoe_device(&sessions);
        for ppp in existing.iter_mut().filter(|interface| is_ppp(interface)) {
            ppp.parent = device.map(str::to_owned);
        }
    }
}

fn is_ppp(interface: &Interface) -> bool {
    interface.kind == "ppp"
}

/// Device of the `PPPoE` sessions in `/proc/net/pppoe` (`00000102 02:00:00:00:00:01 eth1`); `None` if there are several, because
/// which PPP interface is whose is not listed.
fn pppoe_device(sessions: &str) -> Option<&str> {
    let mut devices = sessions.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2));
    let first = devices.next()?;
    devices.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, change: impl FnOnce(&mut Interface)) -> Interface {
        let mut interface = Interface { name: name.into(), index, ..Interface::default() };
        change(&mut interface);
        interface
    }

    /// A bridge with two ports, a VLAN on a bond of one card, and a WAN.
    fn machine() -> Vec<Interface> {
        let port = |bridge: &'static str| {
            move |port: &mut Interface| {
                (port.bridge, port.master) = (Some(bridge.into()), Some(bridge.into()));
            }
        };
        vec![
            interface(1, "br-lan", |_| {}),
            interface(2, "lan1", port("br-lan")),
            interface(3, "lan2", port("br-lan")),
            interface(4, "bond0", |_| {}),
            interface(5, "eth5", |card| card.master = Some("bond0".into())),
            interface(6, "bond0.7", |vlan| vlan.parent = Some("bond0".into())),
            interface(7, "wan", |_| {}),
        ]
    }

    /// A bridge and its port gave three false alarms at half the thresholds, two of them `high`.
    #[test]
    fn interfaces_that_see_the_same_frames_are_refused_with_advice() {
        let checked = |names: &[&str], is_allowed| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            check(&names, &machine(), is_allowed).map_err(|overlap| overlap.to_string())
        };
        for (names, expected) in [
            (
                &["br-lan", "lan2"][..],
                "'lan2' is a port of 'br-lan'; choose 'br-lan', which sees the frames of all its ports",
            ),
            (&["lan2", "wan", "br-lan"], "'lan2' is a port of 'br-lan'"),
            (&["lan1", "lan2"], "'lan1' and 'lan2' are ports of one bridge; choose the bridge"),
            (&["bond0", "eth5"], "'eth5' is a port of 'bond0'; choose 'bond0'"),
            (&["bond0", "bond0.7"], "the frames of 'bond0.7' pass 'bond0' as well; choose one of them"),
            (&["eth5", "bond0.7"], "the frames of 'bond0.7' pass 'eth5' as well"),
        ] {
            let text = checked(names, false).unwrap_err();
            assert!(text.starts_with(expected) && text.contains("allow_overlap"), "{names:?}: {text}");
            assert_eq!(checked(names, true), Ok(()));
        }
        for names in
            [&["br-lan"][..], &["lan1"], &["br-lan", "wan"], &["bond0.7", "wan"], &["absent", "br-lan"], &[]]
        {
            assert_eq!(checked(names, false), Ok(()), "{names:?}");
        }
    }

    #[test]
    fn a_stack_that_is_a_circle_ends() {
        let mut machine = machine();
        (machine[6].parent, machine[3].parent) = (Some("bond0".into()), Some("wan".into()));
        assert_eq!(check(&["wan".into(), "br-lan".into()], &machine, false), Ok(()));
        assert!(check(&["wan".into(), "bond0".into()], &machine, false).is_err());
    }

    #[test]
    fn the_device_of_pppoe_sessions_is_read() {
        let header = "Id       Address              Device\n";
        let (eth1, eth2) = ("00000102 02:00:00:00:00:01     eth1\n", "00000200 02:00:00:00:00:02   eth2.7\n");
        for (sessions, device) in [
            (vec![], None),
            (vec![header], None),
            (vec![header, eth1], Some("eth1")),
            (vec![header, eth2, eth2], Some("eth2.7")),
            (vec![header, eth1, eth2], None),
        ] {
            assert_eq!(pppoe_device(&sessions.concat()), device);
        }
    }
}
