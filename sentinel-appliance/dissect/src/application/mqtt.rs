//! MQTT: messages of sensors and switches by way of a broker.
//!
//! Read first: OASIS MQTT 3.1.1 sections 2 and 3, MQTT 5.0 section 2.2.2 (properties).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// MQTT, by a connection request; on its port by any packet whose type and flags belong together.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(is_packet),
    framing: Some(message_len),
    ..Protocol::new(service::MQTT, "MQTT", "OASIS MQTT 5.0")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("mqtt", fuzz)];

/// Longest packet that is waited for; of a longer one the first segment is read.
const MAX_WAIT_LEN: usize = 4096;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// 1 connect, 2 its acknowledgement, 3 publish, 8 subscribe, ...
    pub kind: u8,
    /// Four bits; of a publish packet: 1 retain, 2 and 4 quality of service, 8 duplicate.
    pub flags: u8,
    /// Bytes behind the length, as far as they are there.
    pub body: &'p [u8],
    /// Bytes behind the packet.
    pub remaining: &'p [u8],
}

/// A connection request.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'p> {
    /// `MQTT` or `MQIsdp`.
    pub protocol_name: &'p [u8],
    /// 3, 4 (version 3.1.1) or 5.
    pub protocol_level: u8,
    /// Seconds.
    pub keep_alive: u16,
    /// Name of the client.
    pub client_id: &'p [u8],
    /// User, if there is one. The password is not read.
    pub user_name: Option<&'p [u8]>,
}

impl<'p> Packet<'p> {
    /// Reads a packet; `None` if its length is none.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let mut at = Cursor::new(bytes);
        let first = at.u8().ok()?;
        let len = variable_len(&mut at)?;
        let body = at.take_up_to(len);
        Some(Self { kind: first >> 4, flags: first & 0x0f, body, remaining: at.remaining() })
    }

    /// Reads the body of a connection request.
    #[must_use]
    pub fn connect(&self) -> Option<Connect<'p>> {
        let mut at = Cursor::new(self.body);
        let protocol_name = string(&mut at).filter(|_| self.kind == 1)?;
        let (protocol_level, flags, keep_alive) = (at.u8().ok()?, at.u8().ok()?, at.u16().ok()?);
        let has_properties = protocol_level >= 5;
        let skip_properties = |at: &mut Cursor<'p>| {
            if has_properties { variable_len(at).and_then(|len| at.take(len).ok()) } else { Some(&[][..]) }
        };
        skip_properties(&mut at)?;
        let client_id = string(&mut at)?;
        if flags & 4 != 0 {
            // The will: properties, topic and message.
            skip_properties(&mut at)?;
            string(&mut at)?;
            string(&mut at)?;
        }
        let user_name = if flags & 0x80 != 0 { string(&mut at) } else { None };
        Some(Connect { protocol_name, protocol_level, keep_alive, client_id, user_name })
    }

    /// Topic of a publish packet, or the first of a subscribe or unsubscribe packet.
    #[must_use]
    pub fn topic(&self) -> Option<&'p [u8]> {
        let mut at = Cursor::new(self.body);
        match self.kind {
            3 => string(&mut at),
            8 | 10 => {
                at.u16().ok()?;
                // Version 5 has properties here, none in practice: a length of zero, where a topic's is one or more.
                if let [0, high, low, ..] = *at.remaining()
                    && u16::from_be_bytes([high, low]) > 0
                    && usize::from(u16::from_be_bytes([high, low])) + 4 == at.len()
                {
                    at.u8().ok()?;
                }
                string(&mut at)
            }
            _ => None,
        }
    }
}

/// A number of up to four bytes with seven bits each, the lowest first.
fn variable_len(at: &mut Cursor<'_>) -> Option<usize> {
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let byte = at.u8().ok()?;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(len);
        }
    }
    None
}

fn string<'p>(at: &mut Cursor<'p>) -> Option<&'p [u8]> {
    let len = at.u16().ok()?;
    at.take(usize::from(len)).ok()
}

