//! Evidence against a source: weight of a failed contact, and the findings that it adds up to.

use sentinel_alert::{Evidence, Severity, Subject, Test};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Port, Timestamp};

use super::contact_table::{Class, Pending, Shape, Suspect, class_number};
use super::is_printer_port;
use crate::incident::Finding;

/// Two bits in Q8.
pub(super) const FULL: u16 = 512;
/// Another port of one of several hosts outside.
pub(super) const HALF: u16 = 256;
/// Another port of a host by a source that was answered lately.
pub(super) const QUARTER: u16 = 144;
/// A contact whose host and port are both new.
const RANDOM: u16 = 192;
/// Such a contact with a host outside.
const RANDOM_OUTWARD: u16 = 176;
/// Ports that worms and scanners look for outside; those of web, mail, names and time fail for ordinary reasons.
const SEARCHED_PORTS: [u16; 12] =
    [1_433, 2_222, 2_323, 3_306, 3_389, 5_432, 5_555, 5_900, 7_547, 8_291, 37_215, 52_869];
/// Ports of a company's domain controllers, which a laptop away from its network looks for.
const DOMAIN_PORTS: [u16; 5] = [88, 389, 464, 636, 3_268];
/// Further ports at which it asks such a host: RPC, SMB.
const MEMBER_PORTS: [u16; 2] = [135, 445];
/// Hosts for which a directory is searched at most, as shown by [`Suspect::hosts`].
const MAX_DIRECTORIES: u32 = 8;
/// Ports of VPN gateways, which a client tries in turn: IKE, its NAT traversal, `OpenVPN`, L2TP, `WireGuard`.
const VPN_PORTS: [u16; 5] = [500, 1_194, 1_701, 4_500, 51_820];
const COMMON_PORTS: [u16; 11] = [25, 53, 80, 123, 143, 443, 465, 587, 853, 993, 995];

/// Weight of a failed contact, see the head of `failed_contacts`.
pub(super) fn weight(contact: &Pending, suspect: &Suspect, is_direct: bool) -> u16 {
    let Pending { shape, port, destination, .. } = contact;
    let (is_outward, is_searched) = (shape.has(Shape::OUTWARD), is_searched(*port));
    let is_datagram = shape.has(Shape::DATAGRAM);
    if shape.class() == class_number(Class::Neighbour) {
        return FULL;
    }
    let is_one_host = !suspect.has(Suspect::SEVERAL_HOSTS) && suspect.destination == *destination;
    if is_datagram && !is_direct && suspect.failed > 0 {
        // All of it about one host, or about one port.
        let is_one_port = !suspect.has(Suspect::SEVERAL_PORTS) && suspect.port == *port;
        return match (is_one_host || is_one_port && !is_outward, is_outward) {
            (true, true) if VPN_PORTS.contains(port) => RANDOM_OUTWARD,
            (true, _) => FULL,
            (false, true) if is_one_port && is_searched => FULL,
            (false, true) => RANDOM_OUTWARD,
            (false, false) => RANDOM,
        };
    }
    let is_stray = shape.class() == class_number(Class::Stray);
    let is_member = DOMAIN_PORTS.contains(port) || shape.has(Shape::DIRECTORY) && MEMBER_PORTS.contains(port);
    if is_member && !is_direct && !is_outward && suspect.hosts.count_ones() <= MAX_DIRECTORIES {
        return RANDOM;
    }
    match (shape.has(Shape::HOST_KNOWN), shape.has(Shape::PORT_KNOWN)) {
        // A host outside that is silent is down, whatever its port; and services outside have second ports: two of each of many
        // hosts are no scan.
        (true, _) if is_outward && !is_direct => RANDOM_OUTWARD,
        (_, true) | (true, _) if DOMAIN_PORTS.contains(port) && shape.has(Shape::USUAL) => RANDOM,
        (true, _) if is_direct && !is_outward && is_of_printer(*port, *shape) => RANDOM,
        (true, _) if shape.has(Shape::USUAL) => QUARTER,
        (true, _) if is_outward && suspect.failed > 0 && !is_one_host => HALF,
        (true, _) => FULL,
        (false, true) if !is_outward || is_searched && !is_stray => FULL,
        (false, _) if is_outward => RANDOM_OUTWARD,
        (false, true) => FULL,
        (false, false) => RANDOM,
    }
}

