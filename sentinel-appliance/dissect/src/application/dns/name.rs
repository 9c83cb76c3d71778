//! Domain names inside a message.
//!
//! Read first: RFC 1035 sections 3.1, 4.1.4 (compression) and 5.1 (text form); RFC 9267 section 2 (attacks by
//! compression pointers).

use core::fmt;

use crate::read::Malformed;

/// Most bytes of a name, its length bytes and the root included (RFC 1035 section 2.3.4).
const MAX_NAME_LEN: usize = 255;
/// Most pointers followed. One is normal, three happen; the bound is only reached by crafted messages.
const MAX_POINTERS: u8 = 32;
/// A name of 250 bytes in four labels, each byte as `\DDD`, and three dots.
const MAX_TEXT_LEN: usize = 1003;
/// Two top bits of a length byte: both set mark a pointer, others are reserved (RFC 6891 section 5).
const POINTER: u8 = 0xc0;

/// A name that was walked to its end and is sound: labels of at most 63 bytes, 255 in all, pointers
/// strictly backwards. It borrows from its message and is decoded on demand.
#[derive(Clone, Copy)]
pub struct Name<'m> {
    message: &'m [u8],
    start: usize,
    wire_len: u8,
}

// `#[inline]`: a name is walked for every DNS message.
impl<'m> Name<'m> {
    /// Walks the name at `start` and gives it with the position behind it.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the message ends within the name.
    /// - [`Malformed::BadName`] if it is longer than 255 bytes or has a reserved label type.
    /// - [`Malformed::BadPointer`] if a pointer does not point before the labels that lead to it, or is
    ///   the 33rd.
    #[inline]
    pub(crate) fn parse(message: &'m [u8], start: usize) -> Result<(Self, usize), Malformed> {
        let mut walk = Walk::new(message, start);
        let mut wire_len = 1;
        while let Some(label) = walk.next_label()? {
            wire_len += label.len() + 1;
            // Checked for each label, so a name that reuses its bytes by pointers ends here at the latest.
            if wire_len > MAX_NAME_LEN {
                return Err(Malformed::BadName);
            }
        }
        let wire_len = u8::try_from(wire_len).map_err(|_| Malformed::BadName)?;
        Ok((Self { message, start, wire_len }, walk.behind))
    }

    /// Bytes of the name without compression, length bytes and root included: 1 to 255.
    #[inline]
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        #[expect(clippy::as_conversions, reason = "u8 to usize is lossless; From is not const")]
        {
            self.wire_len as usize
        }
    }

    /// Characters of the name with dots between labels, no escapes: what users count. A binary byte is
    /// one character here and up to four in [`Name::text_len`]. Costs nothing.
    #[inline]
    #[must_use]
    pub const fn character_count(&self) -> usize {
        // Every label but the first has a dot where the wire has its length byte; the length byte of the
        // first and the root are not in the text.
        self.wire_len().saturating_sub(2)
    }

    /// Returns true for the root, whose text is empty.
    #[inline]
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.wire_len == 1
    }

    /// The labels, most specific first.
    #[inline]
    #[must_use]
    pub const fn labels(&self) -> Labels<'m> {
        Labels { walk: Walk::new(self.message, self.start) }
    }

    /// Length of the text that [`Name::text`] gives, without writing it.
    #[inline]
    #[must_use]
    pub fn text_len(&self) -> usize {
        let escapes: usize = self.labels().flatten().map(|byte| escape_of(*byte).len() - 1).sum();
        self.character_count() + escapes
    }

    /// Writes the name as text: labels with dots between and none at the end, letters as on the wire.
    /// Dots and backslashes inside a label get a backslash, bytes that are not printable ASCII become
    /// `\DDD`.
    pub fn text<'b>(&self, buffer: &'b mut NameBuffer) -> &'b str {
        self.write(buffer, |byte| byte)
    }

    /// Writes the name as [`Name::text`] does, with ASCII letters in lower case, as names compare (RFC 4343).
    pub fn lowercase<'b>(&self, buffer: &'b mut NameBuffer) -> &'b str {
        self.write(buffer, |byte| byte.to_ascii_lowercase())
    }

    fn write<'b>(&self, buffer: &'b mut NameBuffer, letter: impl Fn(u8) -> u8) -> &'b str {
        buffer.len = 0;
        for label in self.labels() {
            if buffer.len > 0 {
                buffer.push(b'.');
            }
            for &byte in label {
                match escape_of(byte) {
                    Escape::None => buffer.push(letter(byte)),
                    Escape::Backslash => [b'\\', byte].into_iter().for_each(|byte| buffer.push(byte)),
                    Escape::Decimal => {
                        let digits = [b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10];
                        digits.into_iter().for_each(|byte| buffer.push(byte));
                    }
                }
            }
        }
        buffer.as_str()
    }
}

