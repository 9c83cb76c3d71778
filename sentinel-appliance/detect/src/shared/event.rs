//! What detectors see of one packet, worked out once for all of them.

use sentinel_dissect::{FiveTuple, Ip, Packet, PacketSummary, reread_v4, reread_v6, sender};
use sentinel_track::flow::{Endpoint, Role};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Mac, Port, Timestamp};

use crate::shared::home_net::HomeNet;

/// What every packet is judged against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'e> {
    /// Packet time, never before that of an earlier packet by more than the clock was set back.
    pub(crate) now: Timestamp,
    /// What is inside.
    pub(crate) home_net: &'e HomeNet,
    /// The key of all tables.
    pub(crate) key: &'e HashKey,
}

/// A TCP segment or UDP datagram and what the tables say of it.
#[derive(Debug)]
pub(crate) struct Event<'e, 'p> {
    /// What it is judged against.
    pub(crate) setting: Setting<'e>,
    /// The packet itself.
    pub(crate) packet: &'e PacketSummary<'p>,
    /// How it stands to its conversation.
    pub(crate) role: Role,
    /// The hash of its source address.
    pub(crate) source_hash: u32,
}

/// A packet that is counted for its source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'p> {
    /// Where it comes from.
    pub(crate) source: Address,
    /// Where it goes.
    pub(crate) destination: Address,
    /// The port it goes to, if it has one.
    pub(crate) destination_port: Option<Port>,
    /// Bytes of the whole frame on the wire.
    pub(crate) wire_len: u32,
    /// Who sent the frame on this link, if the link says so.
    pub(crate) sender: Option<&'p [u8; 6]>,
}

impl<'p> From<&PacketSummary<'p>> for Counted<'p> {
    #[inline]
    fn from(packet: &PacketSummary<'p>) -> Self {
        let FiveTuple { source, destination, destination_port, .. } = packet.tuple;
        let destination_port = Some(destination_port);
        Self { source, destination, destination_port, wire_len: packet.wire_len, sender: packet.sender }
    }
}

impl<'p> Counted<'p> {
    /// A frame that [`summarize_v4`](sentinel_dissect::summarize_v4) has read; `None` if it was
    /// [`summarize_v6`](sentinel_dissect::summarize_v6).
    #[inline(always)] // so that both addresses are known to be IPv4
    pub(crate) fn reread_v4(bytes: &'p [u8], wire_len: u32) -> Option<Self> {
        let (source, destination, port) = reread_v4(bytes)?;
        let (source, destination) = (Address::v4(source), Address::v4(destination));
        Some(Self::in_frame(bytes, wire_len, (source, destination, port)))
    }

    /// One that the latter has read.
    pub(crate) fn reread_v6(bytes: &'p [u8], wire_len: u32) -> Option<Self> {
        let (source, destination, port) = reread_v6(bytes)?;
        Some(Self::in_frame(bytes, wire_len, (source, destination, port)))
    }

    #[inline(always)] // as above
    fn in_frame(
        bytes: &'p [u8],
        wire_len: u32,
        (source, destination, port): (Address, Address, Port),
    ) -> Self {
        let wire_len = wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        Self { source, destination, destination_port: Some(port), wire_len, sender: sender(bytes) }
    }

    /// A packet without ports; `None` if it has no addresses either.
    pub(crate) fn without_ports(packet: &'p Packet<'_>) -> Option<Self> {
        let Ip { source, destination, .. } = *packet.ip()?;
        let sender = packet.ethernet.as_ref().map(|ethernet| &ethernet.source.0);
        Some(Self { source, destination, destination_port: None, wire_len: packet.wire_len, sender })
    }

    /// Hardware address of the sender, if the link has such.
    pub(crate) fn sender_mac(&self) -> Option<Mac> {
        self.sender.map(|bytes| Mac(*bytes))
    }
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
    pub(crate) const fn source(&self) -> Endpoint {
        Endpoint { address: self.packet.tuple.source, port: self.packet.tuple.source_port }
    }

    /// Where it goes.
    #[inline]
    pub(crate) const fn destination(&self) -> Endpoint {
        Endpoint { address: self.packet.tuple.destination, port: self.packet.tuple.destination_port }
    }
}
