//! Visibility: percentage of the traffic that the rings see, and the reason why they miss the rest.
//!
//! The bytes seen by the rings are compared with the byte counters of the interfaces. A ring on a bridge should see
//! everything that its ports receive, and everything that the bridge itself sends. A flow table of the firewall forwards
//! packets before a ring can see them; then the score falls, and the report names the flow table.
//!
//! Both counters of an interface differ from ours also if nothing is hidden. Its packets are more, because drivers count
//! before GRO joins them. Its bytes are more, because some count the padding of short frames (IEEE 802.3, clause 4A.2.3.2.4: 60
//! bytes) or the checksum, which rings do not see. So neither difference alone is a loss: what is hidden are bytes that are
//! missing, but at most as many as the packets that are missing can have carried.

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};

use sentinel_alert::json;
use sentinel_capture::interfaces::{self, FlowTable, Interface};

use crate::control::workers::FrameCounts;

/// Traffic below which no score is computed.
const MIN_BYTES: u64 = 64 * 1024;
/// Bytes read of the connection table at most.
const MAX_CONNECTIONS_BYTES: u64 = 4 << 20;
const CONNECTIONS: &str = "/proc/net/nf_conntrack";
const FIREWALL: &str = "/etc/config/firewall";

/// State of the captured interfaces and of the firewall at the start of the sensor, while it had the privileges to read it.
#[derive(Debug)]
pub(crate) struct Visibility {
    names: Vec<String>,
    base: Vec<Carried>,
    /// Listing takes `CAP_NET_ADMIN`.
    flow_tables: Option<Vec<FlowTable>>,
    /// Opening takes root; reading a file that is open does not.
    connections: Option<File>,
}

/// Traffic that a ring on an interface should have seen since the interface was created.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Carried {
    packets: u64,
    bytes: u64,
    /// Bytes of the longest frame.
    max_frame: u64,
}

impl Carried {
    /// Traffic since `base`; all of it, if the interface was created again, which counts from zero.
    fn since(self, base: Self) -> Self {
        let both = self.packets.checked_sub(base.packets).zip(self.bytes.checked_sub(base.bytes));
        both.map_or(self, |(packets, bytes)| Self { packets, bytes, ..self })
    }

    /// Bytes that were not seen, if `packets` with `bytes` were.
    fn hidden_bytes(self, packets: u64, bytes: u64) -> u64 {
        let missing_packets = self.packets.saturating_sub(packets);
        self.bytes.saturating_sub(bytes).min(missing_packets.saturating_mul(self.max_frame))
    }
}

/// Link-layer header with two VLAN tags, and the checksum, in bytes: what a frame may have beside the MTU.
const FRAME_OVERHEAD: u64 = 26;

/// Visibility now.
#[derive(Debug)]
pub(crate) struct Report {
    /// Percentage of the bytes seen on each interface; `None` with too little traffic.
    pub(crate) interfaces: Vec<Option<u64>>,
    /// Percentage of the bytes seen on all interfaces.
    pub(crate) score: Option<u64>,
    /// Bytes that the interfaces carried, and those of them that no ring saw.
    pub(crate) carried: u64,
    pub(crate) hidden: u64,
    /// Flow tables that forward packets of captured interfaces; `None` if the kernel does not list them.
    pub(crate) flow_tables: Option<Vec<FlowTable>>,
    /// Connections that are forwarded past the sensor; `None` if the kernel does not list them.
    pub(crate) offloaded: Option<Offloaded>,
    /// Flow offloading in the settings of the firewall; `None` without such settings.
    pub(crate) configured: Option<&'static str>,
}

/// Number of connections that are forwarded past the sensor, in software and in hardware.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Offloaded {
    pub(crate) software: u64,
    pub(crate) hardware: u64,
}

impl Visibility {
    /// Starts to compare with the counters of now.
    pub(crate) fn new(names: Vec<String>) -> Self {
        let all = interfaces::list().unwrap_or_default();
        let base = names.iter().map(|name| carried(&all, name).unwrap_or_default()).collect();
        let flow_tables = interfaces::flow_tables().ok();
        Self { names, base, flow_tables, connections: File::open(CONNECTIONS).ok() }
    }

