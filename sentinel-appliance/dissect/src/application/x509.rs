//! X.509 certificates: subject, issuer, validity, other names of the subject.
//!
//! Read first: RFC 5280 section 4.1; ITU-T X.690 section 8 (encoding); RFC 4514 (how names are written).
//!
//! Signatures and other extensions are not read: a sensor has no trust anchors, so it reports the fields without judging them.

use core::fmt;

use super::ber::{
    BOOLEAN, INTEGER, OBJECT_IDENTIFIER, Oid, SEQUENCE, any_element, element, element_start, header,
};
use crate::read::{Cursor, Malformed};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SET: u8 = 0x31;
/// `[0]`, around the version.
const VERSION: u8 = 0xa0;
/// `[1]` and `[2]`, identifiers of issuer and subject that nobody uses; `[3]`, around the extensions.
const ISSUER_IDENTIFIER: u8 = 0x81;
const SUBJECT_IDENTIFIER: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
/// The extension with other names of the subject: 2.5.29.17.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 17];
/// Most parts of a name.
const MAX_PARTS: usize = 32;

/// Fields of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'p> {
    /// Number that its issuer gave it, big-endian.
    pub serial: &'p [u8],
    /// Issuer: the authority that signed it.
    pub issuer: Name<'p>,
    /// Not valid before.
    pub not_before: Time,
    /// Not valid after.
    pub not_after: Time,
    /// Subject: the holder of the key.
    pub subject: Name<'p>,
}

impl<'p> Certificate<'p> {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] or [`Malformed::BadLength`] if a length points outside.
    /// - [`Malformed::BadSyntax`] if something else is where a field should be.
    pub fn parse(der: &'p [u8]) -> Result<Self, Malformed> {
        element(&mut Cursor::new(der), SEQUENCE)?;
        Self::parse_start(der)
    }

    /// Reads the same of a certificate that may be cut behind its subject.
    ///
    /// # Errors
    /// Those of [`Certificate::parse`].
    pub fn parse_start(der: &'p [u8]) -> Result<Self, Malformed> {
        Self::fields(der).map(|(certificate, _)| certificate)
    }

    /// Other names of the subject as in DER (`GeneralNames`, RFC 5280 section 4.2.1.6); `None` if the certificate has none. It may be cut
    /// behind them.
    ///
    /// # Errors
    /// Those of [`Certificate::parse`]; [`Malformed::Truncated`] also if they may be in the part that is cut off.
    pub fn alternative_names(der: &'p [u8]) -> Result<Option<&'p [u8]>, Malformed> {
        let (_, mut at) = Self::fields(der)?;
        let _key = element(&mut at, SEQUENCE)?;
        // Ends: each step takes a header off `at`.
        loop {
            match header(&mut at)? {
                (EXTENSIONS, _) => break,
                (ISSUER_IDENTIFIER | SUBJECT_IDENTIFIER, len) => drop(at.take(len)?),
                // The signature, of version 1 or 2.
                _ => return Ok(None),
            }
        }
        let (_, len) = header(&mut at)?;
        let behind = at.len().checked_sub(len);
        while at.len() > behind.unwrap_or(0) {
            let mut extension = Cursor::new(element(&mut at, SEQUENCE)?);
            if element(&mut extension, OBJECT_IDENTIFIER)? != ALTERNATIVE_NAMES {
                continue;
            }
            let (tag, content) = any_element(&mut extension)?;
            let (_, names) = if tag == BOOLEAN { any_element(&mut extension)? } else { (tag, content) };
            return element(&mut Cursor::new(names), SEQUENCE).map(Some);
        }
        if behind.is_none() { Err(Malformed::Truncated) } else { Ok(None) }
    }

    /// The fields, and what is behind them.
    fn fields(der: &'p [u8]) -> Result<(Self, Cursor<'p>), Malformed> {
        let mut at = Cursor::new(der);
        element_start(&mut at, SEQUENCE)?;
        element_start(&mut at, SEQUENCE)?;
        // Absent in version 1 (RFC 5280 section 4.1).
        if at.remaining().first() == Some(&VERSION) {
            element(&mut at, VERSION)?;
        }
        let serial = element(&mut at, INTEGER)?;
        let _algorithm = element(&mut at, SEQUENCE)?;
        let issuer = Name { der: element(&mut at, SEQUENCE)? };
        let mut validity = Cursor::new(element(&mut at, SEQUENCE)?);
        let (not_before, not_after) = (Time::parse(&mut validity)?, Time::parse(&mut validity)?);
        let subject = Name { der: element(&mut at, SEQUENCE)? };
        Ok((Self { serial, issuer, not_before, not_after, subject }, at))
    }

    /// Returns true if subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.issuer.der == self.subject.der
    }
}

