//! `dhcp_starvation`: requests for leases in the names of many clients, until the server has none left.
//!
//! Read first: RFC 2131 section 4.4; RFC 7513 section 1 (exhaustion attacks); RFC 9915 section 22 (the same for IPv6).
//!
//! Counts distinct identities (hardware address and client identifier, or DUID) within ten seconds: all of a network, and those that one
//! station sends. A station has one identity; a repeater, which replaces hardware addresses, has those of its clients.

use core::time::Duration;

use sentinel_alert::{Kind, Severity};
use sentinel_dissect::application::dhcpv6;
use sentinel_dissect::dhcp::{self, option};
use sentinel_track::hash::HashKey;
use sentinel_track::neighbour::{Span, Tick};

use crate::registry::{Detector, DetectorConfig, thresholds};

/// Identities that are remembered; the highest thresholds.
const MAX_CLIENTS: usize = 64;
/// Window, in seconds. It begins with the first request after the one before has ended.
pub(super) const WINDOW_S: u32 = 10;
const WINDOW: Span = Span::at_least(Duration::from_secs(10));
/// Messages of DHCP for IPv6 by which a client asks for an address.
const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const OPTION_CLIENT_IDENTIFIER: u16 = 1;

thresholds! {
    /// Thresholds of `dhcp_starvation`.
    StarvationThresholds {
        clients: "clients", default 60, 8 to 64, "distinct clients of a network that ask for leases within ten seconds";
        clients_per_sender: "clients", default 20, 4 to 64, "distinct clients in whose names one station asks for leases within ten seconds";
    }
}

/// Declaration of `dhcp_starvation`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct DhcpStarvation;

impl DhcpStarvation {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DhcpStarvation,
        about: "leases are asked for in the names of many clients within ten seconds",
        source: "RFC 7513 section 1; common practice: 15 requests a second limit of a switch port, and thrice as many devices as a home has",
        severity: Severity::High,
        thresholds: StarvationThresholds::SETTINGS,
        ports: None,
    };
}

/// Clients of one window, of all links.
#[derive(Debug)]
pub(super) struct Clients {
    /// Hash of the identity and of the sender.
    list: [(u32, u32); MAX_CLIENTS],
    count: usize,
    since: Tick,
    thresholds: StarvationThresholds,
}

/// Clients that reach a threshold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Starvation {
    pub(super) count: u32,
    pub(super) threshold: u32,
    /// All are of one sender.
    pub(super) is_one_sender: bool,
}

impl Clients {
    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self { list: [(0, 0); MAX_CLIENTS], count: 0, since: Tick::default(), thresholds: config.into() }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        self.thresholds = config.into();
    }

    /// A station asks for a lease in the name of a client.
    pub(super) fn ask(&mut self, identity: u32, sender: u32, now: Tick) -> Option<Starvation> {
        if now.distance(self.since) > WINDOW {
            (self.count, self.since) = (0, now);
        }
        let known = self.list.get(..self.count)?;
        if known.iter().any(|(known, _)| *known == identity) {
            return None;
        }
        if let Some(slot) = self.list.get_mut(self.count) {
            *slot = (identity, sender);
            self.count += 1;
        }
        let known = self.list.get(..self.count)?;
        let of_sender = known.iter().filter(|(_, known)| *known == sender).count();
        let StarvationThresholds { clients, clients_per_sender } = self.thresholds;
        let reached = |count: usize, threshold, is_one_sender| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            (count >= threshold).then_some(Starvation { count, threshold, is_one_sender })
        };
        reached(of_sender, clients_per_sender, true).or_else(|| reached(self.count, clients, false))
    }
}

/// Identity of the client that a message asks for a lease for; `None` for other messages and relayed ones.
pub(super) fn identity(key: &HashKey, payload: &[u8], is_v4: bool) -> Option<u32> {
    if !is_v4 {
        let message =
            dhcpv6::Message::parse(payload).filter(|message| matches!(message.kind, SOLICIT | REQUEST))?;
        return Some(hash(key, 0, message.option(OPTION_CLIENT_IDENTIFIER)?));
    }
    let message = dhcp::Message::parse(payload).ok()?;
    let asks = matches!(message.kind, Some(dhcp::Kind::Discover | dhcp::Kind::Request));
    if message.is_reply || !asks || !message.relay.is_unspecified() {
        return None;
    }
    let identifier = dhcp::options(payload).find(|(number, _)| *number == option::CLIENT_IDENTIFIER);
    Some(hash(key, hash(key, 0, &message.client_mac.0), identifier.map_or(&[], |(_, value)| value)))
}

/// Hash of bytes, extending that of others.
pub(super) fn hash(key: &HashKey, before: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(before, |hash, chunk| {
        let word = chunk.iter().fold(1, |word, byte| word << 8 | u32::from(*byte));
        key.with(hash, word)
    })
}