    /// Advice before there is traffic to compare, for the log of the start and `config check`.
    pub(crate) fn at_start(&self) -> Option<String> {
        let all = interfaces::list().unwrap_or_default();
        let flow_tables = self.flow_tables.clone().map(|tables| self.of_captured(tables, &all));
        advice(flow_tables.as_deref(), Offloaded::default(), configured_file())
    }

    /// Those that forward packets of captured interfaces or of their ports.
    fn of_captured(&self, mut tables: Vec<FlowTable>, all: &[Interface]) -> Vec<FlowTable> {
        let ports: Vec<&str> =
            all.iter().filter(|found| self.names.contains(&found.name)).flat_map(ports).collect();
        let is_captured = |device: &String| self.names.contains(device) || ports.contains(&device.as_str());
        tables.retain(|table| table.devices.iter().any(is_captured));
        tables
    }

    /// Compares the counters, looks for flow tables that hide traffic, and counts the connections that they hide.
    pub(crate) fn report(&self, frames: &FrameCounts) -> Report {
        let mut report = self.compare(frames);
        // Without a flow table no connection is offloaded, and reading the long connection table is saved.
        report.offloaded = match &report.flow_tables {
            Some(tables) if tables.is_empty() => Some(Offloaded::default()),
            _ => self.connections().map(count),
        };
        report
    }

    /// [`Self::report`] without the connection table, which can be megabytes.
    pub(crate) fn compare(&self, frames: &FrameCounts) -> Report {
        let all = interfaces::list().unwrap_or_default();
        let (mut seen, mut on_wire, mut each) = (0, 0, Vec::new());
        let counts = frames.snapshot.interfaces.iter().zip(frames.refused);
        for ((name, base), (counts, refused)) in self.names.iter().zip(&self.base).zip(counts) {
            let carried = carried(&all, name).map_or_else(Carried::default, |now| now.since(*base));
            // The length of dropped and refused frames is not known: they count with the average of the others.
            let frames = counts.seen() + refused;
            let bytes = u128::from(counts.bytes) * u128::from(frames) / u128::from(counts.taken.max(1));
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let bytes = carried.bytes - carried.hidden_bytes(frames, bytes);
            // Without a frame taken there is no average length: then only an interface without any frame has a
            // percentage.
            each.push(percent(bytes, carried.bytes).filter(|_| counts.taken > 0 || frames == 0));
            seen += bytes;
            on_wire += carried.bytes;
        }
        let configured = configured_file();
        // Those of the start may have gone since: settings of the firewall that switch offloading off prevail.
        let at_start = || self.flow_tables.clone().filter(|_| configured != Some("off"));
        let flow_tables = interfaces::flow_tables().ok().or_else(at_start);
        let flow_tables = flow_tables.map(|tables| self.of_captured(tables, &all));
        let (score, hidden) = (percent(seen, on_wire), on_wire - seen);
        Report { interfaces: each, score, carried: on_wire, hidden, flow_tables, offloaded: None, configured }
    }

    /// Connection table from its beginning.
    fn connections(&self) -> Option<Box<dyn Read + '_>> {
        match &self.connections {
            Some(file) => {
                let mut file: &File = file;
                file.rewind().ok().map(|()| -> Box<dyn Read> { Box::new(file) })
            }
            None => File::open(CONNECTIONS).ok().map(|file| -> Box<dyn Read> { Box::new(file) }),
        }
    }
}

fn ports(interface: &Interface) -> impl Iterator<Item = &str> {
    interface.ports.iter().map(String::as_str)
}

