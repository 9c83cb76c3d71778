//! Resource records and their data.
//!
//! Read first: RFC 1035 sections 3.2 and 3.3; RFC 3596 (AAAA); RFC 2782 (SRV); RFC 9460 (SVCB, HTTPS);
//! RFC 6891 section 6 (OPT).

use core::fmt;

use sentinel_units::Address;

use super::Name;
use crate::read::{Cursor, Malformed};

const INTERNET: u16 = 1;
/// Top bit of the class in multicast DNS (RFC 6762 section 10.2).
const CACHE_FLUSH: u16 = 0x8000;

/// Type of a record: <https://www.iana.org/assignments/dns-parameters>.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordType(pub u16);

impl RecordType {
    /// IPv4 address.
    pub const A: Self = Self(1);
    /// Name server.
    pub const NS: Self = Self(2);
    /// Canonical name.
    pub const CNAME: Self = Self(5);
    /// Start of authority.
    pub const SOA: Self = Self(6);
    /// Arbitrary bytes; used by tunnels.
    pub const NULL: Self = Self(10);
    /// Pointer to another name, as for reverse look-ups.
    pub const PTR: Self = Self(12);
    /// Mail exchange.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// IPv6 address.
    pub const AAAA: Self = Self(28);
    /// Service.
    pub const SRV: Self = Self(33);
    /// Not a record: extensions of the message (EDNS).
    pub const OPT: Self = Self(41);
    /// Service binding.
    pub const SVCB: Self = Self(64);
    /// Service binding for HTTPS.
    pub const HTTPS: Self = Self(65);
    /// Delegation signer: fingerprint of a key of the zone below.
    pub const DS: Self = Self(43);
    /// Fingerprint of a host's key for SSH.
    pub const SSHFP: Self = Self(44);
    /// Signature over records.
    pub const RRSIG: Self = Self(46);
    /// Next name that there is.
    pub const NSEC: Self = Self(47);
    /// Public key of a zone.
    pub const DNSKEY: Self = Self(48);
    /// Next name that there is, hashed.
    pub const NSEC3: Self = Self(50);
    /// Fingerprint of a certificate.
    pub const TLSA: Self = Self(52);
    /// Uniform resource identifier of a service.
    pub const URI: Self = Self(256);
    /// Authorities that may certify a domain.
    pub const CAA: Self = Self(257);
    /// A question for a complete zone.
    pub const AXFR: Self = Self(252);
    /// A question for any type.
    pub const ANY: Self = Self(255);
}

/// The usual name, or `TYPE` and the number (RFC 3597 section 5).
impl fmt::Display for RecordType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match *self {
            Self::A => "A",
            Self::NS => "NS",
            Self::CNAME => "CNAME",
            Self::SOA => "SOA",
            Self::NULL => "NULL",
            Self::PTR => "PTR",
            Self::MX => "MX",
            Self::TXT => "TXT",
            Self::AAAA => "AAAA",
            Self::SRV => "SRV",
            Self::OPT => "OPT",
            Self::DS => "DS",
            Self::SSHFP => "SSHFP",
            Self::RRSIG => "RRSIG",
            Self::NSEC => "NSEC",
            Self::DNSKEY => "DNSKEY",
            Self::NSEC3 => "NSEC3",
            Self::TLSA => "TLSA",
            Self::URI => "URI",
            Self::CAA => "CAA",
            Self::SVCB => "SVCB",
            Self::HTTPS => "HTTPS",
            Self::AXFR => "AXFR",
            Self::ANY => "ANY",
            Self(number) => return write!(out, "TYPE{number}"),
        })
    }
}

/// Which part of a message a record is in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Section {
    /// Answers the question.
    Answer,
    /// Names the servers that know.
    Authority,
    /// May be useful as well.
    Additional,
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'m> {
    /// Which part of the message it is in.
    pub section: Section,
    /// Owner name of the record.
    pub name: Name<'m>,
    /// Type of [`Record::data`].
    pub record_type: RecordType,
    /// Class as on the wire, 1 for the Internet. Multicast DNS uses the top bit for "discard older ones" (cache flush);
    /// of [`RecordType::OPT`] it is the size of datagrams the sender takes.
    pub class: u16,
    /// Time to live in seconds; flags in [`RecordType::OPT`].
    pub ttl_s: u32,
    /// The data as on the wire; names in it may be compressed.
    pub bytes: &'m [u8],
    message: &'m [u8],
    /// Where `bytes` starts in `message`.
    start: usize,
}