/// A name. Displays as RFC 4514 says, the most special part first: `CN=www.example.org,O=Example,C=AT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name<'p> {
    der: &'p [u8],
}

/// One part of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part<'p> {
    /// Type of the part: an object identifier in DER.
    pub kind: &'p [u8],
    /// Kind of string, as in DER.
    pub tag: u8,
    /// The string.
    pub value: &'p [u8],
}

impl<'p> Name<'p> {
    /// The parts in the order of the certificate, the most general first. Ends at one that is malformed.
    pub fn parts(&self) -> impl Iterator<Item = Part<'p>> + use<'p> {
        let mut at = Cursor::new(self.der);
        let mut set = Cursor::new(&[]);
        // Ends: each item takes an element off `set` or `at`.
        core::iter::from_fn(move || {
            if set.is_empty() {
                set = Cursor::new(element(&mut at, SET).ok()?);
            }
            let mut pair = Cursor::new(element(&mut set, SEQUENCE).ok()?);
            let kind = element(&mut pair, OBJECT_IDENTIFIER).ok()?;
            let (tag, value) = any_element(&mut pair).ok()?;
            Some(Part { kind, tag, value })
        })
        .take(MAX_PARTS)
    }

    /// The common name, if it is written with one byte for each letter.
    #[must_use]
    pub fn common_name(&self) -> Option<&'p [u8]> {
        self.parts().find(|part| part.kind == [0x55, 4, 3] && part.tag != BMP_STRING).map(|part| part.value)
    }
}

/// Short names of RFC 4514 section 3 and of those that are common elsewhere.
const KINDS: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = [None; MAX_PARTS];
        let mut count = 0;
        for (place, part) in parts.iter_mut().zip(self.parts()) {
            *place = Some(part);
            count += 1;
        }
        for (index, part) in parts.iter().take(count).rev().flatten().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            match KINDS.iter().find(|(kind, _)| *kind == part.kind) {
                Some((_, name)) => out.write_str(name)?,
                None => write!(out, "{}", Oid(part.kind))?,
            }
            out.write_str("=")?;
            value(part, out)?;
        }
        Ok(())
    }
}

/// The text of a part, with the signs escaped that would end it.
fn value(part: &Part<'_>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    let mut write = |letter: char| {
        if matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.write_char('\\')?;
        }
        out.write_char(letter)
    };
    if part.tag == BMP_STRING {
        let (units, _) = part.value.as_chunks::<2>();
        let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
        return char::decode_utf16(units)
            .try_for_each(|letter| write(letter.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    match str::from_utf8(part.value) {
        Ok(text) => text.chars().try_for_each(write),
        // T61 and wrongly labelled strings: in practice Latin-1.
        Err(_) => part.value.iter().try_for_each(|byte| write(char::from(*byte))),
    }
}

/// A moment. Displays as RFC 3339 with microseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time {
    year: u16,
    /// Month, day, hour, minute, second.
    fields: [u8; 5],
}

impl Time {
    fn parse(at: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let (tag, text) = any_element(at)?;
        let mut digits = Cursor::new(text);
        let year = match tag {
            // RFC 5280 section 4.1.2.5.1: two digits from 50 on are of the last century.
            UTC_TIME => {
                let year = u16::from(two_digits(&mut digits)?);
                year + if year < 50 { 2000 } else { 1900 }
            }
            GENERALIZED_TIME => {
                u16::from(two_digits(&mut digits)?) * 100 + u16::from(two_digits(&mut digits)?)
            }
            _ => return Err(Malformed::BadSyntax),
        };
        // Seconds and the zone Z are mandatory (RFC 5280 section 4.1.2.5), so the zone is not read.
        let mut fields = [0; 5];
        for number in &mut fields {
            *number = two_digits(&mut digits)?;
        }
        Ok(Self { year, fields })
    }
}

/// Days before the months of a year that begins in March.
const MARCH_DAYS: [u16; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

impl Time {
    /// Seconds since 1970, for comparisons: fields out of their range are taken as they are, times before 1970 are zero.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        let Self { year, fields: [month, day, hour, minute, second] } = *self;
        // Years that begin in March, so that the leap day is the last one.
        let (year, month) = (u64::from(year) - u64::from(month < 3 && year > 0), usize::from(month) + 9);
        let before = MARCH_DAYS.get(month % 12).copied().unwrap_or_default();
        let days = year * 365 + year / 4 - year / 100 + year / 400 + u64::from(before) + u64::from(day);
        // From 1 March of the year 0 to 1970, with the day that `day` counts from one.
        let days = days.saturating_sub(719_469);
        ((days * 24 + u64::from(hour)) * 60 + u64::from(minute)) * 60 + u64::from(second)
    }
}

fn two_digits(at: &mut Cursor<'_>) -> Result<u8, Malformed> {
    match *at.array::<2>().map_err(|_| Malformed::BadSyntax)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Ok((tens - b'0') * 10 + (ones - b'0')),
        _ => Err(Malformed::BadSyntax),
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, fields: [month, day, hour, minute, second] } = self;
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000Z")
    }
}

