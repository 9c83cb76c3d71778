//! What detectors see of one packet, worked out once for all of them.

use sentinel_dissect::{Glance, Packet};
use sentinel_track::flow::{End, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{Mac, Timestamp};

use crate::inside::Inside;

/// What every packet is judged against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'e> {
    /// Packet time, never before that of an earlier packet by more than the clock was set back.
    pub(crate) now: Timestamp,
    /// What is inside.
    pub(crate) inside: &'e Inside,
    /// The key of all tables.
    pub(crate) key: &'e HashKey,
}

/// A TCP segment or UDP datagram and what the tables say of it.
#[derive(Debug)]
pub(crate) struct Event<'e, 'p> {
    /// What it is judged against.
    pub(crate) setting: Setting<'e>,
    /// The packet itself.
    pub(crate) packet: &'e Glance<'p>,
    /// How it stands to its conversation.
    pub(crate) role: Role,
    /// The hash of its source address.
    pub(crate) source_hash: u32,
}

/// Any other packet.
#[derive(Debug)]
pub(crate) struct OtherEvent<'e, 'p> {
    /// What it is judged against.
    pub(crate) setting: Setting<'e>,
    /// The packet itself.
    pub(crate) packet: &'e Packet<'p>,
}

impl Event<'_, '_> {
    /// Where it comes from.
    #[inline]
    pub(crate) const fn source(&self) -> End {
        End { address: self.packet.source, port: self.packet.source_port }
    }

    /// Where it goes.
    #[inline]
    pub(crate) const fn destination(&self) -> End {
        End { address: self.packet.destination, port: self.packet.destination_port }
    }
}

impl OtherEvent<'_, '_> {
    /// Hardware address of the sender, if the link has such.
    pub(crate) fn sender(&self) -> Option<Mac> {
        self.packet.ethernet.map(|ethernet| ethernet.source)
    }
}