/// The data of a record, decoded.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RecordData<'m> {
    /// IPv4 address.
    A(Address),
    /// IPv6 address.
    Aaaa(Address),
    /// Canonical name.
    Cname(Name<'m>),
    /// Name server.
    Ns(Name<'m>),
    /// Pointer to another name.
    Ptr(Name<'m>),
    /// Mail exchange.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The mail server.
        exchange: Name<'m>,
    },
    /// Start of authority.
    Soa {
        /// Primary server.
        primary: Name<'m>,
        /// Mailbox of the responsible person, with a dot for the at sign.
        mailbox: Name<'m>,
        /// Version of the zone.
        serial: u32,
        /// Time to live of negative answers, in seconds (RFC 2308).
        minimum_s: u32,
    },
    /// Text strings.
    Txt(Strings<'m>),
    /// Service.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among those of equal priority.
        weight: u16,
        /// Port of the service.
        port: u16,
        /// Host of the service.
        target: Name<'m>,
    },
    /// Service binding (SVCB, HTTPS).
    Service {
        /// Zero for an alias.
        priority: u16,
        /// Host of the service.
        target: Name<'m>,
        /// Parameters as on the wire.
        parameters: &'m [u8],
    },
    /// Something else, or a well-known type in a class other than the Internet.
    Other(&'m [u8]),
}

impl<'m> Record<'m> {
    /// Decodes the data.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the data is shorter than its type needs.
    /// - [`Malformed::BadLength`] if it is longer, or a name in it ends beyond it.
    /// - [`Malformed::BadName`], [`Malformed::BadPointer`] as for [`Name`].
    pub fn data(&self) -> Result<RecordData<'m>, Malformed> {
        // In other classes a type may mean something else; updates delete by records without data in class
        // "none" and "any" (RFC 2136 section 2.4).
        if self.class & !CACHE_FLUSH != INTERNET {
            return Ok(RecordData::Other(self.bytes));
        }
        let mut fields = Fields { record: self, position: self.start };
        let data = match self.record_type {
            RecordType::A => RecordData::A(Address::v4(fields.cursor()?.u32()?)).fixed(self, 4)?,
            RecordType::AAAA => {
                let mut at = fields.cursor()?;
                let words = [at.u32()?, at.u32()?, at.u32()?, at.u32()?];
                RecordData::Aaaa(Address::v6(words)).fixed(self, 16)?
            }
            RecordType::CNAME => RecordData::Cname(fields.name()?),
            RecordType::NS => RecordData::Ns(fields.name()?),
            RecordType::PTR => RecordData::Ptr(fields.name()?),
            RecordType::MX => RecordData::Mx { preference: fields.u16()?, exchange: fields.name()? },
            RecordType::SOA => {
                let (primary, mailbox, serial) = (fields.name()?, fields.name()?, fields.u32()?);
                let (_refresh, _retry, _expire) = (fields.u32()?, fields.u32()?, fields.u32()?);
                RecordData::Soa { primary, mailbox, serial, minimum_s: fields.u32()? }
            }
            RecordType::TXT => RecordData::Txt(Strings { at: Cursor::new(self.bytes) }),
            RecordType::SRV => RecordData::Srv {
                priority: fields.u16()?,
                weight: fields.u16()?,
                port: fields.u16()?,
                target: fields.name()?,
            },
            RecordType::SVCB | RecordType::HTTPS => RecordData::Service {
                priority: fields.u16()?,
                target: fields.name()?,
                parameters: fields.cursor()?.remaining(),
            },
            _ => RecordData::Other(self.bytes),
        };
        Ok(data)
    }
}

impl RecordData<'_> {
    /// Checks that a record of fixed length has it.
    fn fixed(self, record: &Record<'_>, len: usize) -> Result<Self, Malformed> {
        if record.bytes.len() == len { Ok(self) } else { Err(Malformed::BadLength) }
    }
}

/// Reads the data of a record in order. Names may point to any part of the message; all else stays inside the record.
struct Fields<'r, 'm> {
    record: &'r Record<'m>,
    position: usize,
}