/// Returns true for a port that drivers of printers try.
fn is_of_printer(port: u16, shape: Shape) -> bool {
    is_printer_port(port) || shape.has(Shape::PRINTER) && matches!(port, 21 | 23 | 80 | 139 | 443 | 8_080)
}

/// Returns true for a port of a directory of accounts: Kerberos or LDAP.
pub(super) const fn is_directory(port: u16) -> bool {
    matches!(port, 88 | 389)
}

fn is_searched(port: u16) -> bool {
    port < 1_024 && !COMMON_PORTS.contains(&port) || SEARCHED_PORTS.contains(&port)
}

impl Suspect {
    /// Adds a failed contact to the evidence.
    pub(super) fn add(&mut self, key: &HashKey, contact: &Pending, at: Timestamp) {
        if self.failed == 0 {
            (self.source, self.destination, self.port) = (contact.source, contact.destination, contact.port);
            self.first = at;
        }
        let flag = |differs: bool, flag: u8| if differs { flag } else { 0 };
        self.flags |= flag(self.destination != contact.destination, Self::SEVERAL_HOSTS)
            | flag(self.port != contact.port, Self::SEVERAL_PORTS)
            | flag(self.source != contact.source, Self::SEVERAL_SOURCES);
        self.hosts |= 1 << (key.address(contact.destination) >> 26);
        self.ports |= 1 << (key.with(7, contact.port.into()) >> 26);
        self.failed = self.failed.saturating_add(1);
    }

    /// Decides whether it is a scan or a sweep, once for as long as it is remembered.
    pub(super) fn name_shape(&mut self) {
        if self.flags & (Self::IS_SCAN | Self::IS_SWEEP) == 0 {
            let is_sweep = self.hosts.count_ones() > self.ports.count_ones();
            self.flags |= if is_sweep { Self::IS_SWEEP } else { Self::IS_SCAN };
        }
    }

    fn name(&self) -> Address {
        if self.has(Self::SEVERAL_SOURCES) { network(self.source) } else { self.source }
    }

    pub(super) fn crafted_finding(&self, threshold: u32) -> Finding {
        Finding {
            test: Test::PortScanCraftedPackets,
            severity: Severity::Low,
            first: self.first,
            subject: Subject {
                source: Some(self.name()),
                destination: Some(self.destination).filter(|_| !self.has(Self::SEVERAL_VICTIMS)),
                ..Subject::default()
            },
            evidence: Evidence::Packets { count: self.crafted.into(), threshold, window_s: 3_600 },
            adds: 1,
            scope: 0,
        }
    }

    pub(super) fn finding(&self, shape: Shape, is_sweep: bool) -> Finding {
        let (hosts, ports) = (self.hosts.count_ones(), self.ports.count_ones());
        Finding {
            test: if is_sweep { Test::HostSweep } else { Test::PortScanFailedContacts },
            severity: Severity::Low,
            first: self.first,
            subject: Subject {
                source: Some(self.name()),
                destination: Some(self.destination).filter(|_| !self.has(Self::SEVERAL_HOSTS)),
                destination_port: Some(Port(self.port))
                    .filter(|_| !self.has(Self::SEVERAL_PORTS) && has_ports(shape.class())),
                ..Subject::default()
            },
            evidence: Evidence::Contacts { failed: self.failed.into(), hosts, ports },
            adds: 1,
            scope: 0,
        }
    }
}

/// Returns true for classes whose port is one.
fn has_ports(class: u16) -> bool {
    [Class::Request, Class::Stray, Class::Sctp].map(class_number).contains(&class)
}

/// The IPv6 /64 of an address, as an address; an IPv4 address as it is.
const fn network(address: Address) -> Address {
    let [a, b, ..] = address.words();
    if address.is_v4() { address } else { Address::v6([a, b, 0, 0]) }
}