/// Counters of an interface; of a bridge, what its ports receive and what it sends itself.
fn carried(all: &[Interface], name: &str) -> Option<Carried> {
    let found = all.iter().find(|interface| interface.name == name)?;
    let max_frame = |interface: &Interface| u64::from(interface.mtu) + FRAME_OVERHEAD;
    let sent = Carried { packets: found.sent_packets, bytes: found.sent_bytes, max_frame: max_frame(found) };
    let receivers = all.iter().filter(|other| match found.ports.as_slice() {
        [] => other.name == found.name,
        ports => ports.contains(&other.name),
    });
    Some(receivers.fold(sent, |sum, receiver| Carried {
        packets: sum.packets.saturating_add(receiver.received_packets),
        bytes: sum.bytes.saturating_add(receiver.received_bytes),
        max_frame: sum.max_frame.max(max_frame(receiver)),
    }))
}

fn percent(seen: u64, on_wire: u64) -> Option<u64> {
    (on_wire >= MIN_BYTES)
        .then(|| (u128::from(seen) * 100).div_ceil(u128::from(on_wire)).min(100))?
        .try_into()
        .ok()
}

/// Counts the connections that are marked as forwarded by a flow table, in software or hardware.
fn count(connections: impl Read) -> Offloaded {
    let mut found = Offloaded::default();
    for line in BufReader::new(connections.take(MAX_CONNECTIONS_BYTES)).lines().map_while(Result::ok) {
        found.hardware += u64::from(line.contains("[HW_OFFLOAD]"));
        found.software += u64::from(line.contains("[OFFLOAD]"));
    }
    found
}

/// Parses `flow_offloading` and `flow_offloading_hw` of the settings of the firewall.
fn configured(text: &str) -> &'static str {
    let is_on = |name: &str| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            let value = words.nth(1).filter(|word| *word == name).and_then(|_| words.next());
            let value = value.map(|value| value.trim_matches(['\'', '"']));
            line.trim_start().starts_with("option") && value == Some("1")
        })
    };
    match (is_on("flow_offloading"), is_on("flow_offloading_hw")) {
        (true, true) => "hardware",
        (true, false) => "software",
        (false, _) => "off",
    }
}

/// Flow offloading in the settings of the firewall; `None` without such settings.
fn configured_file() -> Option<&'static str> {
    std::fs::read_to_string(FIREWALL).ok().map(|text| configured(&text))
}

/// Switches both kinds off: the hardware's needs the software's.
const OPENWRT_OFF: &str = "uci set firewall.@defaults[0].flow_offloading=0; uci commit; reload_config";

/// Advice for the operator, if something hides traffic: a clause, and behind the first semicolon the commands that help.
fn advice(
    tables: Option<&[FlowTable]>,
    flows: Offloaded,
    configured: Option<&'static str>,
) -> Option<String> {
    let table = tables.and_then(<[FlowTable]>::first);
    let what = match table {
        Some(table) => {
            let kind = if table.hardware { "hardware" } else { "software" };
            format!("{kind} flow table '{}' forwards packets past the sensor", table.name)
        }
        None if flows.software + flows.hardware > 0 => {
            format!("{} connections are forwarded past the sensor", flows.software + flows.hardware)
        }
        None => match configured {
            Some(kind @ ("software" | "hardware")) if tables.is_none() => {
                format!("{kind} flow offloading is configured")
            }
            _ => return None,
        },
    };
    Some(match (configured, table) {
        // Made by other rules than the firewall's.
        (None, Some(FlowTable { name, family, .. })) => {
            format!("{what}; delete its rules, then: nft delete flowtable {family} {name}")
        }
        (Some("off"), _) => format!("{what}; service firewall restart"),
        _ => format!("{what}; {OPENWRT_OFF}"),
    })
}

impl Report {
    /// Place, from 1 on, and percentage of the interface of which the smallest part is seen; zeros without one.
    pub(crate) fn worst(&self) -> (u64, u64) {
        let known = (1..).zip(&self.interfaces).filter_map(|(place, percent)| Some((place, (*percent)?)));
        known.min_by_key(|(_, percent)| *percent).unwrap_or_default()
    }