impl<'m> Fields<'_, 'm> {
    fn cursor(&self) -> Result<Cursor<'m>, Malformed> {
        // A name is read from the message and may end behind the record: `done` is then past its end.
        let done = self.position.checked_sub(self.record.start).ok_or(Malformed::BadLength)?;
        self.record.bytes.get(done..).map(Cursor::new).ok_or(Malformed::BadLength)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let value = self.cursor()?.u16()?;
        self.position += 2;
        Ok(value)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let value = self.cursor()?.u32()?;
        self.position += 4;
        Ok(value)
    }

    fn name(&mut self) -> Result<Name<'m>, Malformed> {
        let (name, behind) = Name::parse(self.record.message, self.position)?;
        self.position = behind;
        // Fails if the name ended behind the record.
        self.cursor()?;
        Ok(name)
    }
}

/// Part of the data of a record, as zone files write it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'m> {
    /// An address.
    Address(Address),
    /// Strings, which are shown in one.
    Strings(Strings<'m>),
    /// A number.
    Number(u32),
    /// A name.
    Name(Name<'m>),
    /// A type of records.
    Type(RecordType),
    /// Text in letters and digits.
    Word(&'m [u8]),
    /// Text, which zone files put in quotes.
    Text(&'m [u8]),
    /// Bytes that zone files write in hexadecimal.
    Hex(&'m [u8]),
    /// Bytes that zone files write in base 64.
    Base64(&'m [u8]),
    /// Parameters of a service binding: number, length and value of each (RFC 9460 section 2.2).
    Parameters(&'m [u8]),
}

/// Formats of the types whose data is a row of parts: `a` an address of IPv4 and `A` of IPv6, which are all of it, `1`, `2` and `4` numbers of so many bytes, `t` a type, `n` a name, `w` a
/// word with a length before it; the remaining bytes as strings `x`, as text `s`, in hexadecimal `h`, in base 64 `b`, as parameters `p`.
const FORMATS: &[(RecordType, &[u8])] = &[
    (RecordType::A, b"a"),
    (RecordType::AAAA, b"A"),
    (RecordType::CNAME, b"n"),
    (RecordType::NS, b"n"),
    (RecordType::PTR, b"n"),
    (RecordType::TXT, b"x"),
    (RecordType::SOA, b"nn44444"),
    (RecordType::MX, b"2n"),
    (RecordType::SRV, b"222n"),
    (RecordType::DS, b"211h"),         // RFC 4034 section 5.1
    (RecordType::SSHFP, b"11h"),       // RFC 4255 section 3.1
    (RecordType::RRSIG, b"t114442nb"), // RFC 4034 section 3.1
    (RecordType::DNSKEY, b"211b"),     // RFC 4034 section 2.1
    (RecordType::TLSA, b"111h"),       // RFC 6698 section 2.1
    (RecordType::SVCB, b"2np"),
    (RecordType::HTTPS, b"2np"),
    (RecordType::URI, b"22s"), // RFC 7553 section 4
    (RecordType::CAA, b"1ws"), // RFC 8659 section 4.1
];

impl<'m> Record<'m> {
    /// The parts of the data in order; `None` for other types, and in another class than the Internet. Ends at a part that is
    /// malformed, with its fault, as that of [`Record::data`].
    #[must_use]
    pub fn parts(&self) -> Option<impl Iterator<Item = Result<Part<'m>, Malformed>>> {
        let (_, format) = FORMATS
            .iter()
            .find(|(kind, _)| *kind == self.record_type && self.class & !CACHE_FLUSH == INTERNET)?;
        let record = *self;
        let mut position = Some(self.start);
        // At most nine parts: the length of a format.
        Some(format.iter().map_while(move |part| {
            let mut fields = Fields { record: &record, position: position? };
            let found = fields.part(*part);
            position = found.is_ok().then_some(fields.position);
            Some(found)
        }))
    }
}

impl<'m> Fields<'_, 'm> {
    fn u8(&mut self) -> Result<u8, Malformed> {
        let value = self.cursor()?.u8()?;
        self.position += 1;
        Ok(value)
    }

    /// All of the data, which must have this length.
    fn whole<const N: usize>(&self) -> Result<&'m [u8; N], Malformed> {
        let bytes = self.record.bytes;
        let short = if bytes.len() < N { Malformed::Truncated } else { Malformed::BadLength };
        bytes.try_into().map_err(|_| short)
    }

    fn part(&mut self, format: u8) -> Result<Part<'m>, Malformed> {
        Ok(match format {
            b'a' => Part::Address(Address::v4(u32::from_be_bytes(*self.whole()?))),
            b'A' => {
                let mut at = Cursor::new(self.whole::<16>()?);
                Part::Address(Address::v6([at.u32()?, at.u32()?, at.u32()?, at.u32()?]))
            }
            b'x' => Part::Strings(Strings { at: self.cursor()? }),
            b'1' => Part::Number(self.u8()?.into()),
            b'2' => Part::Number(self.u16()?.into()),
            b'4' => Part::Number(self.u32()?),
            b't' => Part::Type(RecordType(self.u16()?)),
            b'n' => Part::Name(self.name()?),
            b'w' => {
                let len = usize::from(self.u8()?);
                let word = self.cursor()?.take(len)?;
                self.position += len;
                Part::Word(word)
            }
            b's' => Part::Text(self.cursor()?.remaining()),
            b'h' => Part::Hex(self.cursor()?.remaining()),
            b'b' => Part::Base64(self.cursor()?.remaining()),
            _ => Part::Parameters(self.cursor()?.remaining()),
        })
    }
}

/// Iterator over the strings of a text record. Ends at one that is longer than the record.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'m> {
    at: Cursor<'m>,
}

impl<'m> Iterator for Strings<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let len = self.at.u8().ok()?;
        self.at.take(usize::from(len)).ok()
    }
}

