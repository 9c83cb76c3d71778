//! Length of a client hello, and of a server's first flight up to its certificate.

use super::record::{CERTIFICATE, CLIENT_HELLO, HANDSHAKE_RECORD, Handshake, HandshakeEnd, SERVER_HELLO};
use crate::application::framing::MessageLen;
use crate::application::protocol::Ports;

const SERVER_HELLO_DONE: u8 = 14;
/// Most messages of a server's first flight.
const MAX_MESSAGES: usize = 8;
/// Bytes that identify a hello: record header and message type.
const START_LEN: usize = 6;

pub(super) fn message_len(bytes: &[u8], _: Ports) -> Option<MessageLen> {
    match bytes {
        [HANDSHAKE_RECORD, 3, _, _, _, CLIENT_HELLO, ..] => Some(walk_messages(bytes, client_hello)),
        [HANDSHAKE_RECORD, 3, _, _, _, SERVER_HELLO, ..] => Some(walk_messages(bytes, server_flight)),
        // Too short to identify, but no other protocol begins so.
        [HANDSHAKE_RECORD] | [HANDSHAKE_RECORD, 3] | [HANDSHAKE_RECORD, 3, 0..=4, ..]
            if bytes.len() < START_LEN =>
        {
            Some(MessageLen::AtLeast(START_LEN))
        }
        _ => None,
    }
}

fn walk_messages(bytes: &[u8], walk: fn(&mut Handshake<'_>) -> Result<(), HandshakeEnd>) -> MessageLen {
    match walk(&mut Handshake::new(bytes)) {
        Err(HandshakeEnd::NeedsBytes(need)) => MessageLen::AtLeast(need),
        Ok(()) | Err(HandshakeEnd::NoRecord) => MessageLen::Complete,
    }
}

fn client_hello(at: &mut Handshake<'_>) -> Result<(), HandshakeEnd> {
    at.u8()?;
    let len = at.u24()?;
    at.skip(len)
}

/// Up to the end of the first certificate, or of the last record before encryption starts.
fn server_flight(at: &mut Handshake<'_>) -> Result<(), HandshakeEnd> {
    for _ in 0..MAX_MESSAGES {
        let kind = at.u8()?;
        let len = at.u24()?;
        match kind {
            SERVER_HELLO_DONE => break,
            CERTIFICATE => {
                let _all = at.u24()?;
                let first = at.u24()?;
                return at.skip(first);
            }
            _ => at.skip(len)?,
        }
    }
    Ok(())
}
