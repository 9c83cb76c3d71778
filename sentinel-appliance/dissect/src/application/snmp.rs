//! SNMP versions 1, 2c and 3: management of devices.
//!
//! Read first: RFC 3416 section 3 (protocol data units); RFC 1157 section 4.1.6 (trap of version 1); RFC 1901 section 3
//! (communities); RFC 3412 section 6 and RFC 3414 section 2.4 (version 3).

use sentinel_units::service;

use super::ber::{self, CONTEXT, Elements, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};
use super::protocol::{Body, Protocol};

/// SNMP, by its version and what must follow it.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| Message::parse(payload).is_some()),
    ..Protocol::new(service::SNMP, "SNMP", "RFC 3416")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("snmp", fuzz)];

/// Most bindings of a message; a datagram of 1,500 bytes holds about a hundred.
const MAX_BINDINGS: usize = 128;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// 0 for version 1, 1 for version 2c, 3 for version 3.
    pub version: u8,
    /// Community of versions 1 and 2c: their password.
    pub community: Option<&'p [u8]>,
    /// Security of version 3.
    pub security: Option<Security<'p>>,
    /// The request or response; `None` if it is encrypted or cut.
    pub pdu: Option<Pdu<'p>>,
}

/// Header and user-based security of version 3.
#[derive(Clone, Copy, Debug)]
pub struct Security<'p> {
    /// Number that a response repeats.
    pub message_id: i64,
    /// 1 authenticated, 2 encrypted, 4 reportable.
    pub flags: u8,
    /// The authoritative engine.
    pub engine_id: &'p [u8],
    /// The user.
    pub user_name: &'p [u8],
}

/// A protocol data unit.
#[derive(Clone, Copy, Debug)]
pub struct Pdu<'p> {
    /// Number of its type: 0 get, 1 get-next, 2 response, 3 set, 4 trap of version 1, 5 get-bulk, 6 inform, 7 trap, 8 report.
    pub kind: u8,
    /// Its fields up to the bindings.
    pub fields: Elements<'p>,
}

impl<'p> Message<'p> {
    /// Reads a datagram; `None` if it is not SNMP. One that is cut has no protocol data unit.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        let mut fields = Elements::new(Elements::new(payload).open(SEQUENCE)?);
        let version = match *fields.open(INTEGER)? {
            [version @ (0 | 1 | 3)] => version,
            _ => return None,
        };
        if version == 3 {
            return Self::parse_version_3(fields);
        }
        let community = fields.open(OCTET_STRING)?;
        let (tag, content) = fields.next()?;
        let pdu = Some(pdu(tag, content)?);
        Some(Self { version, community: Some(community), security: None, pdu })
    }

    fn parse_version_3(mut fields: Elements<'p>) -> Option<Self> {
        let mut header = Elements::new(fields.open(SEQUENCE)?);
        let message_id = ber::integer(header.open(INTEGER)?)?;
        let _max_size = header.open(INTEGER)?;
        let flags = *header.open(OCTET_STRING)?.first()?;
        let mut security = Elements::new(Elements::new(fields.open(OCTET_STRING)?).open(SEQUENCE)?);
        let engine_id = security.open(OCTET_STRING)?;
        let (_boots, _time) = (security.open(INTEGER)?, security.open(INTEGER)?);
        let user_name = security.open(OCTET_STRING)?;
        // In clear text: context engine, context name, protocol data unit.
        let scoped = fields.open(SEQUENCE).and_then(|scoped| Elements::new(scoped).nth(2));
        Some(Self {
            version: 3,
            community: None,
            security: Some(Security { message_id, flags, engine_id, user_name }),
            pdu: scoped.and_then(|(tag, content)| pdu(tag, content)),
        })
    }
}

fn pdu(tag: u8, content: &[u8]) -> Option<Pdu<'_>> {
    let kind = tag ^ CONTEXT;
    (kind <= 8).then(|| Pdu { kind, fields: Elements::new(content) })
}

impl<'p> Pdu<'p> {
    /// Names and values of the variables: the identifier, tag and contents of the value. At most 128.
    pub fn bindings(&self) -> impl Iterator<Item = (ber::Oid<'p>, u8, &'p [u8])> + use<'p> {
        let mut list = Elements::new(self.fields.last().map_or(&[][..], |(_, content)| content));
        core::iter::from_fn(move || {
            let mut pair = Elements::new(list.open(SEQUENCE)?);
            let name = ber::Oid(pair.open(OBJECT_IDENTIFIER)?);
            let (tag, value) = pair.next()?;
            Some((name, tag, value))
        })
        .take(MAX_BINDINGS)
    }
}

/// Fuzz body: a datagram.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(message.community.is_some() != message.security.is_some());
    if let Some(pdu) = message.pdu {
        assert!(pdu.bindings().count() <= MAX_BINDINGS && pdu.fields.count() <= bytes.len() / 2);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    /// `get` of 1.3.6.1.2.1.1.1.0 in community `public`, version 2c.
    const GET: &[u8] = b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x07\x02\x01\x00\x02\x01\x00\
        \x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00";

    #[test]
    fn a_request_gives_community_and_variables() {
        let message = Message::parse(GET).unwrap();
        assert_eq!((message.version, message.community), (1, Some(&b"public"[..])));
        let pdu = message.pdu.unwrap();
        assert_eq!((pdu.kind, pdu.fields.count()), (0, 4));
        let (name, tag, value) = pdu.bindings().next().unwrap();
        assert_eq!((name.to_string().as_str(), tag, value), ("1.3.6.1.2.1.1.1.0", 5, &[][..]));
    }

    #[test]
    fn version_3_gives_engine_and_user() {
        let security = b"\x30\x10\x04\x03eng\x02\x01\x01\x02\x01\x02\x04\x03bob";
        let encrypted = [
            &b"\x30\x29\x02\x01\x03\x30\x0e\x02\x02\x12\x34\x02\x02\x05\xdc\x04\x01\x03\x02\x01\x03\x04\x12"
                [..],
            security,
            b"\x04\x00",
        ]
        .concat();
        let message = Message::parse(&encrypted).unwrap();
        let found = message.security.unwrap();
        assert_eq!((found.message_id, found.flags, found.user_name), (0x1234, 3, &b"bob"[..]));
        assert!(message.pdu.is_none() && found.engine_id == b"eng");
    }

    #[test]
    fn every_cut_and_other_protocols_are_rejected() {
        for cut in 0..GET.len() {
            assert!(Message::parse(&GET[..cut]).is_none(), "{cut}");
        }
        // LDAP bind, Kerberos, a version that there is not
        for other in [
            &b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"[..],
            b"\x6a\x02\x30\x00",
            b"\x30\x03\x02\x01\x02",
        ] {
            assert!(Message::parse(other).is_none());
        }
    }
}