/// Iterator over the records of a message. Ends after the first that is malformed.
///
/// A count in the header is no bound on work: each record takes eleven bytes or more of the message, so
/// a message of `n` bytes gives at most `n / 11` records whatever its header says.
#[derive(Clone, Debug)]
pub struct Records<'m> {
    message: &'m [u8],
    position: usize,
    /// Records left in the three sections.
    left: [u16; 3],
    /// Found before the first record; given once.
    fault: Option<Malformed>,
}

impl<'m> Records<'m> {
    pub(super) const fn new(
        message: &'m [u8],
        position: usize,
        counts: [u16; 3],
        fault: Option<Malformed>,
    ) -> Self {
        Self { message, position, left: counts, fault }
    }

    fn next_section(&mut self) -> Option<Section> {
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        // The sections come in this order (RFC 1035 section 4.1), so the first with a count left is the
        // present one.
        let (left, section) = self.left.iter_mut().zip(sections).find(|(left, _)| **left > 0)?;
        *left -= 1;
        Some(section)
    }

    fn read(&mut self, section: Section) -> Result<Record<'m>, Malformed> {
        let (name, behind) = Name::parse(self.message, self.position)?;
        let mut at = Cursor::new(self.message.get(behind..).unwrap_or_default());
        let (record_type, class, ttl_s) = (RecordType(at.u16()?), at.u16()?, at.u32()?);
        let bytes_len = usize::from(at.u16()?);
        let bytes = at.take(bytes_len)?;
        // Type, class, time to live and length: ten bytes (RFC 1035 section 4.1.3).
        let start = behind.saturating_add(10);
        self.position = start.saturating_add(bytes_len);
        Ok(Record { section, name, record_type, class, ttl_s, bytes, message: self.message, start })
    }
}

