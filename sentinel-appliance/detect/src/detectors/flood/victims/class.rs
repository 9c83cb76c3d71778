//! Classes of packets that are counted for their destination.

use sentinel_alert::Test;

use super::{fragment_rate, segment_rate};
use crate::detectors::flood::{icmp, syn, udp};
use crate::registry::DetectorConfig;

/// Class of packets, each counted apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Class {
    /// TCP connection requests; completed by the last segment of the handshake.
    Handshake,
    /// TCP segments outside of connections; completed by what the destination sends in the same flow.
    Stray,
    /// Answers to TCP connection requests (SYN-ACK, RST); announced by the requests of the destination.
    Answer,
    /// First datagrams of UDP flows; completed by the response.
    Datagram,
    /// Further datagrams of flows without a response.
    Stream,
    /// UDP responses without a request.
    Response,
    /// Echo requests; completed by the reply, unless every request has another source: a victim answers forged ones as well.
    Echo,
    /// ICMP replies and errors; announced by what the destination sends.
    Report,
    /// Fragments; completed with their datagram.
    Fragment,
}

/// Number of classes.
pub(super) const CLASSES: usize = 9;

/// Properties of a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) class: Class,
    pub(super) test: Test,
    /// The configured rate.
    pub(super) rate: fn(&DetectorConfig) -> u32,
    /// Sources from which a flood is one of many sources.
    pub(super) sources: u32,
    /// Multiple of the configured rate that is usual.
    pub(super) usual: u32,
    /// Set if the flood must come from ever new sources as long as nothing of the destination was seen: on a sensor that sees one
    /// direction only, the requests of known clients look unanswered.
    pub(super) needs_new_sources: bool,
    /// Test that names the source if one sends most, unless another detector counts the class for each source.
    pub(super) per_source: Option<Test>,
}

const fn rule(class: Class, test: Test, rate: fn(&DetectorConfig) -> u32, sources: u32, usual: u32) -> Rule {
    let per_source = match class {
        Class::Stray | Class::Answer => Some(Test::TcpFloodPerSource),
        Class::Datagram => Some(Test::UdpFloodPerSource),
        Class::Fragment => Some(Test::FragmentFloodPerSource),
        _ => None,
    };
    let needs_new_sources = matches!(class, Class::Datagram);
    Rule { class, test, rate, sources, usual, needs_new_sources, per_source }
}

/// The rules, in the order of [`Class`].
pub(super) const RULES: [Rule; CLASSES] = [
    rule(Class::Handshake, Test::SynFloodPerVictim, syn::victim_rate, 4, 1),
    rule(Class::Stray, Test::TcpFlood, segment_rate, 4, 1),
    rule(Class::Answer, Test::TcpFlood, segment_rate, 4, 1),
    rule(Class::Datagram, Test::UdpFloodPerVictim, udp::victim_rate, 4, 1),
    rule(Class::Stream, Test::UdpFloodPerVictim, udp::packet_rate, 4, 1),
    rule(Class::Response, Test::UdpFloodPerVictim, udp::victim_rate, 4, 1),
    rule(Class::Echo, Test::IcmpFloodPerVictim, icmp::victim_rate, 4, 1),
    rule(Class::Report, Test::IcmpFloodPerVictim, icmp::victim_rate, 4, 2),
    rule(Class::Fragment, Test::FragmentFlood, fragment_rate, 24, 1),
];

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a constant expression: wrong means no build"
)]
const _: () = {
    let mut index = 0;
    while index < CLASSES {
        assert!(RULES[index].class as usize == index, "rules stand in the order of their classes");
        index += 1;
    }
};
