//! Modbus over TCP: registers of industrial devices.
//!
//! Read first: "MODBUS Messaging on TCP/IP Implementation Guide" V1.0b section 3.1.3; "MODBUS Application Protocol" V1.1b3
//! section 6.

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// Modbus, by protocol number zero and its length, on its port.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, ports| {
        has_any_port(ports, service::MODBUS.server.tcp) && message(payload).is_some()
    }),
    framing: Some(message_len),
    ..Protocol::new(service::MODBUS, "MODBUS", "MODBUS Messaging on TCP/IP V1.0b")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[];

/// A message and the bytes behind it; `None` if the header is of another protocol. A message that is cut ends with the bytes.
#[must_use]
pub fn message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[_, _, 0, 0, 0, len @ 2..=254, _, 1..=0xff, ..] = bytes else { return None };
    let mut at = Cursor::new(bytes);
    Some((at.take_up_to(6 + usize::from(len)), at.remaining()))
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    let is_mine = has_any_port(ports, service::MODBUS.server.tcp) && message(bytes).is_some();
    let len = *bytes.get(5).filter(|_| is_mine)?;
    Some(fixed_len(bytes, 6 + usize::from(len)))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;

    const PORTS: Ports = (Port(50_000), Port(502));
    /// Read of three holding registers from 107 on, unit 17.
    const READ: &[u8] = &[0, 1, 0, 0, 0, 6, 17, 3, 0, 107, 0, 3];

    #[test]
    fn messages_follow_each_other() {
        let two = [READ, READ].concat();
        assert_eq!(message(&two), Some((READ, READ)));
        for cut in 8..READ.len() {
            assert_eq!(message_len(&READ[..cut], PORTS), Some(MessageLen::AtLeast(12)));
        }
        assert_eq!(message_len(READ, PORTS), Some(MessageLen::Complete));
        assert_eq!(message_len(READ, (Port(1), Port(2))), None);
        assert!(message(&READ[..7]).is_none() && message(&[0, 1, 0, 1, 0, 6, 17, 3]).is_none());
    }
}
