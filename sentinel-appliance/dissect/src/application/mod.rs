//! The protocols that this crate reads.
//!
//! One line each; the reference pages are made from it.

pub mod dhcp;
pub mod dns;
pub mod framing;
pub mod http;
pub mod quic;
pub mod ssh;
pub mod tls;
pub mod x509;

use crate::read::Layer;

/// A protocol that is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protocol {
    /// Short name in lower case, as in filters and records.
    pub name: &'static str,
    /// Where it stands in a packet.
    pub layer: Layer,
    /// What defines it.
    pub source: &'static str,
    /// What is read of it.
    pub facts: &'static str,
}

const fn line(name: &'static str, layer: Layer, source: &'static str, facts: &'static str) -> Protocol {
    Protocol { name, layer, source, facts }
}

/// All of them, outermost layer first.
pub const PROTOCOLS: &[Protocol] = &[
    line("ethernet", Layer::Link, "IEEE 802.3", "addresses, type or length"),
    line("llc", Layer::Link, "IEEE 802.2, RFC 1042", "service access points, type behind SNAP"),
    line("vlan", Layer::Link, "IEEE 802.1Q", "up to two tags of up to four"),
    line("pppoe", Layer::Link, "RFC 2516", "what a session carries"),
    line("mpls", Layer::Link, "RFC 3032", "what is behind the labels"),
    line("sll", Layer::Link, "LINKTYPE_LINUX_SLL", "direction, sender, type"),
    line("sll2", Layer::Link, "LINKTYPE_LINUX_SLL2", "direction, sender, type"),
    line("loopback", Layer::Link, "LINKTYPE_NULL, LINKTYPE_LOOP", "address family"),
    line("arp", Layer::Network, "RFC 826", "operation and both bindings"),
    line("ipv4", Layer::Network, "RFC 791", "addresses, protocol, hops, fragment, length"),
    line("ipv6", Layer::Network, "RFC 8200", "the same, behind extension headers"),
    line("ah", Layer::Network, "RFC 4302", "what is behind it"),
    line("icmp", Layer::Transport, "RFC 792", "type, code, identifier, sequence"),
    line("icmpv6", Layer::Transport, "RFC 4443, RFC 4861", "type, code, neighbour messages"),
    line("tcp", Layer::Transport, "RFC 9293", "ports, numbers, flags, window, options"),
    line("udp", Layer::Transport, "RFC 768", "ports, length"),
    line("gre", Layer::Transport, "RFC 2784, RFC 2890, RFC 2637", "the packet inside"),
    line("ipip", Layer::Transport, "RFC 2003, RFC 2473, RFC 4213", "the packet inside"),
    line("vxlan", Layer::Application, "RFC 7348", "the frame inside"),
    line("geneve", Layer::Application, "RFC 8926", "the packet inside"),
    line("gtp", Layer::Application, "3GPP TS 29.281", "the user's packet inside"),
    line("dhcp", Layer::Application, "RFC 2131", "who was given which address"),
    line("dns", Layer::Application, "RFC 1035", "header, questions, records"),
    line("tls", Layer::Application, "RFC 8446", "hellos: name, versions, suites, extensions; certificate"),
    line("x509", Layer::Application, "RFC 5280", "subject, issuer, validity"),
    line("quic", Layer::Application, "RFC 9000", "header of Initial packets, hello of the client"),
    line("ssh", Layer::Application, "RFC 4253", "versions of both sides"),
    line("http", Layer::Application, "RFC 9112", "request and status line, headers"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_layers_in_order() {
        for (index, protocol) in PROTOCOLS.iter().enumerate() {
            let later = &PROTOCOLS[index + 1..];
            assert!(later.iter().all(|other| other.name != protocol.name), "{}", protocol.name);
            assert!(later.iter().all(|other| other.layer >= protocol.layer), "{}", protocol.name);
            assert!(protocol.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        }
    }
}
