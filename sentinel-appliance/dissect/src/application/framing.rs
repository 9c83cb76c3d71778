//! Length of the message that a stream starts with, as far as its first bytes show it.
//!
//! Reassembly uses it to find out when a message that spans segments is complete. Each protocol's file looks only as far
//! as it must; the parsers read the message later.

use crate::read::{Cursor, Malformed};

/// Length of the message that some bytes of a stream start with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageLen {
    /// The bytes start no message of a protocol that is read.
    Unrecognised,
    /// The message ends within the bytes, or at their end.
    Complete,
    /// The message has at least this many bytes, more than there are.
    AtLeast(usize),
}

/// Up to the end of a line, which is taken as complete at `max` bytes even without one.
pub(super) fn line_len(bytes: &[u8], max: usize) -> MessageLen {
    if bytes.iter().take(max).any(|byte| *byte == b'\n') || bytes.len() >= max {
        MessageLen::Complete
    } else {
        MessageLen::AtLeast(bytes.len() + 1)
    }
}

/// Takes a line of at most `max` bytes without its end, which is a line feed with or without a carriage return before it.
// Called from several parsers: without the attribute each call may get a copy.
#[inline(never)]
pub(super) fn take_line<'p>(at: &mut Cursor<'p>, max: usize) -> Result<&'p [u8], Malformed> {
    let feed = at.remaining().iter().take(max).position(|byte| *byte == b'\n');
    let Some(feed) = feed else {
        return Err(if at.len() < max { Malformed::Truncated } else { Malformed::BadLength });
    };
    // This and the next take succeed: the line feed was found.
    let line = at.take(feed)?;
    at.u8()?;
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A message of `len` bytes with its header.
pub(super) fn fixed_len(bytes: &[u8], len: usize) -> MessageLen {
    if bytes.len() >= len { MessageLen::Complete } else { MessageLen::AtLeast(len) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::application::{Ports, message_len, quic};
    use sentinel_units::Port;
    use sentinel_units::port::{DNS, SSH};
    use std::vec::Vec;

    const ANY: Ports = (Port(40_000), Port(4_000));

    /// Every prefix needs more bytes, never more than the message has; the message itself is complete.
    fn grows_to(whole: &[u8], ports: Ports, from: usize) {
        assert_eq!(message_len(whole, ports), MessageLen::Complete);
        for cut in from..whole.len() {
            match message_len(&whole[..cut], ports) {
                MessageLen::AtLeast(need) => assert!(need > cut && need <= whole.len(), "{cut}: {need}"),
                other => panic!("{cut}: {other:?}"),
            }
        }
    }

    fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
        let len = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[kind, 3, 1, len[0], len[1]][..], fragment].concat()
    }

    #[test]
    fn prefixes_of_messages_need_more_bytes() {
        let hello = [&[1, 0, 0, 40][..], &[9; 40]].concat();
        grows_to(&record(22, &hello), ANY, 1);
        let split: Vec<u8> = hello.chunks(7).flat_map(|piece| record(22, piece)).collect();
        grows_to(&split, ANY, 1);
        grows_to(b"SSH-2.0-OpenSSH_9.9 Debian\r\n", ANY, 4);
        grows_to(b"Welcome\r\nSSH-2.0-x\r\n", (SSH, Port(50_000)), 1);
        grows_to(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ANY, 1);
        grows_to(b"HTTP/1.1 200 OK\r\n\r\n", ANY, 1);
        let message = [&[0, 12][..], &[1; 12], &[0, 13], &[2; 13]].concat();
        let cuts: Vec<_> = (1..message.len()).filter(|cut| *cut != 14).collect();
        for cut in cuts {
            assert!(
                matches!(message_len(&message[..cut], (Port(50_000), DNS)), MessageLen::AtLeast(need) if need > cut)
            );
        }
        assert_eq!(message_len(&message, (Port(50_000), DNS)), MessageLen::Complete);
    }

    #[test]
    fn a_server_flight_ends_with_its_certificate() {
        let hello = [&[2, 0, 0, 40][..], &[9; 40]].concat();
        let certificate = [&[11, 0, 0, 30, 0, 0, 27, 0, 0, 5][..], &[1; 5]].concat();
        let framing = [&hello[..], &certificate].concat();
        let whole = [record(22, &framing), record(22, &[12, 0, 9, 9])].concat();
        let enough = 5 + framing.len();
        assert_eq!(
            message_len(&whole[..enough], ANY),
            MessageLen::Complete,
            "the key exchange is not waited for"
        );
        grows_to(&whole[..enough], ANY, 1);
        // encrypted from the second record on
        let third = [record(22, &hello), record(20, &[1])].concat();
        assert_eq!(message_len(&third, ANY), MessageLen::Complete);
        assert_eq!(message_len(&third[..5 + hello.len()], ANY), MessageLen::AtLeast(5 + hello.len() + 5));
    }

    #[test]
    fn a_handshake_without_records_is_one_message() {
        let hello = [&[1, 0, 0, 40][..], &[9; 40]].concat();
        assert_eq!(quic::message_len(&hello), MessageLen::Complete);
        for cut in 1..hello.len() {
            assert_eq!(quic::message_len(&hello[..cut]), MessageLen::AtLeast(if cut < 4 { 4 } else { 44 }));
        }
        assert_eq!(
            (quic::message_len(&[]), quic::message_len(&[8, 0, 0, 1])),
            (MessageLen::Unrecognised, MessageLen::Unrecognised)
        );
    }

    #[test]
    fn other_bytes_are_recognised_at_once() {
        for bytes in
            [&b"+OK ready\r\n"[..], b"\x17\x03\x03\x00\x10", b"hello world", b"", b"get / HTTP/1.1", &[0; 40]]
        {
            assert_eq!(message_len(bytes, ANY), MessageLen::Unrecognised, "{bytes:?}");
        }
        assert_eq!(message_len(&[0, 5, 1, 2, 3, 4, 5], (DNS, Port(9))), MessageLen::Unrecognised);
        assert_eq!(message_len(&[0x80, 1, 2], (SSH, Port(9))), MessageLen::Unrecognised);
    }
}
