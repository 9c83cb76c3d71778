//! `BitTorrent`: handshakes of peers, the distributed hash table, announcements to trackers over UDP.
//!
//! Read first: BEP 3 (handshake), BEP 5 (hash table), BEP 15 (trackers).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, starts_with_any};

/// `BitTorrent`, by the name of the protocol, the first keys of a dictionary, or the number of a tracker's protocol.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| payload.starts_with(START)),
    datagram: Some(|payload, _| is_table_message(payload) || is_tracker_request(payload)),
    framing: Some(message_len),
    ..Protocol::new(service::BITTORRENT, "BITTORRENT", "BEP 3, BEP 5, BEP 15")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("bittorrent", fuzz)];

const START: &[u8] = b"\x13BitTorrent protocol";
const HANDSHAKE_LEN: usize = 68;
/// Bytes in which the keys behind the identifier are looked for.
const MAX_SEARCH: usize = 400;

/// Torrent and peer of a handshake.
#[must_use]
pub fn handshake(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // Eight bytes of extensions, then twenty each.
    let ids = bytes.strip_prefix(START)?.get(8..)?;
    Some((ids.get(..20)?, ids.get(20..40)?))
}

/// A message of the hash table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableMessage<'p> {
    /// `q` query, `r` response, `e` error; `None` if the message is cut before it.
    pub kind: Option<u8>,
    /// Name of the query: `ping`, `find_node`, `get_peers`, `announce_peer`.
    pub query: Option<&'p [u8]>,
    /// Identifier of the sender, twenty bytes.
    pub id: Option<&'p [u8]>,
    /// Torrent that is looked for, twenty bytes.
    pub info_hash: Option<&'p [u8]>,
}

/// Reads a message of the hash table.
#[must_use]
pub fn table_message(payload: &[u8]) -> Option<TableMessage<'_>> {
    if !is_table_message(payload) {
        return None;
    }
    let kind = behind(payload, b"1:y1:").and_then(|kind| kind.first().copied());
    Some(TableMessage {
        kind,
        // Only queries have the key; in others it may be part of a value.
        query: behind(payload, b"1:q").filter(|_| kind == Some(b'q')).and_then(string),
        id: behind(payload, b"2:id20:").and_then(|id| id.get(..20)),
        info_hash: behind(payload, b"9:info_hash20:").and_then(|hash| hash.get(..20)),
    })
}

/// A text of one or two digits of length, a colon, and that many letters.
fn string(bytes: &[u8]) -> Option<&[u8]> {
    let colon = bytes.iter().take(3).position(|byte| *byte == b':')?;
    let len: usize = str::from_utf8(bytes.get(..colon)?).ok()?.parse().ok()?;
    bytes.get(colon + 1..)?.get(..len)
}

/// The bytes behind the first place of `key`.
fn behind<'p>(payload: &'p [u8], key: &[u8]) -> Option<&'p [u8]> {
    let at = payload.windows(key.len()).take(MAX_SEARCH).position(|window| window == key)?;
    payload.get(at + key.len()..)
}

fn is_table_message(payload: &[u8]) -> bool {
    starts_with_any(payload, &[b"d1:ad2:id20:", b"d1:rd2:id20:", b"d2:ip", b"d1:el"])
        && behind(payload, b"1:y1:").is_some()
}

/// Returns true for a connection request to a tracker.
#[must_use]
pub fn is_tracker_request(payload: &[u8]) -> bool {
    matches!(payload, [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, _, _, _, _])
}

fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    bytes.starts_with(START).then(|| fixed_len(bytes, HANDSHAKE_LEN))
}

/// Fuzz body: a datagram, and a segment.
fn fuzz(bytes: &[u8]) {
    if let Some(message) = table_message(bytes) {
        assert!(
            message.id.is_none_or(|id| id.len() == 20) && message.query.is_none_or(|query| query.len() < 100)
        );
    }
    assert!(handshake(bytes).is_none_or(|(torrent, peer)| (torrent.len(), peer.len()) == (20, 20)));
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;

    #[test]
    fn a_handshake_gives_torrent_and_peer() {
        let bytes = [START, &[0; 8], &[7; 20], b"-XX0001-123456789012"].concat();
        assert_eq!(handshake(&bytes), Some((&[7; 20][..], &b"-XX0001-123456789012"[..])));
        for cut in 20..bytes.len() {
            assert!(handshake(&bytes[..cut]).is_none());
            assert_eq!(message_len(&bytes[..cut], (Port(1), Port(2))), Some(MessageLen::AtLeast(68)));
        }
    }

    #[test]
    fn a_query_gives_its_name_and_what_is_looked_for() {
        let bytes = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe";
        let message = table_message(bytes).unwrap();
        assert_eq!((message.kind, message.query), (Some(b'q'), Some(&b"get_peers"[..])));
        assert_eq!(message.id, Some(&b"abcdefghij0123456789"[..]));
        assert_eq!(message.info_hash, Some(&b"mnopqrstuvwxyz123456"[..]));
        for cut in 0..bytes.len() - 2 {
            assert_eq!(table_message(&bytes[..cut]), None, "{cut}");
        }
        assert!(is_tracker_request(b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0abcd"));
    }
}
