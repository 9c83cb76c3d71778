//! One incomplete datagram: which fragments it has, and the checks that each fragment must pass.

use sentinel_dissect::{Fragment, Ip, protocol};
use sentinel_units::{Address, Port, Timestamp};

use super::MAX_DATAGRAM_LEN;
use crate::flow::Endpoint;
use crate::flow_record::{FlowTuple, Observation};
use crate::hash::HashKey;
use crate::range_set::RangeSet;
use crate::table::Recycle;

/// IP protocol number of the authentication header (RFC 4302).
const AUTHENTICATION_HEADER: u8 = 51;

/// Identity of a datagram: equal for all its fragments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    /// Zero in IPv6, where addresses and identification alone name the datagram (RFC 8200 section 4.5).
    protocol: u8,
}

impl Key {
    pub(super) fn of(ip: &Ip<'_>, fragment: Fragment) -> Self {
        Self {
            source: ip.source,
            destination: ip.destination,
            identification: fragment.identification,
            // An authentication header is skipped in the first fragment, where `protocol` then is that of its payload; later
            // fragments carry the number of the header itself.
            protocol: match (ip.is_v4(), fragment.skipped_words) {
                (true, 0) => ip.protocol,
                (true, _) => AUTHENTICATION_HEADER,
                (false, _) => 0,
            },
        }
    }

    pub(super) fn hash(&self, key: &HashKey, is_v4: bool) -> u32 {
        let ([a, b, c, d], [e, f, g, h]) = (self.source.words(), self.destination.words());
        let (identification, protocol) = (self.identification, u32::from(self.protocol));
        if is_v4 {
            key.hash32([d, h, identification, protocol])
        } else {
            key.hash32([a, b, c, d, e, f, g, h, identification, protocol])
        }
    }
}

/// Slot of one incomplete datagram; the caller lends some.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatagramSlot {
    pub(super) key: Key,
    pub(super) first: Timestamp,
    last: Timestamp,
    packets: u32,
    bytes: u32,
    ranges: RangeSet,
    /// End of the datagram, once the last fragment is received.
    end: Option<u16>,
    first_fragment: Option<FirstFragment>,
    /// True once a fragment was rejected; later ones are only counted.
    pub(super) is_discarded: bool,
}

/// Facts that only the fragment with offset 0 has.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstFragment {
    pub(super) protocol: u8,
    /// Offset of the payload, behind headers that were already parsed.
    pub(super) payload_at: u16,
    /// The fragment ends within the TCP header, so that nothing could be read from it.
    pub(super) splits_header: bool,
    ports: (Port, Port),
}

/// Why a fragment was rejected, and its datagram with it. The variants match the counters of [`super::FragmentCounts`].
pub(super) enum InsertError {
    Overlap,
    Malformed,
    OverLimit,
}

impl DatagramSlot {
    /// Makes the slot that of a new datagram.
    pub(super) fn reset(&mut self, key: Key, at: Timestamp) {
        (self.key, self.first, self.last, self.packets, self.bytes) = (key, at, at, 0, 0);
        self.ranges.recycle();
        (self.end, self.first_fragment, self.is_discarded) = (None, None, false);
    }

    /// Counts a fragment, whether it is accepted or not.
    pub(super) fn count(&mut self, ip: &Ip<'_>, at: Timestamp) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(ip.wire_len);
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
    }

    /// Checks a fragment and copies its payload to its place in `buffer`.
    pub(super) fn insert(
        &mut self,
        ip: &Ip<'_>,
        fragment: Fragment,
        buffer: &mut [u8],
    ) -> Result<(), InsertError> {
        let skipped = usize::from(fragment.skipped_words) * 4;
        let start = usize::from(fragment.offset);
        let payload_len = usize::try_from(ip.payload_wire_len).map_err(|_| InsertError::Malformed)?;
        // No overflow: dissect marks a fragment that ends past 65,535 as malformed, and callers insert none
        // of those.
        let end = start + skipped + payload_len;
        // Offsets are multiples of eight, so the end of a fragment is one if its length is (RFC 8200 section
        // 4.5).
        if end == start || end > MAX_DATAGRAM_LEN || fragment.more && !end.is_multiple_of(8) {
            return Err(InsertError::Malformed);
        }
        if ip.payload.len() < payload_len || end > buffer.len() {
            return Err(InsertError::OverLimit);
        }
        let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(end)) else {
            return Err(InsertError::Malformed);
        };
        self.check_end(end, fragment.more)?;
        let bytes = ip.payload.get(..payload_len).unwrap_or_default();
        let target =
            buffer.get_mut(usize::from(start) + skipped..usize::from(end)).ok_or(InsertError::OverLimit)?;
        if self.ranges.contains(start, end) {
            // Retransmitted, or duplicated by the network. Other bytes in the same place are an overlap.
            return if target == bytes { Ok(()) } else { Err(InsertError::Overlap) };
        }
        if self.ranges.overlaps(start, end) {
            return Err(InsertError::Overlap);
        }
        if !self.ranges.insert(start, end) {
            return Err(InsertError::OverLimit);
        }
        target.copy_from_slice(bytes);
        if start == 0 {
            let payload_at = fragment.skipped_words.saturating_mul(4);
            let ports = ports(ip.protocol, bytes);
            let splits_header = ip.protocol == protocol::TCP && bytes.len() < tcp_header_len(bytes);
            self.first_fragment =
                Some(FirstFragment { protocol: ip.protocol, payload_at, splits_header, ports });
        }
        Ok(())
    }

    /// Checks that all fragments agree about the end of the datagram, and takes it from the last one.
    // Invariant: no range ends past `end`. A later fragment may neither pass the known end nor name another one, and the
    // fragment that names the end may not lie before bytes already received.
    fn check_end(&mut self, end: u16, more: bool) -> Result<(), InsertError> {
        let received_end = self.ranges.end();
        match self.end {
            Some(known) if more && end < known || !more && end == known => Ok(()),
            Some(_) => Err(InsertError::Overlap),
            None if more => Ok(()),
            None if end < received_end => Err(InsertError::Overlap),
            None => {
                self.end = Some(end);
                Ok(())
            }
        }
    }

    /// First fragment and end of the datagram, once all bytes between are received.
    pub(super) fn complete(&self) -> Option<(FirstFragment, u16)> {
        let (first, end) = (self.first_fragment?, self.end?);
        self.ranges.is_complete(end).then_some((first, end))
    }

    /// Returns the fragments received as one observation. Its ports are those of the first fragment, or zero if that is
    /// missing.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let (protocol, ports) = self
            .first_fragment
            .map_or((self.key.protocol, (Port(0), Port(0))), |first| (first.protocol, first.ports));
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

/// Length of a TCP header by its data offset (RFC 9293 section 3.1), or that of the shortest.
fn tcp_header_len(bytes: &[u8]) -> usize {
    bytes.get(12).map_or(20, |offset| usize::from(offset >> 4) * 4).max(20)
}

/// Ports at the start of a transport header; zero for protocols without ports.
fn ports(protocol: u8, bytes: &[u8]) -> (Port, Port) {
    match (protocol, bytes) {
        (protocol::TCP | protocol::UDP | protocol::SCTP, [s0, s1, d0, d1, ..]) => {
            (Port(u16::from_be_bytes([*s0, *s1])), Port(u16::from_be_bytes([*d0, *d1])))
        }
        _ => (Port(0), Port(0)),
    }
}
