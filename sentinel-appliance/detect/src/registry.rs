//! Every detector and its thresholds, declared once.
//!
//! The settings parser, `sentinel config show`, the reference page and the engine all read this table:
//! a detector that is not here does not exist.

use sentinel_alert::{Kind, Severity};

/// Thresholds a detector may have at most.
pub const MAX_NUMBERS: usize = 4;
/// Ports a list setting may hold at most.
pub const MAX_PORTS: usize = 32;

/// What there is to know about one detector.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// The kind of its alerts; its name is also the name of its settings section.
    pub kind: Kind,
    /// What it fires on, in one sentence.
    pub about: &'static str,
    /// Where the defaults come from.
    pub source: &'static str,
    /// Severity of its alerts unless configured.
    pub severity: Severity,
    /// Its numeric thresholds; [`DetectorConfig::numbers`] has the values in the same order.
    pub numbers: &'static [Number],
    /// Its list of ports, if it has one.
    pub ports: Option<Ports>,
}

/// A numeric threshold.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Name of the setting.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Value unless configured.
    pub default: u32,
    /// Smallest value allowed.
    pub min: u32,
    /// Largest value allowed.
    pub max: u32,
    /// What it does, in one sentence.
    pub help: &'static str,
}

/// A list of ports, at most [`MAX_PORTS`].
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Name of the setting.
    pub name: &'static str,
    /// Ports unless configured.
    pub default: &'static [u16],
    /// What it does, in one sentence.
    pub help: &'static str,
}

/// The configured values of one detector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DetectorConfig {
    /// Whether it runs at all.
    pub enabled: bool,
    /// Severity of its alerts.
    pub severity: Severity,
    /// Values of [`Detector::numbers`], in that order; the rest is zero.
    pub numbers: [u32; MAX_NUMBERS],
    /// Value of [`Detector::ports`]; empty without one.
    pub ports: heapless::Vec<u16, MAX_PORTS>,
}

impl Detector {
    /// The configuration of a sensor nobody has configured.
    #[must_use]
    pub fn default_config(&self) -> DetectorConfig {
        let mut numbers = [0; MAX_NUMBERS];
        for (value, number) in numbers.iter_mut().zip(self.numbers) {
            *value = number.default;
        }
        let mut ports = heapless::Vec::new();
        for port in self.ports.iter().flat_map(|ports| ports.default).take(MAX_PORTS) {
            let _fits_by_take = ports.push(*port);
        }
        DetectorConfig { enabled: true, severity: self.severity, numbers, ports }
    }
}

const fn window(default: u32, max: u32) -> Number {
    Number { name: "window_s", unit: "s", default, min: 1, max, help: "length of the sliding window" }
}

/// All detectors, in the order of [`Kind::ALL`].
pub const DETECTORS: [Detector; 8] = [
    Detector {
        kind: Kind::PortScan,
        about: "one source opens conversations to many distinct ports within a window",
        source: "common practice: 15 ports in 10 s is well above what a browser or a resolver does",
        severity: Severity::Medium,
        numbers: &[
            Number {
                name: "ports",
                unit: "ports",
                default: 15,
                min: 2,
                max: 64,
                help: "distinct destination ports of one source that make a scan",
            },
            window(10, 3_600),
        ],
        ports: None,
    },
    Detector {
        kind: Kind::SynFlood,
        about: "one source sends many TCP connection requests (SYN without ACK) within a window",
        source: "common practice: 40 requests a second for five seconds",
        severity: Severity::High,
        numbers: &[
            Number {
                name: "packets",
                unit: "packets",
                default: 200,
                min: 2,
                max: 1_000_000,
                help: "SYN-only packets of one source that make a flood",
            },
            window(5, 600),
        ],
        ports: None,
    },
    Detector {
        kind: Kind::IcmpFlood,
        about: "one source sends many ICMP or ICMPv6 echo requests within a window",
        source: "common practice: twenty times the rate of ping for five seconds",
        severity: Severity::Medium,
        numbers: &[
            Number {
                name: "packets",
                unit: "packets",
                default: 100,
                min: 2,
                max: 1_000_000,
                help: "echo requests of one source that make a flood",
            },
            window(5, 600),
        ],
        ports: None,
    },
    Detector {
        kind: Kind::SuspiciousPort,
        about: "a conversation is opened to a port that malware is known to use",
        source: "config/suspicious-ports.json, which names a source for each port",
        severity: Severity::Medium,
        numbers: &[],
        ports: None,
    },
    Detector {
        kind: Kind::ArpSpoof,
        about: "an IPv4 address moves to another hardware address without DHCP or a virtual router explaining it",
        source: "RFC 826; RFC 5227 section 2.4; virtual router addresses of RFC 9568 section 7.3",
        severity: Severity::High,
        numbers: &[],
        ports: None,
    },
    Detector {
        kind: Kind::DnsTunnel,
        about: "a DNS query asks for a very long name (weak evidence: content networks do so too)",
        source: "common practice: 50 characters; reverse lookups of IPv6 addresses (72) are left out",
        severity: Severity::Low,
        numbers: &[Number {
            name: "name_characters",
            unit: "characters",
            default: 50,
            min: 16,
            max: 253,
            help: "longest name that is not reported, in text form without the final dot",
        }],
        ports: None,
    },
    Detector {
        kind: Kind::Exfiltration,
        about: "one inside host sends many bytes to the outside within a window",
        source: "common practice: 5 MB in a minute",
        severity: Severity::Medium,
        numbers: &[
            Number {
                name: "bytes",
                unit: "bytes",
                default: 5_000_000,
                min: 1_000,
                max: u32::MAX,
                help: "outbound bytes on the wire of one inside host that make an exfiltration",
            },
            window(60, 3_600),
        ],
        ports: None,
    },
    Detector {
        kind: Kind::BruteForce,
        about: "one source opens many connections to one login service of one host within a window",
        source: "common practice: one attempt a second for thirty seconds",
        severity: Severity::High,
        numbers: &[
            Number {
                name: "attempts",
                unit: "attempts",
                default: 30,
                min: 2,
                max: 10_000,
                help: "SYN-only packets from one source to one port of one host that make a brute force",
            },
            window(30, 3_600),
        ],
        ports: Some(Ports {
            name: "ports",
            default: &[21, 22, 23, 445, 1433, 3306, 3389, 5432, 5900],
            help: "login services: FTP, SSH, Telnet, SMB, SQL Server, MySQL, RDP, PostgreSQL, VNC",
        }),
    },
];

const _: () = {
    let mut index = 0;
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "a constant expression: wrong means no build"
    )]
    while index < DETECTORS.len() {
        assert!(DETECTORS[index].kind as usize == index, "DETECTORS must stand in the order of Kind::ALL");
        assert!(DETECTORS[index].numbers.len() <= MAX_NUMBERS);
        index += 1;
    }
};
