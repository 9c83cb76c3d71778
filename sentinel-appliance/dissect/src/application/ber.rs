//! Elements of the basic encoding rules (ASN.1), of which DER is a subset: tag, length, contents.
//!
//! Read first: ITU-T X.690 section 8. Used by certificates, SNMP, LDAP and Kerberos.

use core::fmt;

use super::framing::{MessageLen, fixed_len};
use crate::read::{Cursor, Malformed};

/// Boolean.
pub const BOOLEAN: u8 = 0x01;
/// Integer.
pub const INTEGER: u8 = 0x02;
/// Bytes or text.
pub const OCTET_STRING: u8 = 0x04;
/// Object identifier.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// Integer with named values.
pub const ENUMERATED: u8 = 0x0a;
/// Elements in a row.
pub const SEQUENCE: u8 = 0x30;
/// Constructed element of a protocol's own number, which is in the lowest five bits.
pub const CONTEXT: u8 = 0xa0;

/// Iterator over elements: the tag, and what is in it. Ends at one that is cut or malformed; each takes two bytes or more.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'p> {
    at: Cursor<'p>,
}

impl<'p> Elements<'p> {
    /// The elements in some bytes.
    #[must_use]
    pub const fn new(bytes: &'p [u8]) -> Self {
        Self { at: Cursor::new(bytes) }
    }

    /// The bytes that are not read yet.
    #[must_use]
    pub const fn remaining(&self) -> &'p [u8] {
        self.at.remaining()
    }

    /// The contents of the next element if its tag is `tag`, which is then behind it.
    pub fn open(&mut self, tag: u8) -> Option<&'p [u8]> {
        if self.at.remaining().first() != Some(&tag) {
            return None;
        }
        self.next().map(|(_, content)| content)
    }
}

impl<'p> Iterator for Elements<'p> {
    type Item = (u8, &'p [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        any_element(&mut self.at).ok()
    }
}

/// Contents of the first element in `bytes` whose tag is `tag`.
#[must_use]
pub fn find(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    Elements::new(bytes).find(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Contents of the only element in the first element of `bytes` that has the context tag `number`, as explicit tags have it.
#[must_use]
pub fn tagged(bytes: &[u8], number: u8) -> Option<&[u8]> {
    Elements::new(find(bytes, CONTEXT | number)?).next().map(|(_, content)| content)
}

/// Value of an integer of up to eight bytes.
#[must_use]
pub fn integer(content: &[u8]) -> Option<i64> {
    let (first, _) = content.split_first().filter(|_| content.len() <= 8)?;
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Some(content.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

/// Takes an element of this kind; gives what is in it.
pub(super) fn element<'p>(at: &mut Cursor<'p>, tag: u8) -> Result<&'p [u8], Malformed> {
    match any_element(at)? {
        (found, content) if found == tag => Ok(content),
        _ => Err(Malformed::BadSyntax),
    }
}

/// Takes tag and length of an element of this kind, whose contents follow as far as they are there.
pub(super) fn element_start(at: &mut Cursor<'_>, tag: u8) -> Result<(), Malformed> {
    match header(at)? {
        (found, _) if found == tag => Ok(()),
        _ => Err(Malformed::BadSyntax),
    }
}

/// Takes an element: its kind, and what is in it.
// Called from several parsers: without the attribute each call may get a copy.
#[inline(never)]
pub(super) fn any_element<'p>(at: &mut Cursor<'p>) -> Result<(u8, &'p [u8]), Malformed> {
    let (tag, len) = header(at)?;
    Ok((tag, at.take(len)?))
}

/// Takes tag and length. Lengths have up to four bytes, as encoders with a fixed form write them.
pub(super) fn header(at: &mut Cursor<'_>) -> Result<(u8, usize), Malformed> {
    let tag = at.u8()?;
    let len = match at.u8()? {
        short @ 0..=0x7f => u32::from(short),
        0x81 => u32::from(at.u8()?),
        0x82 => u32::from(at.u16()?),
        0x83 => at.u24()?,
        0x84 => at.u32()?,
        // 0x80 is the indefinite length, which DER and these protocols forbid (X.690 section 10.1, RFC 4511 section 5.1).
        _ => return Err(Malformed::BadLength),
    };
    Ok((tag, usize::try_from(len).map_err(|_| Malformed::BadLength)?))
}

/// Length of the element that a stream starts with.
pub(super) fn message_len(bytes: &[u8]) -> MessageLen {
    let mut at = Cursor::new(bytes);
    match header(&mut at) {
        Ok((_, len)) => fixed_len(bytes, (bytes.len() - at.len()).saturating_add(len)),
        Err(Malformed::Truncated) => MessageLen::AtLeast(bytes.len() + 1),
        Err(_) => MessageLen::Unrecognised,
    }
}

/// An object identifier. Displays as numbers with dots (ITU-T X.690 section 8.19).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Oid<'p>(pub &'p [u8]);

impl fmt::Display for Oid<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = 0_u64;
        let mut is_first = true;
        for byte in self.0 {
            // Upper bits of a number of more than 64 bits are lost; no assigned identifier has one, and this is
            // for display only.
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if is_first {
                // The first number holds two: 40 * root + second, with root 0, 1 or 2 (X.690 section 8.19.4).
                let root = (number / 40).min(2);
                write!(out, "{root}.{}", number - root * 40)?;
            } else {
                write!(out, ".{number}")?;
            }
            (number, is_first) = (0, false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn elements_have_lengths_of_up_to_four_bytes() {
        for bytes in
            [&[4, 2, 7, 8][..], &[4, 0x81, 2, 7, 8], &[4, 0x82, 0, 2, 7, 8], &[4, 0x84, 0, 0, 0, 2, 7, 8]]
        {
            assert_eq!(Elements::new(bytes).next(), Some((OCTET_STRING, &[7, 8][..])));
            assert_eq!(message_len(bytes), MessageLen::Complete);
            for cut in 0..bytes.len() {
                assert_eq!(Elements::new(&bytes[..cut]).next(), None);
                assert!(
                    matches!(message_len(&bytes[..cut]), MessageLen::AtLeast(need) if need > cut),
                    "{cut}"
                );
            }
        }
        assert_eq!(message_len(&[4, 0x80, 1]), MessageLen::Unrecognised);
        assert_eq!(Elements::new(&[4, 0x85, 0, 0, 0, 0, 1, 7]).next(), None);
    }

    #[test]
    fn integers_have_a_sign() {
        let values: Vec<Option<i64>> =
            [&[0x7f][..], &[0x80], &[0xff, 0xff], &[0, 0xff], &[1, 0, 0, 0, 0], &[], &[0; 9]]
                .map(integer)
                .to_vec();
        assert_eq!(values, [Some(127), Some(-128), Some(-1), Some(255), Some(1 << 32), None, None]);
    }

    #[test]
    fn explicit_tags_are_opened() {
        let bytes = [0xa1, 3, 2, 1, 5, 0xa2, 3, 2, 1, 10];
        assert_eq!(
            (tagged(&bytes, 1), tagged(&bytes, 2), tagged(&bytes, 3)),
            (Some(&[5][..]), Some(&[10][..]), None)
        );
    }

    #[test]
    fn object_identifiers_are_numbers_with_dots() {
        assert_eq!(Oid(&[0x2b, 6, 1, 2, 1, 1, 1, 0]).to_string(), "1.3.6.1.2.1.1.1.0");
        assert_eq!(Oid(&[0x88, 0x37, 0x81]).to_string(), "2.999");
    }
}
