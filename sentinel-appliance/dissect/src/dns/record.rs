//! Resource records and what is in them.
//!
//! Read first: RFC 1035 sections 3.2 and 3.3; RFC 3596 (AAAA); RFC 2782 (SRV); RFC 9460 (SVCB, HTTPS);
//! RFC 6891 section 6 (OPT).

use core::fmt;

use sentinel_units::Address;

use super::Name;
use crate::Malformed;
use crate::cursor::Cursor;

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
    /// A question for the whole zone.
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
    /// What the record is about.
    pub name: Name<'m>,
    /// Type of [`Record::data`].
    pub record_type: RecordType,
    /// Class as on the wire, 1 for the Internet. Multicast DNS uses the top bit for "forget older ones";
    /// of [`RecordType::OPT`] it is the size of datagrams the sender takes.
    pub class: u16,
    /// How long it may be remembered, in seconds; of [`RecordType::OPT`] flags.
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
        /// Mailbox of who is responsible, with a dot for the at sign.
        mailbox: Name<'m>,
        /// Version of the zone.
        serial: u32,
        /// How long a missing name may be remembered, in seconds (RFC 2308).
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
                parameters: fields.cursor()?.rest(),
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

/// Reads the data of a record in order. Names need the whole message, all else stays inside the record.
struct Fields<'r, 'm> {
    record: &'r Record<'m>,
    position: usize,
}

impl<'m> Fields<'_, 'm> {
    fn cursor(&self) -> Result<Cursor<'m>, Malformed> {
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
        self.cursor()?;
        Ok(name)
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
