//! `BitTorrent`. Names of BEP 3 and BEP 5.

use sentinel_dissect::application::bittorrent;

use super::members::{Context, Members};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    if let Some((torrent, peer)) = bittorrent::handshake(bytes) {
        members.word("type", "handshake");
        members.hex("info_hash", torrent);
        // Client and version in letters, then random bytes.
        members.text("peer_id", peer);
    } else if let Some(message) = bittorrent::table_message(bytes) {
        let kind = match message.kind {
            Some(b'q') => "query",
            Some(b'r') => "response",
            Some(b'e') => "error",
            _ => "unknown",
        };
        members.word("type", kind);
        if let Some(query) = message.query {
            members.bare_text("query", query);
        }
        for (name, id) in [(".id", message.id), ("info_hash", message.info_hash)] {
            if let Some(id) = id {
                members.hex(name, id);
            }
        }
    } else if bittorrent::is_tracker_request(bytes) {
        members.word("type", "tracker_connect");
    }
    &[]
}