/// Text as of [`Name::text`]; the root is a dot.
impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return out.write_str(".");
        }
        out.write_str(self.text(&mut NameBuffer::new()))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Iterator over the labels of a name, as bytes on the wire.
#[derive(Clone, Debug)]
pub struct Labels<'m> {
    walk: Walk<'m>,
}

impl<'m> Iterator for Labels<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<&'m [u8]> {
        // The name was walked before, so there is no error to come.
        self.walk.next_label().ok().flatten()
    }
}

#[derive(Clone, Debug)]
struct Walk<'m> {
    message: &'m [u8],
    position: usize,
    /// Pointers must point before this: where the present run of labels starts.
    run: usize,
    pointers: u8,
    /// Position behind the name where it is used; known once the first pointer or the root was read.
    behind: usize,
}

impl<'m> Walk<'m> {
    const fn new(message: &'m [u8], start: usize) -> Self {
        Self { message, position: start, run: start, pointers: 0, behind: 0 }
    }

    /// The next label, or `None` at the root. Ends, because every run starts before the one that
    /// pointed to it and positions only grow within a run.
    #[inline]
    fn next_label(&mut self) -> Result<Option<&'m [u8]>, Malformed> {
        loop {
            let remaining = self.message.get(self.position..).unwrap_or_default();
            let (&length, remaining) = remaining.split_first().ok_or(Malformed::Truncated)?;
            match length & POINTER {
                0 if length == 0 => {
                    if self.pointers == 0 {
                        self.behind = self.position + 1;
                    }
                    return Ok(None);
                }
                0 => {
                    let label = remaining.get(..usize::from(length)).ok_or(Malformed::Truncated)?;
                    self.position += 1 + label.len();
                    return Ok(Some(label));
                }
                POINTER => self.follow(length, remaining)?,
                _ => return Err(Malformed::BadName),
            }
        }
    }

    #[inline] // a call would keep the position of the walk in memory for every label
    fn follow(&mut self, high: u8, remaining: &[u8]) -> Result<(), Malformed> {
        let &low = remaining.first().ok_or(Malformed::Truncated)?;
        let target = usize::from(u16::from_be_bytes([high & !POINTER, low]));
        // Strictly before the run of labels that holds the pointer: a name that only moves backwards cannot loop.
        if target >= self.run || self.pointers == MAX_POINTERS {
            return Err(Malformed::BadPointer);
        }
        if self.pointers == 0 {
            self.behind = self.position + 2;
        }
        self.pointers += 1;
        (self.position, self.run) = (target, target);
        Ok(())
    }
}

/// Written form of a byte of a label.
#[derive(Clone, Copy)]
enum Escape {
    None,
    Backslash,
    Decimal,
}

impl Escape {
    /// Bytes that the byte takes in text.
    #[inline]
    const fn len(self) -> usize {
        match self {
            Self::None => 1,
            Self::Backslash => 2,
            Self::Decimal => 4,
        }
    }
}

#[inline]
const fn escape_of(byte: u8) -> Escape {
    match byte {
        b'.' | b'\\' => Escape::Backslash,
        // A space ends a name in a zone file, so it is escaped too (RFC 1035 section 5.1).
        0x21..=0x7e => Escape::None,
        _ => Escape::Decimal,
    }
}

/// Room for the text of the longest name. About 1 KiB: keep one and lend it, do not make one per packet.
pub struct NameBuffer {
    bytes: [u8; MAX_TEXT_LEN],
    len: usize,
}

const _: () = assert!(size_of::<NameBuffer>() <= 1024, "a name buffer must fit 1 KiB");

impl NameBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_TEXT_LEN], len: 0 }
    }

    /// The text written last.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only printable ASCII is ever pushed.
        self.bytes.get(..self.len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }
}

