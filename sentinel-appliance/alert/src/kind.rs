//! Kinds, tests, severities and phases. Append only.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum Kind {
    /// One source tries many ports.
    PortScan,
    /// Connection requests without end.
    SynFlood,
    /// Echo requests without end.
    IcmpFlood,
    /// Contact with a port that malware is known to use.
    SuspiciousPort,
    /// An IPv4 address moves to another hardware address without a reason.
    ArpSpoof,
    /// Data inside DNS names.
    DnsTunnel,
    /// An inside host sends much to the outside.
    Exfiltration,
    /// Password guessing.
    BruteForce,
}

impl Kind {
    /// Every kind, in wire order.
    pub const ALL: [Self; 8] = [
        Self::PortScan,
        Self::SynFlood,
        Self::IcmpFlood,
        Self::SuspiciousPort,
        Self::ArpSpoof,
        Self::DnsTunnel,
        Self::Exfiltration,
        Self::BruteForce,
    ];

    /// Name in settings, machine output and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortScan => "port_scan",
            Self::SynFlood => "syn_flood",
            Self::IcmpFlood => "icmp_flood",
            Self::SuspiciousPort => "suspicious_port",
            Self::ArpSpoof => "arp_spoof",
            Self::DnsTunnel => "dns_tunnel",
            Self::Exfiltration => "exfiltration",
            Self::BruteForce => "brute_force",
        }
    }

    /// MITRE ATT&CK (Enterprise, version 15) technique that the kind points at.
    #[must_use]
    pub const fn technique(self) -> &'static str {
        match self {
            Self::PortScan => "T1046",       // Network Service Discovery
            Self::SynFlood => "T1498.001",   // Network Denial of Service: Direct Network Flood
            Self::IcmpFlood => "T1498.001",  // the same
            Self::SuspiciousPort => "T1571", // Non-Standard Port
            Self::ArpSpoof => "T1557.002",   // Adversary-in-the-Middle: ARP Cache Poisoning
            Self::DnsTunnel => "T1071.004",  // Application Layer Protocol: DNS
            Self::Exfiltration => "T1048",   // Exfiltration Over Alternative Protocol
            Self::BruteForce => "T1110",     // Brute Force
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Which test of a kind fired. Simple thresholds and stronger tests can be judged apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum Test {
    /// [`Kind::PortScan`]: distinct ports of one source in a window.
    PortScanPortsInWindow,
    /// [`Kind::SynFlood`]: SYN-only packets of one source in a window.
    SynFloodPerSource,
    /// [`Kind::IcmpFlood`]: echo requests of one source in a window.
    IcmpFloodPerSource,
    /// [`Kind::SuspiciousPort`]: a conversation opened to a listed port.
    SuspiciousPort,
    /// [`Kind::ArpSpoof`]: an address changed its hardware address.
    ArpSpoof,
    /// [`Kind::DnsTunnel`]: a name over the threshold.
    DnsTunnelNameLength,
    /// [`Kind::Exfiltration`]: outbound bytes of one inside host in a window.
    ExfiltrationBytesInWindow,
    /// [`Kind::BruteForce`]: connection requests of one source to one login service in a window.
    BruteForceSynInWindow,
}

impl Test {
    /// The kind this test belongs to.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::PortScanPortsInWindow => Kind::PortScan,
            Self::SynFloodPerSource => Kind::SynFlood,
            Self::IcmpFloodPerSource => Kind::IcmpFlood,
            Self::SuspiciousPort => Kind::SuspiciousPort,
            Self::ArpSpoof => Kind::ArpSpoof,
            Self::DnsTunnelNameLength => Kind::DnsTunnel,
            Self::ExfiltrationBytesInWindow => Kind::Exfiltration,
            Self::BruteForceSynInWindow => Kind::BruteForce,
        }
    }

    /// Name in machine output; kinds with one test repeat the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortScanPortsInWindow => "ports_in_window",
            Self::SynFloodPerSource | Self::IcmpFloodPerSource => "per_source",
            Self::SuspiciousPort | Self::ArpSpoof => self.kind().name(),
            Self::DnsTunnelNameLength => "name_length",
            Self::ExfiltrationBytesInWindow => "bytes_in_window",
            Self::BruteForceSynInWindow => "syn_in_window",
        }
    }
}

/// How bad. Only [`Severity::Medium`] and above claim an attack.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Severity {
    /// Worth knowing, nothing wrong.
    #[default]
    Info,
    /// Unusual; weak evidence.
    Low,
    /// Probably an attack or a breach of policy.
    Medium,
    /// An attack under way.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Name in settings and machine output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The text names no severity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseSeverityError;

impl fmt::Display for ParseSeverityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a severity is one of info, low, medium, high, critical")
    }
}

impl core::error::Error for ParseSeverityError {}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, ParseSeverityError> {
        Self::ALL.into_iter().find(|severity| severity.name() == text).ok_or(ParseSeverityError)
    }
}

/// Where in its life an incident is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Phase {
    /// First message.
    Open,
    /// It goes on; sent at a limited rate.
    Update,
    /// It has been quiet long enough; totals of the whole incident.
    Close,
}

impl Phase {
    /// Name in machine output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
