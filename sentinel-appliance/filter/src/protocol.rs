//! Protocols that a filter can ask for, and how each travels.
//!
//! Read first: IANA's registries of protocol numbers and of service names and ports.

use core::fmt;
use core::str::FromStr;

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
    /// HTTP: TCP with one of its usual ports.
    Http,
    /// DNS: UDP or TCP with its port or that of multicast DNS.
    Dns,
    /// TLS: TCP with one of the ports that IANA gives to a protocol over TLS.
    Tls,
    /// QUIC: UDP with the port of HTTPS.
    Quic,
}

/// One way a protocol travels: its number in an IP header, and its ports if it has some of its own.
pub(crate) struct Transport {
    pub(crate) v4: Option<u8>,
    pub(crate) v6: Option<u8>,
    pub(crate) ports: &'static [u16],
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

const fn over(transport: u8, ports: &'static [u16]) -> Transport {
    Transport { v4: Some(transport), v6: Some(transport), ports }
}

/// HTTPS, SMTPS, NNTPS, LDAPS, DNS over TLS, FTPS, TELNETS, IMAPS, POP3S, HTTPS on an unprivileged port.
const TLS_PORTS: &[u16] = &[443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 8443];

/// One line per protocol; the names are those of `--protocol`.
const PROTOCOLS: &[(Protocol, &str, &[Transport])] = &[
    (Protocol::Tcp, "tcp", &[over(TCP, &[])]),
    (Protocol::Udp, "udp", &[over(UDP, &[])]),
    (Protocol::Icmp, "icmp", &[Transport { v4: Some(1), v6: Some(58), ports: &[] }]),
    (Protocol::Arp, "arp", &[]),
    (Protocol::Http, "http", &[over(TCP, &[80, 8000, 8080])]),
    (Protocol::Dns, "dns", &[over(UDP, &[53, 5353]), over(TCP, &[53])]),
    (Protocol::Tls, "tls", &[over(TCP, TLS_PORTS)]),
    (Protocol::Quic, "quic", &[over(UDP, &[443])]),
];

/// What a port without a protocol means.
pub(crate) const ANY_WITH_PORTS: &[Transport] = &[over(TCP, &[]), over(UDP, &[]), over(SCTP, &[])];

impl Protocol {
    /// All of them, in the order of the help text.
    pub fn all() -> impl Iterator<Item = Self> {
        PROTOCOLS.iter().map(|(protocol, ..)| *protocol)
    }

    /// The name used in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(protocol, ..)| *protocol == self).map_or("", |(_, name, _)| name)
    }

    pub(crate) fn transports(self) -> &'static [Transport] {
        PROTOCOLS.iter().find(|(protocol, ..)| *protocol == self).map_or(&[], |(.., transports)| transports)
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
        let found = PROTOCOLS.iter().find(|(_, name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(protocol, ..)| *protocol).ok_or(ParseProtocolError)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_go_both_ways_and_wrong_ones_list_the_right_ones() {
        for protocol in Protocol::all() {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!("DNS".parse(), Ok(Protocol::Dns));
        let message = "gopher".parse::<Protocol>().unwrap_err().to_string();
        assert_eq!(message, "a protocol is one of tcp, udp, icmp, arp, http, dns, tls, quic");
    }
}