impl Default for NameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for NameBuffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;

    /// `www.Example.org` at 0, `ftp` and a pointer to `Example.org` at 17, a pointer to that at 23.
    const NAMES: &[u8] = b"\x03www\x07Example\x03org\x00\x03ftp\xc0\x04\xc0\x11";

    fn text(message: &[u8], start: usize) -> Result<String, Malformed> {
        Name::parse(message, start).map(|(name, _)| name.text(&mut NameBuffer::new()).to_string())
    }

    fn name_of(labels: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in labels {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn names_are_read_with_and_without_pointers() {
        for (start, expected, behind, wire_len) in
            [(0, "www.Example.org", 17, 17), (17, "ftp.Example.org", 23, 17), (23, "ftp.Example.org", 25, 17)]
        {
            let (name, found) = Name::parse(NAMES, start).unwrap();
            assert_eq!((name.to_string().as_str(), found, name.wire_len()), (expected, behind, wire_len));
            assert_eq!(name.text_len(), expected.len());
            assert_eq!(name.labels().nth(1), Some(&b"Example"[..]));
        }
        let (name, _) = Name::parse(NAMES, 0).unwrap();
        assert_eq!(name.lowercase(&mut NameBuffer::new()), "www.example.org");
    }

    #[test]
    fn the_root_has_no_text() {
        let (name, behind) = Name::parse(b"\x00", 0).unwrap();
        assert!(name.is_root());
        assert_eq!((name.text_len(), name.labels().count(), behind), (0, 0, 1));
        assert_eq!((name.text(&mut NameBuffer::new()), name.to_string().as_str()), ("", "."));
    }

    #[test]
    fn bytes_that_would_mislead_are_escaped() {
        let bytes = name_of(&[b"a.b\\c", b"\x00\x7f \xff", b"org"]);
        let (name, _) = Name::parse(&bytes, 0).unwrap();
        let expected = r"a\.b\\c.\000\127\032\255.org";
        assert_eq!((name.to_string().as_str(), name.text_len()), (expected, expected.len()));
        assert_eq!(name.character_count(), 14);
    }

    #[test]
    fn a_buffer_is_used_again_from_its_start() {
        let mut buffer = NameBuffer::new();
        assert_eq!(Name::parse(NAMES, 0).unwrap().0.text(&mut buffer), "www.Example.org");
        assert_eq!(Name::parse(b"\x01a\x00", 0).unwrap().0.text(&mut buffer), "a");
        assert_eq!(buffer.as_str(), "a");
    }

    #[test]
    fn the_longest_name_fits_and_a_longer_one_is_an_error() {
        let longest = name_of(&[&[0xff; 63], &[0xff; 63], &[0xff; 63], &[0xff; 61]]);
        let (name, _) = Name::parse(&longest, 0).unwrap();
        assert_eq!((name.wire_len(), name.text_len()), (255, MAX_TEXT_LEN));
        assert_eq!(name.text(&mut NameBuffer::new()).len(), MAX_TEXT_LEN);
        let too_long = name_of(&[&[b'a'; 63], &[b'a'; 63], &[b'a'; 63], &[b'a'; 62]]);
        assert_eq!(text(&too_long, 0), Err(Malformed::BadName));
    }

    #[test]
    fn a_name_made_too_long_by_pointers_is_an_error() {
        // 200 bytes, then 60 more with a pointer to them
        let mut bytes = name_of(&[&[b'a'; 63], &[b'a'; 63], &[b'a'; 63], &[b'a'; 6]]);
        let start = bytes.len();
        bytes.push(60);
        bytes.extend_from_slice(&[b'b'; 60]);
        bytes.extend_from_slice(&[0xc0, 0]);
        assert_eq!(text(&bytes, start), Err(Malformed::BadName));
    }

    #[test]
    fn pointers_forward_or_to_themselves_are_errors() {
        for (bytes, start) in [
            (&b"\xc0\x00"[..], 0),              // to itself
            (b"\xc0\x02\x00", 0),               // forward
            (b"\x01a\xc0\x00", 0),              // to the labels that lead to it
            (b"\x01a\xc0\x02", 0),              // to its own first byte
            (b"\x01a\x01b\xc0\x02", 0),         // into the labels that lead to it
            (b"\xc0\x02\xc0\x00", 2),           // to one that points forward again
            (b"\x01a\xc0\x04\x01b\xc0\x00", 4), // two that point to each other
            (b"\x00\xff\xff", 1),               // far outside
        ] {
            assert_eq!(text(bytes, start), Err(Malformed::BadPointer), "{bytes:?}");
        }
    }

    #[test]
    fn a_chain_of_pointers_has_an_end() {
        // the root, then pointers each to the one before
        let mut bytes = vec![0, 0];
        for target in 0..40_u8 {
            bytes.extend_from_slice(&[0xc0, target * 2]);
        }
        assert_eq!(text(&bytes, 2 * 32).as_deref(), Ok(""));
        assert_eq!(text(&bytes, 2 * 33), Err(Malformed::BadPointer));
    }

    #[test]
    fn reserved_label_types_are_errors() {
        for first in [0x40, 0x41, 0x80, 0xbf] {
            assert_eq!(text(&[first, 0, 0, 0], 0), Err(Malformed::BadName), "{first:#x}");
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..NAMES.len() {
            assert_eq!(text(&NAMES[..cut], 0).is_ok(), cut >= 17, "{cut}");
            assert_eq!(text(&NAMES[..cut], 17).is_ok(), cut >= 23, "{cut}");
            assert_eq!(text(&NAMES[..cut], 23), Err(Malformed::Truncated), "{cut}");
        }
    }
}
