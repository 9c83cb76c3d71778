//! Protocols that a filter can select, and how each travels.
//!
//! Read first: IANA's registries of protocol numbers and of service names and ports.

use core::fmt;
use core::str::FromStr;

use sentinel_units::ip_protocol;
use sentinel_units::service::{self, SERVICES, Service};

/// A protocol by its name in settings and on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and `ICMPv6`.
    Icmp,
    /// ARP.
    Arp,
    /// An application protocol, by the ports of its row in the table of services.
    Application(&'static Service),
}

/// One transport of a protocol: its number in an IP header, and the ports if the protocol has its own.
pub(crate) struct Transport {
    pub(crate) v4: Option<u8>,
    pub(crate) v6: Option<u8>,
    pub(crate) ports: &'static [u16],
}

const fn over(transport: u8, ports: &'static [u16]) -> Transport {
    Transport { v4: Some(transport), v6: Some(transport), ports }
}

/// Protocols below the application; the names are those of `--protocol`.
const LOWER: &[(Protocol, &str, &[Transport])] = &[
    (Protocol::Tcp, "tcp", &[over(ip_protocol::TCP, &[])]),
    (Protocol::Udp, "udp", &[over(ip_protocol::UDP, &[])]),
    (
        Protocol::Icmp,
        "icmp",
        &[Transport { v4: Some(ip_protocol::ICMP), v6: Some(ip_protocol::ICMPV6), ports: &[] }],
    ),
    (Protocol::Arp, "arp", &[]),
];

const APPLICATION_COUNT: usize = {
    let (mut count, mut services) = (0, SERVICES);
    while let [service, remaining @ ..] = services {
        if service.has_filter() {
            count += 1;
        }
        services = remaining;
    }
    count
};

/// UDP and TCP ports of each service that has a filter, in the order of the services. Made when compiled, because filters
/// borrow transports for as long as the program runs.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiled, where an index out of range is an error"
)]
static APPLICATIONS: [(&Service, [Transport; 2]); APPLICATION_COUNT] = {
    const EMPTY: (&Service, [Transport; 2]) =
        (service::DNS, [over(ip_protocol::UDP, &[]), over(ip_protocol::TCP, &[])]);
    let mut rows = [EMPTY; APPLICATION_COUNT];
    let (mut count, mut services) = (0, SERVICES);
    while let [service, remaining @ ..] = services {
        if service.has_filter() {
            let (udp, tcp) = (service.filter.udp, service.filter.tcp);
            rows[count] = (*service, [over(ip_protocol::UDP, udp), over(ip_protocol::TCP, tcp)]);
            count += 1;
        }
        services = remaining;
    }
    rows
};

/// Transports that a port without a protocol stands for.
pub(crate) const ANY_WITH_PORTS: &[Transport] =
    &[over(ip_protocol::TCP, &[]), over(ip_protocol::UDP, &[]), over(ip_protocol::SCTP, &[])];

impl Protocol {
    /// All of them, in the order of the help text.
    pub fn all() -> impl Iterator<Item = Self> {
        let lower = LOWER.iter().map(|(protocol, ..)| *protocol);
        lower.chain(APPLICATIONS.iter().map(|(service, _)| Self::Application(service)))
    }

    /// The name used in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Application(service) => service.name,
            _ => LOWER.iter().find(|(protocol, ..)| *protocol == self).map_or("", |(_, name, _)| name),
        }
    }

    pub(crate) fn transports(self) -> &'static [Transport] {
        let Self::Application(service) = self else {
            return LOWER
                .iter()
                .find(|(protocol, ..)| *protocol == self)
                .map_or(&[], |(.., transports)| transports);
        };
        let row = APPLICATIONS.iter().find(|(other, _)| other.name == service.name);
        match row.map(|(_, transports)| transports.as_slice()) {
            Some([udp, tcp @ ..]) if udp.ports.is_empty() => tcp,
            Some([udp @ .., tcp]) if tcp.ports.is_empty() => udp,
            Some(both) => both,
            None => &[],
        }
    }

    pub(crate) fn has_ports(self) -> bool {
        !matches!(self, Self::Icmp | Self::Arp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The text is no protocol's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseProtocolError;

impl fmt::Display for ParseProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a protocol is one of")?;
        for (index, protocol) in Protocol::all().enumerate() {
            out.write_str(if index == 0 { " " } else { ", " })?;
            out.write_str(protocol.name())?;
        }
        Ok(())
    }
}

impl core::error::Error for ParseProtocolError {}

impl FromStr for Protocol {
    type Err = ParseProtocolError;

    fn from_str(text: &str) -> Result<Self, ParseProtocolError> {
        Self::all().find(|protocol| text.eq_ignore_ascii_case(protocol.name())).ok_or(ParseProtocolError)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_round_trip_and_wrong_ones_list_the_right_ones() {
        for protocol in Protocol::all() {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!("DNS".parse(), Ok(Protocol::Application(service::DNS)));
        let message = "gopher".parse::<Protocol>().unwrap_err().to_string();
        assert!(
            message.starts_with("a protocol is one of tcp, udp, icmp, arp, http, dns, tls, quic"),
            "{message}"
        );
    }

    #[test]
    fn an_application_is_its_ports_over_udp_then_tcp() {
        let ports = |name: &str| -> std::vec::Vec<_> {
            let transports = name.parse::<Protocol>().unwrap().transports();
            transports.iter().map(|transport| (transport.v4, transport.v6, transport.ports)).collect()
        };
        assert_eq!(ports("http"), [(Some(6), Some(6), &[80, 8000, 8080][..])]);
        assert_eq!(ports("dns"), [(Some(17), Some(17), &[53, 5353][..]), (Some(6), Some(6), &[53])]);
        assert_eq!(ports("quic"), [(Some(17), Some(17), &[443][..])]);
        assert_eq!(ports("tcp"), [(Some(6), Some(6), &[][..])]);
    }
}
