//! Domain names inside a message.
//!
//! Read first: RFC 1035 sections 3.1, 4.1.4 (compression) and 5.1 (text form); RFC 9267 section 2 (what goes
//! wrong with pointers).

use core::fmt;

use crate::Malformed;

/// Most bytes of a name, its length bytes and the root included (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;
/// Most pointers followed. One is normal, three happen; the bound is only reached by crafted messages.
const MAX_POINTERS: u8 = 32;
/// A name of 250 bytes in four labels, each byte as `\DDD`, and three dots.
const LONGEST_TEXT: usize = 1003;
/// Two top bits of a length byte: both set mark a pointer, others are reserved (RFC 6891 section 5).
const POINTER: u8 = 0xc0;

/// A name that was walked to its end and is sound: labels of at most 63 bytes, 255 in all, pointers
/// strictly backwards. It borrows from its message and is decoded only when asked.
#[derive(Clone, Copy)]
pub struct Name<'m> {
    message: &'m [u8],
    start: usize,
    wire_len: u8,
}

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
            if wire_len > LONGEST_NAME {
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

    /// Whether this is the root, whose text is empty.
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
        // Every label but the first has a dot before it where the wire has a length byte; the length
        // byte of the first and the root are not in the text.
        self.wire_len().saturating_sub(2) + escapes
    }

    /// Writes the name as text: labels with dots between and none at the end, letters as on the wire.
    /// Dots and backslashes inside a label get a backslash, bytes that are not printable ASCII become
    /// `\DDD`.
    pub fn text<'b>(&self, buffer: &'b mut NameBuffer) -> &'b str {
        self.write(buffer, |byte| byte)
    }

    /// As [`Name::text`], but with ASCII letters in lower case, as names compare (RFC 4343).
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

/// As [`Name::text`]; the root shows as a dot.
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
            let rest = self.message.get(self.position..).unwrap_or_default();
            let (&length, rest) = rest.split_first().ok_or(Malformed::Truncated)?;
            match length & POINTER {
                0 if length == 0 => {
                    if self.pointers == 0 {
                        self.behind = self.position + 1;
                    }
                    return Ok(None);
                }
                0 => {
                    let label = rest.get(..usize::from(length)).ok_or(Malformed::Truncated)?;
                    self.position += 1 + label.len();
                    return Ok(Some(label));
                }
                POINTER => self.follow(length, rest)?,
                _ => return Err(Malformed::BadName),
            }
        }
    }

    fn follow(&mut self, high: u8, rest: &[u8]) -> Result<(), Malformed> {
        let &low = rest.first().ok_or(Malformed::Truncated)?;
        let target = usize::from(u16::from_be_bytes([high & !POINTER, low]));
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

/// How a byte of a label is written in text.
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
        0x21..=0x7e => Escape::None,
        _ => Escape::Decimal,
    }
}

/// Room for the text of the longest name. About 1 KiB: keep one and lend it, do not make one per packet.
pub struct NameBuffer {
    bytes: [u8; LONGEST_TEXT],
    len: usize,
}

const _: () = assert!(size_of::<NameBuffer>() <= 1024, "a name buffer must fit 1 KiB");

impl NameBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; LONGEST_TEXT], len: 0 }
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