impl<'m> Iterator for Records<'m> {
    type Item = Result<Record<'m>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.fault.take() {
            Some(fault) => Err(fault),
            None => {
                let section = self.next_section()?;
                self.read(section)
            }
        };
        if record.is_err() {
            self.left = [0; 3];
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::application::dns::{Message, NameBuffer};
    use std::string::ToString;
    use std::vec::Vec;

    /// An answer of one record at 12 with this type and data; its name is `a.example`.
    fn message(record_type: RecordType, data: &[u8]) -> Vec<u8> {
        let header = [0, 7, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0];
        let len = u16::try_from(data.len()).unwrap().to_be_bytes();
        let fixed = [&record_type.0.to_be_bytes()[..], &[0, 1, 0, 0, 0x0e, 0x10], &len].concat();
        [&header[..], b"\x01a\x07example\x00", &fixed, data].concat()
    }

    fn with_data<T>(
        record_type: RecordType,
        data: &[u8],
        check: impl Fn(Result<RecordData<'_>, Malformed>) -> T,
    ) -> T {
        let bytes = message(record_type, data);
        let record = Message::parse(&bytes).unwrap().answers().next().unwrap().unwrap();
        assert_eq!((record.name.to_string().as_str(), record.record_type), ("a.example", record_type));
        assert_eq!((record.class, record.ttl_s, record.section), (1, 3600, Section::Answer));
        check(record.data())
    }

    /// Data of each type that is decoded, how many bytes the type needs at least, and its text.
    const SAMPLES: [(RecordType, &[u8], usize, &str); 12] = [
        (RecordType::A, &[192, 0, 2, 1], 4, "192.0.2.1"),
        (RecordType::AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 16, "2001:db8::1"),
        (RecordType::CNAME, b"\x01b\xc0\x0e", 4, "b.example"),
        (RecordType::NS, b"\x02ns\xc0\x0e", 5, "ns.example"),
        (RecordType::PTR, b"\xc0\x0c", 2, "a.example"),
        (RecordType::MX, b"\x00\x0a\x02mx\xc0\x0e", 7, "10 mx.example"),
        (
            RecordType::SOA,
            b"\x02ns\xc0\x0e\x04root\xc0\x0e\x00\x00\x00\x07\0\0\0\0\0\0\0\0\0\0\0\0\x00\x00\x00\x3c",
            32,
            "ns.example root.example 7 60",
        ),
        (RecordType::TXT, b"\x03abc\x00\x01d", 0, "abc||d|"),
        (RecordType::SRV, b"\x00\x01\x00\x02\x14\xe7\x01h\xc0\x0e", 10, "1 2 5351 h.example"),
        (RecordType::SVCB, b"\x00\x00\x01s\xc0\x0e", 6, "0 s.example 0"),
        (RecordType::HTTPS, b"\x00\x01\x00\x00\x01\x00\x03\x02h2", 3, "1 . 7"),
        (RecordType::NULL, b"\x01\x02", 0, "[1, 2]"),
    ];

    fn shown(data: RecordData<'_>) -> std::string::String {
        match data {
            RecordData::A(address) | RecordData::Aaaa(address) => address.to_string(),
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => name.to_string(),
            RecordData::Mx { preference, exchange } => std::format!("{preference} {exchange}"),
            RecordData::Soa { primary, mailbox, serial, minimum_s } => {
                std::format!("{primary} {mailbox} {serial} {minimum_s}")
            }
            RecordData::Txt(strings) => {
                strings.map(|string| std::format!("{}|", str::from_utf8(string).unwrap())).collect()
            }
            RecordData::Srv { priority, weight, port, target } => {
                std::format!("{priority} {weight} {port} {target}")
            }
            RecordData::Service { priority, target, parameters } => {
                std::format!("{priority} {target} {}", parameters.len())
            }
            RecordData::Other(bytes) => std::format!("{bytes:?}"),
        }
    }

    #[test]
    fn each_type_is_decoded() {
        for (record_type, data, _, expected) in SAMPLES {
            with_data(record_type, data, |data| assert_eq!(shown(data.unwrap()), expected));
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for (record_type, data, needed, _) in SAMPLES {
            // the complete message, cut
            let bytes = message(record_type, data);
            for cut in 12..bytes.len() {
                let mut records = Message::parse(&bytes[..cut]).unwrap().records();
                assert_eq!(records.next().unwrap().err(), Some(Malformed::Truncated), "{record_type} {cut}");
                assert!(records.next().is_none());
            }
            // the record shortened, its length with it
            for cut in 0..data.len() {
                with_data(record_type, &data[..cut], |data| {
                    assert_eq!(data.is_ok(), cut >= needed, "{record_type} {cut}");
                });
            }
        }
    }

    #[test]
    fn data_longer_than_its_type_is_an_error() {
        with_data(RecordType::A, &[0; 5], |data| assert_eq!(data.err(), Some(Malformed::BadLength)));
        with_data(RecordType::AAAA, &[0; 17], |data| assert_eq!(data.err(), Some(Malformed::BadLength)));
    }

    #[test]
    fn a_name_does_not_reach_beyond_its_record() {
        // two records; the data of the first ends within its name, which continues in the second
        let mut bytes = message(RecordType::CNAME, b"\x05ab");
        bytes[7] = 2;
        bytes.extend_from_slice(b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00");
        let record = Message::parse(&bytes).unwrap().records().next().unwrap().unwrap();
        assert_eq!(record.data().err(), Some(Malformed::BadLength));
    }

    #[test]
    fn a_data_length_too_big_is_an_error() {
        let mut bytes = message(RecordType::A, &[192, 0, 2, 1]);
        for length in [5, 255] {
            bytes[32] = length;
            let record = Message::parse(&bytes).unwrap().records().next().unwrap();
            assert_eq!(record.err(), Some(Malformed::Truncated));
        }
    }

    #[test]
    fn a_string_longer_than_its_record_ends_the_strings() {
        with_data(RecordType::TXT, b"\x01a\x09b", |data| match data {
            Ok(RecordData::Txt(strings)) => assert_eq!(strings.collect::<Vec<_>>(), [b"a"]),
            other => panic!("{other:?}"),
        });
    }

    #[test]
    fn records_of_other_classes_are_not_decoded() {
        // any (an update that deletes), the Internet with the bit of multicast DNS
        let mut bytes = message(RecordType::A, &[]);
        bytes[25..27].copy_from_slice(&[0, 255]);
        let record = Message::parse(&bytes).unwrap().answers().next().unwrap().unwrap();
        assert!(matches!(record.data(), Ok(RecordData::Other([]))));
        let mut bytes = message(RecordType::A, &[192, 0, 2, 1]);
        bytes[25..27].copy_from_slice(&[0x80, 1]);
        let record = Message::parse(&bytes).unwrap().answers().next().unwrap().unwrap();
        assert!(matches!(record.data(), Ok(RecordData::A(_))));
    }

    #[test]
    fn parts_are_those_of_zone_files_and_cuts_have_fewer() {
        let signer = b"\x00\x01\x08\x02\0\0\x0e\x10\0\0\0\x02\0\0\0\x01\x12\x34\x01b\xc0\x0eSIG";
        for (record_type, data, expected) in [
            (RecordType::A, &[192, 0, 2, 1][..], "192.0.2.1"),
            (RecordType::TXT, b"\x01a\x01b", "[97][98]"),
            (RecordType::CAA, b"\x00\x05issueca.example", "0 issue \"ca.example\""),
            (RecordType::DS, b"\x12\x34\x08\x02\xab", "4660 8 2 [171]"),
            (RecordType::RRSIG, signer, "A 8 2 3600 2 1 4660 b.example [83, 73, 71]"),
            (RecordType::URI, b"\0\x01\0\x02ftp://x", "1 2 \"ftp://x\""),
            (RecordType::HTTPS, b"\0\x01\0\0\x01\0\x03\x02h2", "1 . [0, 1, 0, 3, 2, 104, 50]"),
        ] {
            let shown = |data: &[u8]| {
                let bytes = message(record_type, data);
                let record = Message::parse(&bytes).unwrap().answers().next().unwrap().unwrap();
                let parts = record.parts().unwrap().map_while(Result::ok).map(|part| match part {
                    Part::Address(address) => address.to_string(),
                    Part::Strings(strings) => strings.map(|it| std::format!("{it:?}")).collect(),
                    Part::Number(number) => number.to_string(),
                    Part::Name(name) => name.to_string(),
                    Part::Type(kind) => kind.to_string(),
                    Part::Word(word) => str::from_utf8(word).unwrap().to_string(),
                    Part::Text(text) => std::format!("{:?}", str::from_utf8(text).unwrap()),
                    Part::Hex(bytes) | Part::Base64(bytes) | Part::Parameters(bytes) => {
                        std::format!("{bytes:?}")
                    }
                });
                parts.collect::<Vec<_>>()
            };
            assert_eq!(shown(data).join(" "), expected);
            for cut in 0..data.len() {
                assert!(shown(&data[..cut]).len() <= shown(data).len(), "{record_type} {cut}");
            }
        }
    }

    #[test]
    fn types_have_names() {
        assert_eq!(RecordType::HTTPS.to_string(), "HTTPS");
        assert_eq!(RecordType(999).to_string(), "TYPE999");
    }

    #[test]
    fn one_buffer_serves_all_names_of_a_message() {
        let bytes = message(RecordType::MX, b"\x00\x0a\x02mx\xc0\x0e");
        let mut buffer = NameBuffer::new();
        let record = Message::parse(&bytes).unwrap().answers().next().unwrap().unwrap();
        assert_eq!(record.name.text(&mut buffer), "a.example");
        let Ok(RecordData::Mx { exchange, .. }) = record.data() else { panic!("no mail exchange") };
        assert_eq!(exchange.text(&mut buffer), "mx.example");
    }
}
