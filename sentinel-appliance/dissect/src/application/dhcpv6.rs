//! DHCP for IPv6.
//!
//! Read first: RFC 9915 sections 8 and 9 (messages), 21 (options), 11 (identifiers).

use sentinel_units::service;

use super::protocol::{Body, Protocol, has_any_port};
use crate::read::Cursor;

/// DHCP for IPv6, by message type and options that must add up, on its ports.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, ports| {
        has_any_port(ports, service::DHCPV6.server.udp) && Message::parse(payload).is_some()
    }),
    ..Protocol::new(service::DHCPV6, "DHCPV6", "RFC 9915")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("dhcpv6", fuzz)];

/// Most options that are read.
const MAX_OPTIONS: usize = 64;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 1 solicit, 2 advertise, 3 request, ..., 12 and 13 relayed.
    pub kind: u8,
    /// Transaction of three bytes; of a relayed message hop count, link address and peer address.
    pub header: &'p [u8],
    options: Cursor<'p>,
}

/// Iterator over options: number and contents. At most 64.
#[derive(Clone, Debug)]
pub struct Options<'p> {
    at: Cursor<'p>,
    left: usize,
}

impl<'p> Options<'p> {
    /// The options inside of another.
    #[must_use]
    pub const fn new(bytes: &'p [u8]) -> Self {
        Self { at: Cursor::new(bytes), left: MAX_OPTIONS }
    }
}

impl<'p> Iterator for Options<'p> {
    type Item = (u16, &'p [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // On a copy: an option that is cut is not taken.
        let mut at = self.at;
        let (number, len) = (at.u16().ok()?, at.u16().ok()?);
        let contents = at.take(usize::from(len)).ok()?;
        self.at = at;
        Some((number, contents))
    }
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if its type is unknown or an option does not fit.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        let mut at = Cursor::new(payload);
        let kind = at.u8().ok()?;
        let header_len = match kind {
            1..=11 => 3,
            12 | 13 => 33,
            _ => return None,
        };
        let message = Self { kind, header: at.take(header_len).ok()?, options: at };
        let mut options = message.options();
        while options.next().is_some() {}
        (options.at.is_empty() || options.left == 0).then_some(message)
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> Options<'p> {
        Options { at: self.options, left: MAX_OPTIONS }
    }

    /// Contents of the first option of this number.
    #[must_use]
    pub fn option(&self, number: u16) -> Option<&'p [u8]> {
        self.options().find(|(found, _)| *found == number).map(|(_, contents)| contents)
    }
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(message.options().count() <= MAX_OPTIONS && message.options().count() <= bytes.len() / 4);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn options_must_end_with_the_message() {
        // request, client identifier of four bytes, an option without contents
        let bytes = [3, 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, 1, 0, 14, 0, 0];
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.kind, message.header, message.option(1)),
            (3, &[1, 2, 3][..], Some(&[0, 3, 0, 1][..]))
        );
        for cut in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..cut]).is_some(), matches!(cut, 4 | 12), "{cut}");
        }
        assert!(Message::parse(&[12; 33]).is_none() && Message::parse(&[0; 8]).is_none());
    }
}
