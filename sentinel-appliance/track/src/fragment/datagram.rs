//! One datagram that waits for parts.

use sentinel_dissect::{Fragment, Ip, protocol};
use sentinel_units::{Address, Port, Timestamp};

use super::MAX_DATAGRAM_LEN;
use crate::flow::Endpoint;
use crate::flow_record::{FlowTuple, Observation};
use crate::range_set::RangeSet;
use crate::table::Recycle;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) identification: u32,
    /// Zero in IPv6: there the identification alone decides (RFC 8200 section 4.5).
    pub(super) protocol: u8,
}

/// What is known of a datagram that is not whole; the caller lends some.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatagramSlot {
    pub(super) key: Key,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) packets: u32,
    pub(super) bytes: u32,
    ranges: RangeSet,
    /// Where the last part ends, once that is there.
    end: Option<u16>,
    /// Of the first part: what its payload is, where it starts, and its ports.
    start: Option<Start>,
    /// Set once a part did not fit; the rest is only counted.
    pub(super) is_spoilt: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) protocol: u8,
    pub(super) payload_at: u16,
    ports: (Port, Port),
}

/// Why a part did not fit.
pub(super) enum Fault {
    Overlap,
    Malformed,
    Unfit,
}

impl DatagramSlot {
    /// Begins anew, with what is not written here left as it was: it means nothing.
    pub(super) fn begin(&mut self, key: Key, at: Timestamp) {
        (self.key, self.first, self.last, self.packets, self.bytes) = (key, at, at, 0, 0);
        self.ranges.recycle();
        (self.end, self.start, self.is_spoilt) = (None, None, false);
    }

    /// Copies a part to its place.
    pub(super) fn place(&mut self, ip: &Ip<'_>, fragment: Fragment, room: &mut [u8]) -> Result<(), Fault> {
        let skipped = usize::from(fragment.skipped_words) * 4;
        let start = usize::from(fragment.offset);
        let payload_len = usize::try_from(ip.payload_wire_len).map_err(|_| Fault::Malformed)?;
        let end = start + skipped + payload_len;
        if end == start || end > MAX_DATAGRAM_LEN || fragment.more && !end.is_multiple_of(8) {
            return Err(Fault::Malformed);
        }
        if ip.payload.len() < payload_len || fragment.skipped_words == u8::MAX || end > room.len() {
            return Err(Fault::Unfit);
        }
        let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(end)) else {
            return Err(Fault::Malformed);
        };
        self.check_end(end, fragment.more)?;
        let bytes = ip.payload.get(..payload_len).unwrap_or_default();
        let place = room.get_mut(usize::from(start) + skipped..usize::from(end)).ok_or(Fault::Unfit)?;
        if self.ranges.holds(start, end) {
            // Sent twice, or copied on the way. With other bytes it would be an overlap.
            return if place == bytes { Ok(()) } else { Err(Fault::Overlap) };
        }
        if self.ranges.touches(start, end) {
            return Err(Fault::Overlap);
        }
        if !self.ranges.add(start, end) {
            return Err(Fault::Unfit);
        }
        place.copy_from_slice(bytes);
        if start == 0 {
            let ports = match (ip.protocol, bytes) {
                (protocol::TCP | protocol::UDP | protocol::SCTP, [s0, s1, d0, d1, ..]) => {
                    (Port(u16::from_be_bytes([*s0, *s1])), Port(u16::from_be_bytes([*d0, *d1])))
                }
                _ => (Port(0), Port(0)),
            };
            let payload_at = u16::from(fragment.skipped_words) * 4;
            self.start = Some(Start { protocol: ip.protocol, payload_at, ports });
        }
        Ok(())
    }

    /// All parts must agree about where the datagram ends.
    fn check_end(&mut self, end: u16, more: bool) -> Result<(), Fault> {
        let reached = self.ranges.end();
        match self.end {
            Some(known) if more && end < known || !more && end == known => Ok(()),
            Some(_) => Err(Fault::Overlap),
            None if more => Ok(()),
            None if end < reached => Err(Fault::Overlap),
            None => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// Its start and end, once nothing is missing between them.
    pub(super) fn whole(&self) -> Option<(Start, u16)> {
        let (start, end) = (self.start?, self.end?);
        self.ranges.is_complete(end).then_some((start, end))
    }

    /// What was seen of it. Its ports are those of the first part, or zero if that never came.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let (protocol, ports) =
            self.start.map_or((self.key.protocol, (Port(0), Port(0))), |start| (start.protocol, start.ports));
        let tuple = FlowTuple {
            source: Endpoint { address: self.key.source, port: ports.0 },
            destination: Endpoint { address: self.key.destination, port: ports.1 },
            protocol,
            is_one_way: false,
        };
        let Self { first, last, packets, bytes, .. } = *self;
        Observation { tuple, first, last, packets, bytes, flags: None }
    }
}
