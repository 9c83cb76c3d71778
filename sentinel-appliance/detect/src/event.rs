//! What detectors see of one packet, worked out once for all of them.

use sentinel_dissect::Packet;
use sentinel_track::flow::{End, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Mac, Timestamp};

use crate::inside::Inside;

/// One packet and what the tables say of it.
#[derive(Debug)]
pub(crate) struct Event<'e, 'p> {
    /// Packet time, never before that of an earlier packet by more than the clock was set back.
    pub(crate) now: Timestamp,
    /// What is inside.
    pub(crate) inside: &'e Inside,
    /// The packet itself.
    pub(crate) packet: &'e Packet<'p>,
    /// The key of all tables.
    pub(crate) key: &'e HashKey,
    /// Its addresses, if it is IP.
    pub(crate) ip: Option<IpFacts>,
    /// Its conversation, if it is TCP or UDP with readable ports.
    pub(crate) conversation: Option<Conversation>,
}

/// Addresses of an IP packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpFacts {
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

/// Both ends of a TCP or UDP packet and how it stands to its conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation {
    pub(crate) source: End,
    pub(crate) destination: End,
    pub(crate) role: Role,
}

impl Event<'_, '_> {
    /// Hardware address of the sender, if the link has such.
    pub(crate) fn sender_mac(&self) -> Option<Mac> {
        self.packet.ethernet.map(|ethernet| ethernet.source)
    }
}