    /// Flow offloading as the uplink numbers it: 0 none known, 1 software, 2 hardware.
    pub(crate) fn flow_offload(&self) -> u64 {
        match &self.flow_tables {
            Some(tables) => tables.iter().map(|table| 1 + u64::from(table.hardware)).max().unwrap_or(0),
            None => match self.configured {
                Some("hardware") => 2,
                Some("software") => 1,
                _ => 0,
            },
        }
    }

    /// Advice for the operator, if something hides traffic.
    pub(crate) fn advice(&self) -> Option<String> {
        advice(self.flow_tables.as_deref(), self.offloaded.unwrap_or_default(), self.configured)
    }

    /// Writes one JSON object.
    pub(crate) fn write(&self, names: &[String], out: &mut String) -> std::fmt::Result {
        let number = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
        write!(out, "{{\"score_percent\":{},\"interfaces\":[", number(self.score))?;
        for (index, (name, percent)) in names.iter().zip(&self.interfaces).enumerate() {
            out.push_str(if index == 0 { "{\"name\":" } else { ",{\"name\":" });
            json::string(name, out)?;
            write!(out, ",\"percent\":{}}}", number(*percent))?;
        }
        out.push_str("],\"flow_tables\":");
        match &self.flow_tables {
            None => out.push_str("null"),
            Some(tables) => {
                out.push('[');
                for (index, table) in tables.iter().enumerate() {
                    out.push_str(if index == 0 { "{\"name\":" } else { ",{\"name\":" });
                    json::string(&table.name, out)?;
                    write!(out, ",\"hardware\":{},\"devices\":", table.hardware)?;
                    json::string(&table.devices.join(" "), out)?;
                    out.push('}');
                }
                out.push(']');
            }
        }
        let offloaded = |pick: fn(Offloaded) -> u64| number(self.offloaded.map(pick));
        write!(out, ",\"offloaded_software\":{}", offloaded(|flows| flows.software))?;
        write!(out, ",\"offloaded_hardware\":{}", offloaded(|flows| flows.hardware))?;
        write!(out, ",\"flow_offloading\":\"{}\",\"advice\":", self.configured.unwrap_or("unknown"))?;
        match self.advice() {
            Some(advice) => json::string(&advice, out)?,
            None => out.push_str("null"),
        }
        out.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_connections_are_counted() {
        let text = b"ipv4 2 tcp 6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [OFFLOAD] mark=0 use=3\n\
            ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 [ASSURED] mark=0\n\
            ipv4 2 tcp 6 src=10.0.0.1 [HW_OFFLOAD] mark=0\nipv4 2 tcp 6 [OFFLOAD]";
        assert_eq!(count(text.as_slice()), Offloaded { software: 2, hardware: 1 });
    }

    #[test]
    fn the_firewalls_settings_are_understood() {
        let lines = |software: &str, hardware: &str| {
            format!("config defaults\n\toption input 'ACCEPT'\n\t{software}\n\t{hardware}\n")
        };
        assert_eq!(
            configured(&lines("option flow_offloading '1'", "option flow_offloading_hw \"1\"")),
            "hardware"
        );
        assert_eq!(
            configured(&lines("option flow_offloading 1", "# option flow_offloading_hw 1")),
            "software"
        );
        assert_eq!(configured(&lines("#option flow_offloading '1'", "option flow_offloading_hw '1'")), "off");
    }

    #[test]
    fn the_score_is_never_above_all_and_absent_with_little_traffic() {
        assert_eq!(percent(99_000, 100_000), Some(99));
        assert_eq!(percent(200_000, 100_000), Some(100));
        assert_eq!(percent(0, 100_000), Some(0));
        assert_eq!(percent(1_000, 1_000), None);
    }

    #[test]
    fn a_bridge_should_see_what_comes_in_at_its_ports() {
        let interface = |name: &str, ports: &[&str], received_bytes, sent_bytes| Interface {
            name: name.into(),
            ports: ports.iter().map(|port| (*port).into()).collect(),
            mtu: 1_500,
            received_bytes,
            sent_bytes,
            received_packets: received_bytes / 10,
            sent_packets: sent_bytes / 10,
            ..Interface::default()
        };
        let all = [
            interface("br", &["a", "b"], 70, 50),
            interface("a", &[], 100, 900),
            interface("b", &[], 1_000, 9_000),
        ];
        let expected = |packets, bytes| Some(Carried { packets, bytes, max_frame: 1_526 });
        assert_eq!(carried(&all, "br"), expected(115, 1_150));
        assert_eq!(carried(&all, "a"), expected(100, 1_000));
        assert_eq!(carried(&all, "c"), None);
    }

    /// 6,000 SYNs that the sender padded to 60 bytes, of which the ring sees 54, gave 90 % though none was missing.
    #[test]
    fn padding_and_joined_packets_hide_nothing() {
        let percent_of = |carried: Carried, packets, bytes| {
            percent(carried.bytes - carried.hidden_bytes(packets, bytes), carried.bytes).unwrap()
        };
        let carried = |packets, bytes| Carried { packets, bytes, max_frame: 1_526 };
        // Padding: all packets are there.
        assert_eq!(percent_of(carried(6_000, 360_000), 6_000, 324_000), 100);
        // GRO: all bytes are there, in fewer packets.
        assert_eq!(percent_of(carried(40_000, 60_000_000), 1_000, 60_000_000), 100);
        // Both: no more than the padding may be missing.
        assert_eq!(percent_of(carried(46_000, 60_360_000), 7_000, 60_324_000), 100);
        // Bulk that a flow table hides behind as many small packets: its bytes are missing, and its packets.
        assert_eq!(percent_of(carried(1_100, 210_000), 1_000, 60_000), 29);
        // Small packets that are hidden.
        assert_eq!(percent_of(carried(10_000, 600_000), 7_000, 420_000), 70);
        assert_eq!(percent_of(carried(10_000, 600_000), 0, 0), 0);
    }

    #[test]
    fn an_interface_that_was_created_again_counts_from_zero() {
        let carried = |packets, bytes| Carried { packets, bytes, max_frame: 1_526 };
        assert_eq!(carried(10, 1_000).since(carried(4, 300)), carried(6, 700));
        assert_eq!(carried(10, 1_000).since(carried(11, 300)), carried(10, 1_000));
    }

    #[test]
    fn advice_names_what_hides_the_traffic() {
        let mut report = Report {
            interfaces: vec![None, Some(98), Some(40)],
            score: Some(40),
            carried: 1_000,
            hidden: 600,
            flow_tables: Some(Vec::new()),
            offloaded: Some(Offloaded::default()),
            configured: Some("off"),
        };
        assert_eq!(report.advice(), None);
        assert_eq!((report.worst(), report.flow_offload()), ((3, 40), 0));
        let devices = vec!["a".into()];
        report.flow_tables =
            Some(vec![FlowTable { name: "fw4 ft".into(), family: "inet", devices, hardware: true }]);
        let what = "hardware flow table 'fw4 ft' forwards packets past the sensor";
        // Switched off in the settings, but not in the firewall yet.
        assert_eq!(report.advice().unwrap(), format!("{what}; service firewall restart"));
        report.configured = Some("hardware");
        assert_eq!(report.advice().unwrap(), format!("{what}; {OPENWRT_OFF}"));
        report.configured = None;
        let other = format!("{what}; delete its rules, then: nft delete flowtable inet fw4 ft");
        assert_eq!(report.advice().unwrap(), other);
        let mut text = String::new();
        assert_eq!(report.flow_offload(), 2);
        report.write(&["br".into()], &mut text).unwrap();
        assert!(
            text.contains("\"score_percent\":40,") && crate::settings::json::parse(&text).is_ok(),
            "{text}"
        );
        (report.flow_tables, report.offloaded) = (None, None);
        report.configured = Some("software");
        assert!(report.advice().unwrap().contains("configured"));
        report.interfaces.clear();
        assert_eq!((report.worst(), report.flow_offload()), ((0, 0), 1));
    }
}