/// Fuzz body: a certificate.
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok(Some(names)) = Certificate::alternative_names(bytes) {
        assert!(names.len() < bytes.len());
    }
    let Ok(certificate) = Certificate::parse(bytes) else { return };
    for name in [certificate.issuer, certificate.subject] {
        let mut length = Length(0);
        let _ = fmt::write(&mut length, format_args!("{name}"));
        // An escaped sign, or a byte that becomes a letter of two.
        assert!(length.0 <= bytes.len() * 8);
        assert!(name.parts().count() <= 32);
    }
    let _ = (certificate.is_self_issued(), certificate.subject.common_name());
}

/// Counts what is written.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = match u8::try_from(len) {
            Ok(short @ 0..0x80) => [tag, short].to_vec(),
            _ => [tag, 0x82, u8::try_from(len >> 8).unwrap(), u8::try_from(len & 0xff).unwrap()].to_vec(),
        };
        [head, content.to_vec()].concat()
    }

    fn part(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(SET, &der(SEQUENCE, &[der(OBJECT_IDENTIFIER, kind), der(tag, value)].concat()))
    }

    fn certificate() -> Vec<u8> {
        let issuer = [
            part(&[0x55, 4, 6], 0x13, b"US"),
            part(&[0x55, 4, 10], 0x13, b"Example, Inc."),
            part(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], 0x16, b"x"),
        ];
        let subject =
            [part(&[0x55, 4, 10], BMP_STRING, b"\0\xd6\0o"), part(&[0x55, 4, 3], 0x0c, b"www.example.org")];
        let fields = [
            der(VERSION, &der(INTEGER, &[2])),
            der(INTEGER, &[1, 2, 3]),
            der(SEQUENCE, &[5, 0]),
            der(SEQUENCE, &issuer.concat()),
            der(
                SEQUENCE,
                &[der(UTC_TIME, b"991231235959Z"), der(GENERALIZED_TIME, b"20500102030405Z")].concat(),
            ),
            der(SEQUENCE, &subject.concat()),
            der(SEQUENCE, &[0; 200]), // key
        ];
        der(SEQUENCE, &[der(SEQUENCE, &fields.concat()), der(SEQUENCE, &[]), der(3, &[0; 9])].concat())
    }

    #[test]
    fn a_certificate_gives_subject_and_issuer() {
        let bytes = certificate();
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.serial, [1, 2, 3]);
        assert_eq!(certificate.subject.to_string(), "CN=www.example.org,O=\u{d6}o");
        assert_eq!(certificate.issuer.to_string(), "1.2.840.113549.1.9.2=x,O=Example\\, Inc.,C=US");
        assert_eq!(certificate.not_before.to_string(), "1999-12-31T23:59:59.000000Z");
        assert_eq!(certificate.not_after.to_string(), "2050-01-02T03:04:05.000000Z");
        assert_eq!(certificate.subject.common_name(), Some(&b"www.example.org"[..]));
        assert!(!certificate.is_self_issued() && certificate.not_before < certificate.not_after);
    }

    /// With two extensions, the second of which has names and may be critical.
    fn named(is_critical: bool) -> Vec<u8> {
        let plain = certificate();
        // The fields without the two headers, the signature and its algorithm.
        let fields = &plain[8..plain.len() - 2 - 11];
        let names = der(SEQUENCE, &[der(0x82, b"example.org"), der(0x82, b"*.example.org")].concat());
        let critical = if is_critical { der(BOOLEAN, &[0xff]) } else { Vec::new() };
        let usage =
            der(SEQUENCE, &[der(OBJECT_IDENTIFIER, &[0x55, 0x1d, 15]), der(4, &[3, 2, 5, 0xa0])].concat());
        let own = [der(OBJECT_IDENTIFIER, &ALTERNATIVE_NAMES), critical, der(4, &names)].concat();
        let list = der(EXTENSIONS, &der(SEQUENCE, &[usage, der(SEQUENCE, &own)].concat()));
        let fields = [fields, &der(ISSUER_IDENTIFIER, &[0; 5]), &list].concat();
        der(SEQUENCE, &[der(SEQUENCE, &fields), der(SEQUENCE, &[]), der(3, &[0; 9])].concat())
    }

    #[test]
    fn other_names_are_read_or_known_to_be_missing() {
        for is_critical in [false, true] {
            let bytes = named(is_critical);
            let names = Certificate::alternative_names(&bytes).unwrap().unwrap();
            assert!(names.ends_with(b"*.example.org"), "{names:?}");
            let end = bytes.windows(13).position(|at| at == b"*.example.org").unwrap() + 13;
            for cut in 0..bytes.len() {
                let found = Certificate::alternative_names(&bytes[..cut]);
                assert_eq!(found.is_ok(), cut >= end, "{cut}");
                assert!(found.is_ok() || found == Err(Malformed::Truncated), "{cut}");
            }
        }
        let bytes = certificate();
        assert_eq!(Certificate::alternative_names(&bytes), Ok(None));
        for position in 0..bytes.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = named(true);
                bad[position] = value;
                let _no_panic = Certificate::alternative_names(&bad);
            }
        }
    }

    #[test]
    fn the_start_suffices_up_to_the_subject() {
        let bytes = certificate();
        let whole = Certificate::parse(&bytes).unwrap();
        let end = bytes.windows(15).position(|at| at == b"www.example.org").unwrap() + 15;
        for cut in 0..bytes.len() {
            let start = Certificate::parse_start(&bytes[..cut]).map(|found| (found.not_after, found.subject));
            assert_eq!(start.ok(), (cut >= end).then_some((whole.not_after, whole.subject)), "{cut}");
        }
    }

    #[test]
    fn times_are_seconds_since_1970() {
        let seconds = |year, month, day, hour, minute, second| {
            Time { year, fields: [month, day, hour, minute, second] }.seconds()
        };
        assert_eq!(seconds(1970, 1, 1, 0, 0, 0), 0);
        assert_eq!(seconds(2000, 2, 29, 23, 59, 59), 951_868_799);
        assert_eq!(seconds(2000, 3, 1, 0, 0, 0), 951_868_800);
        assert_eq!(seconds(2026, 11, 22, 9, 0, 1), 1_795_338_001);
        assert_eq!(seconds(2050, 1, 2, 3, 4, 5), 2_524_705_445);
        assert_eq!(seconds(1950, 1, 1, 0, 0, 0), 0);
        assert_eq!(seconds(9999, 12, 31, 23, 59, 59), 253_402_300_799);
        for year in [0, 1, 9999] {
            let _no_panic = Time { year, fields: [99; 5] }.seconds();
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = certificate();
        for cut in 0..bytes.len() {
            assert_eq!(Certificate::parse(&bytes[..cut]).unwrap_err(), Malformed::Truncated, "{cut}");
        }
    }

    #[test]
    fn every_byte_may_be_wrong() {
        let bytes = certificate();
        for position in 0..bytes.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = bytes.clone();
                bad[position] = value;
                if let Ok(certificate) = Certificate::parse(&bad) {
                    let _ = (certificate.subject.to_string(), certificate.issuer.to_string());
                    assert!(certificate.subject.parts().count() <= MAX_PARTS);
                }
            }
        }
    }
}
