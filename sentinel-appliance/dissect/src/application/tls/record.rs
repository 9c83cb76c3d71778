//! Records, extensions and lists, of which the messages of both sides are made.
//!
//! Read first: RFC 8446 sections 4.2 and 5.1.

use crate::read::{Cursor, Malformed};

pub(crate) const HANDSHAKE_RECORD: u8 = 22;
pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(super) const CERTIFICATE: u8 = 11;
/// Content type, version, length.
const RECORD_HEADER_LEN: usize = 5;
/// Most bytes of a record before encryption (RFC 8446 section 5.1).
const MAX_FRAGMENT_LEN: usize = 1 << 14;
/// Most records joined for one hello. Clients usually send one; those that hide the server name
/// from middleboxes send two to a dozen.
pub(crate) const MAX_RECORDS: usize = 32;
/// Most extensions read. Browsers send under twenty.
pub(crate) const MAX_EXTENSIONS: usize = 64;

/// Returns true for a GREASE value (RFC 8701 section 2), `0x0a0a` to `0xfafa`: clients send them so that servers keep
/// ignoring unknown numbers.
#[must_use]
pub const fn is_reserved(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// One extension: <https://www.iana.org/assignments/tls-extensiontype-values>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension<'p> {
    /// Its number.
    pub kind: u16,
    /// Its bytes.
    pub data: &'p [u8],
}

/// Iterator over extensions. Ends at one that is cut.
#[derive(Clone, Debug)]
pub struct Extensions<'p> {
    pub(crate) at: Cursor<'p>,
    pub(crate) left: usize,
}

impl<'p> Extensions<'p> {
    pub(crate) const fn new(bytes: &'p [u8]) -> Self {
        Self { at: Cursor::new(bytes), left: MAX_EXTENSIONS }
    }
}

impl<'p> Iterator for Extensions<'p> {
    type Item = Extension<'p>;

    fn next(&mut self) -> Option<Extension<'p>> {
        if self.left == 0 {
            return None;
        }
        // On a copy, which replaces the cursor only behind a complete extension: a cut one stays in `at` for
        // the caller to find.
        let mut at = self.at;
        let (kind, len) = (at.u16().ok()?, at.u16().ok()?);
        let data = at.take(usize::from(len)).ok()?;
        self.left -= 1;
        self.at = at;
        Some(Extension { kind, data })
    }
}

/// Iterator over 16-bit numbers.
#[derive(Clone, Debug)]
pub struct Numbers<'p> {
    pub(crate) at: Cursor<'p>,
}

impl Iterator for Numbers<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.at.u16().ok()
    }
}

/// Iterator over application protocol names.
#[derive(Clone, Debug)]
pub struct Protocols<'p> {
    pub(crate) at: Cursor<'p>,
}

impl<'p> Iterator for Protocols<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let len = self.at.u8().ok()?;
        self.at.take(usize::from(len)).ok()
    }
}

/// Takes one handshake record: its version, the length of its fragment, and as much of that as is there.
pub(crate) fn record<'p>(at: &mut Cursor<'p>) -> Result<(u16, usize, &'p [u8]), Malformed> {
    let start = at.remaining();
    // Decided by the bytes that are there: another protocol is known before a record header is complete.
    if matches!(*start, [kind, ..] if kind != HANDSHAKE_RECORD)
        || matches!(*start, [_, major, ..] if major != 3)
    {
        return Err(Malformed::OtherProtocol);
    }
    let [_, major, minor, high, low] = *at.array::<RECORD_HEADER_LEN>()?;
    let announced = usize::from(u16::from_be_bytes([high, low]));
    // Empty handshake records are forbidden (RFC 8446 section 5.1).
    if announced == 0 || announced > MAX_FRAGMENT_LEN {
        return Err(Malformed::BadLength);
    }
    Ok((u16::from_be_bytes([major, minor]), announced, at.take_up_to(announced)))
}

/// Takes a list with a length of two bytes before it.
pub(crate) fn list<'p>(at: &mut Cursor<'p>) -> Result<&'p [u8], Malformed> {
    let len = at.u16()?;
    at.take(usize::from(len))
}

/// Copies as much of `fragment` behind the first `len` bytes of `joined` as fits; gives the new length.
pub(crate) fn append(joined: &mut [u8], len: usize, fragment: &[u8]) -> usize {
    let room = joined.get_mut(len..).unwrap_or_default();
    let copied = room.len().min(fragment.len());
    if let (Some(room), Some(fragment)) = (room.get_mut(..copied), fragment.get(..copied)) {
        room.copy_from_slice(fragment);
    }
    len + copied
}

/// A length of at most 24 bits; our targets have 32 or more.
pub(crate) fn usize_of(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Goes through the handshake messages that records carry one after another, across their borders. Work is bounded by the
/// bytes: every step takes some.
pub(crate) struct Handshake<'p> {
    at: Cursor<'p>,
    len: usize,
    fragment: Cursor<'p>,
    /// Set while the last record is not all there: how many bytes from the start would hold it.
    cut: Option<usize>,
}

/// Reason why no byte of a handshake message follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HandshakeEnd {
    /// At least so many bytes from the start are needed.
    NeedsBytes(usize),
    /// No handshake record follows.
    NoRecord,
}

impl<'p> Handshake<'p> {
    pub(crate) fn new(payload: &'p [u8]) -> Self {
        Self { at: Cursor::new(payload), len: payload.len(), fragment: Cursor::new(&[]), cut: None }
    }

    fn next_record(&mut self) -> Result<(), HandshakeEnd> {
        if let Some(need) = self.cut {
            return Err(HandshakeEnd::NeedsBytes(need));
        }
        let before = self.len - self.at.len();
        match record(&mut self.at) {
            Ok((_, announced, fragment)) => {
                let end = before + RECORD_HEADER_LEN + announced;
                self.cut = (end > self.len).then_some(end);
                self.fragment = Cursor::new(fragment);
                Ok(())
            }
            Err(Malformed::Truncated) => Err(HandshakeEnd::NeedsBytes(before + RECORD_HEADER_LEN)),
            Err(_) => Err(HandshakeEnd::NoRecord),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, HandshakeEnd> {
        // Ends: each further iteration takes a record header of five bytes off the payload.
        loop {
            match self.fragment.u8() {
                Ok(byte) => return Ok(byte),
                Err(_) => self.next_record()?,
            }
        }
    }

    pub(crate) fn u24(&mut self) -> Result<usize, HandshakeEnd> {
        let (high, middle, low) = (self.u8()?, self.u8()?, self.u8()?);
        Ok(usize_of(u32::from_be_bytes([0, high, middle, low])))
    }

    pub(crate) fn skip(&mut self, mut len: usize) -> Result<(), HandshakeEnd> {
        loop {
            // Takes at most `len`, so no underflow. Ends like `u8`: each further iteration takes a record
            // header off the payload.
            len -= self.fragment.take_up_to(len).len();
            if len == 0 {
                return Ok(());
            }
            self.next_record()?;
        }
    }

    /// Copies what is left, from the first byte on, to `joined`; gives how much that is.
    pub(crate) fn join(mut self, joined: &mut [u8]) -> usize {
        let mut len = 0;
        // Ends: each iteration takes a record header off the payload.
        while self.next_record().is_ok() && len < joined.len() {
            len = append(joined, len, self.fragment.remaining());
        }
        len
    }
}