fn is_packet(bytes: &[u8], ports: Ports) -> bool {
    let Some(packet) = Packet::parse(bytes) else { return false };
    let is_connect = packet.kind == 1
        && packet.flags == 0
        && (packet.body.starts_with(b"\0\x04MQTT") || packet.body.starts_with(b"\0\x06MQIsdp"));
    // Flags are reserved but in publish packets (MQTT 3.1.1 section 2.2.2).
    let are_flags_possible = match packet.kind {
        3 => packet.flags & 6 != 6 && packet.topic().is_some_and(|topic| !topic.contains(&0)),
        6 | 8 | 10 => packet.flags == 2,
        2 | 4 | 5 | 7 | 9 | 11..=15 => packet.flags == 0,
        _ => false,
    };
    is_connect || are_flags_possible && has_any_port(ports, service::MQTT.server.tcp)
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    if !is_packet(bytes, ports) {
        return None;
    }
    let mut at = Cursor::new(bytes);
    at.u8().ok()?;
    let len = variable_len(&mut at)?;
    Some(fixed_len(bytes, (bytes.len() - at.len() + len).min(MAX_WAIT_LEN.max(bytes.len()))))
}

/// Fuzz body: a packet.
fn fuzz(bytes: &[u8]) {
    let Some(packet) = Packet::parse(bytes) else { return };
    assert!(packet.body.len() + packet.remaining.len() < bytes.len() && packet.kind < 16);
    if let Some(connect) = packet.connect() {
        assert!(connect.client_id.len() < bytes.len());
    }
    let _ = packet.topic();
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;

    const PORTS: Ports = (Port(50_000), Port(1883));
    const ANY: Ports = (Port(50_000), Port(18_830));
    /// Version 3.1.1, user `bob`, password `pw`, keep alive 60 s, client `c1`.
    const CONNECT: &[u8] = b"\x10\x17\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02c1\x00\x03bob\x00\x02pw";

    #[test]
    fn a_connection_request_gives_client_and_user() {
        let bytes = [CONNECT, &[0xc0, 0]].concat();
        let packet = Packet::parse(&bytes).unwrap();
        let connect = packet.connect().unwrap();
        assert_eq!((connect.client_id, connect.user_name), (&b"c1"[..], Some(&b"bob"[..])));
        assert_eq!((connect.protocol_level, connect.keep_alive), (4, 60));
        assert_eq!(Packet::parse(packet.remaining).unwrap().kind, 12);
        assert!(is_packet(CONNECT, ANY));
    }

    #[test]
    fn topics_are_found_with_and_without_properties() {
        let topic = |bytes| Packet::parse(bytes).unwrap().topic();
        assert_eq!(topic(b"\x30\x05\x00\x02a/1"), Some(&b"a/"[..]));
        assert_eq!(topic(b"\x82\x08\x00\x01\x00\x03a/b\x00"), Some(&b"a/b"[..]));
        assert_eq!(topic(b"\x82\x09\x00\x01\x00\x00\x03a/b\x00"), Some(&b"a/b"[..]));
        assert!(is_packet(b"\x30\x05\x00\x02a/1", PORTS) && !is_packet(b"\x30\x05\x00\x02a/1", ANY));
        assert!(!is_packet(b"\x81\x08\x00\x01\x00\x03a/b\x00", PORTS) && !is_packet(b"\x00\x00", PORTS));
    }

    #[test]
    fn every_cut_needs_the_rest() {
        for cut in 8..CONNECT.len() {
            assert_eq!(message_len(&CONNECT[..cut], ANY), Some(MessageLen::AtLeast(25)), "{cut}");
            let connect = Packet::parse(&CONNECT[..cut]).unwrap().connect();
            assert!(connect.is_none_or(|connect| connect.client_id == b"c1"));
        }
        assert_eq!(message_len(CONNECT, ANY), Some(MessageLen::Complete));
        assert!(Packet::parse(b"\x30\xff\xff\xff\xff\x01").is_none());
    }
}
