//! DNS messages, which multicast DNS and LLMNR share.
//!
//! Read first: RFC 1035 section 4; RFC 9619 (one question at most); RFC 6762 section 18 (multicast DNS);
//! RFC 4795 section 2.1 (LLMNR).
//!
//! [`Message::parse`] looks at the twelve bytes of the header only; names and records are read when an
//! iterator reaches them, so that the first question costs nothing but itself.

mod name;
mod record;

pub use name::{Labels, Name, NameBuffer};
pub use record::{Record, RecordData, RecordType, Records, Section, Strings};

use crate::Malformed;
use crate::cursor::Cursor;

const HEADER_LEN: usize = 12;
/// A name of one byte, type and class.
const SHORTEST_QUESTION: usize = 5;
/// A name of one byte, type, class, time to live and length.
const SHORTEST_RECORD: usize = 11;

/// A DNS message: its header, and the bytes that the rest is read from.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    id: u16,
    flags: u16,
    counts: [u16; 4],
}

impl<'m> Message<'m> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if the twelve bytes are not all there.
    #[inline]
    pub fn parse(bytes: &'m [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(bytes);
        let (id, flags) = (at.u16()?, at.u16()?);
        let counts = [at.u16()?, at.u16()?, at.u16()?, at.u16()?];
        Ok(Self { bytes, id, flags, counts })
    }

    /// Number that ties an answer to its question; zero in multicast DNS.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Whether this is an answer.
    #[inline]
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// 0 query, 4 notify, 5 update, 6 stateful operations.
    #[inline]
    #[must_use]
    pub const fn opcode(&self) -> u8 {
        let [high, _] = self.flags.to_be_bytes();
        high >> 3 & 0x0f
    }

    /// 0 no error, 2 server failure, 3 no such name, 5 refused.
    #[inline]
    #[must_use]
    pub const fn response_code(&self) -> u8 {
        let [_, low] = self.flags.to_be_bytes();
        low & 0x0f
    }

    /// The server answers for its own zone.
    #[must_use]
    pub const fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// The answer did not fit; the client will ask again over TCP.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The client wants the server to ask others.
    #[must_use]
    pub const fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// The server is ready to ask others.
    #[must_use]
    pub const fn recursion_available(&self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// Questions announced by the header.
    #[must_use]
    pub const fn question_count(&self) -> u16 {
        let [questions, ..] = self.counts;
        questions
    }

    /// Answer records announced by the header.
    #[must_use]
    pub const fn answer_count(&self) -> u16 {
        let [_, answers, ..] = self.counts;
        answers
    }

    /// Authority records announced by the header.
    #[must_use]
    pub const fn authority_count(&self) -> u16 {
        let [_, _, authority, _] = self.counts;
        authority
    }

    /// Additional records announced by the header.
    #[must_use]
    pub const fn additional_count(&self) -> u16 {
        let [_, _, _, additional] = self.counts;
        additional
    }

    /// Whether the bytes could hold what the header announces. False for a message that was cut, and for
    /// most bytes that are no DNS at all.
    #[must_use]
    pub fn counts_fit(&self) -> bool {
        let [questions, records @ ..] = self.counts.map(usize::from);
        let least = questions * SHORTEST_QUESTION + records.iter().sum::<usize>() * SHORTEST_RECORD;
        least <= self.bytes.len().saturating_sub(HEADER_LEN)
    }

    /// The questions, one by one.
    #[inline]
    #[must_use]
    pub const fn questions(&self) -> Questions<'m> {
        Questions { message: self.bytes, position: HEADER_LEN, left: self.question_count() }
    }

    /// The first question, which in practice is the only one.
    ///
    /// # Errors
    /// What is wrong with it; see [`Name`]. `Ok(None)` if the header announces none.
    #[inline]
    pub fn question(&self) -> Result<Option<Question<'m>>, Malformed> {
        self.questions().next().transpose()
    }

    /// All records of the three sections, one by one; each says its section. The questions are skipped
    /// first; if one of them is malformed, that is the first and only item.
    #[must_use]
    pub fn records(&self) -> Records<'m> {
        let mut questions = self.questions();
        let fault = questions.find_map(Result::err);
        let [_, counts @ ..] = self.counts;
        Records::new(self.bytes, questions.position, counts, fault)
    }

    /// The records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = Result<Record<'m>, Malformed>> + use<'m> {
        self.records().take(usize::from(self.answer_count()))
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'m> {
    /// The name asked for.
    pub name: Name<'m>,
    /// Type of records wanted.
    pub qtype: RecordType,
    /// Class as on the wire, 1 for the Internet. Multicast DNS uses the top bit for "answer me alone".
    pub qclass: u16,
}

/// Iterator over the questions of a message. Ends after the first that is malformed.
#[derive(Clone, Debug)]
pub struct Questions<'m> {
    message: &'m [u8],
    position: usize,
    left: u16,
}

impl<'m> Iterator for Questions<'m> {
    type Item = Result<Question<'m>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let question = self.read();
        if question.is_err() {
            self.left = 0;
        }
        Some(question)
    }
}

impl<'m> Questions<'m> {
    #[inline]
    fn read(&mut self) -> Result<Question<'m>, Malformed> {
        let (name, behind) = Name::parse(self.message, self.position)?;
        let mut at = Cursor::new(self.message.get(behind..).unwrap_or_default());
        let (qtype, qclass) = (RecordType(at.u16()?), at.u16()?);
        self.position = behind.saturating_add(4);
        Ok(Question { name, qtype, qclass })
    }
}

/// The messages in a piece of a TCP stream that starts at a message boundary.
///
/// Each has its length in two bytes before it (RFC 1035 section 4.2.2, RFC 7766 section 8). The last one may
/// continue in the next segment; it then comes cut. A length too short for a DNS header ends the walk: the
/// bytes are something else.
#[must_use]
pub const fn tcp_messages(payload: &[u8]) -> TcpMessages<'_> {
    TcpMessages { at: Cursor::new(payload) }
}

/// Iterator over DNS messages with a length before each.
#[derive(Clone, Debug)]
pub struct TcpMessages<'m> {
    at: Cursor<'m>,
}

impl<'m> Iterator for TcpMessages<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let announced = usize::from(self.at.u16().ok()?);
        let message = self.at.take_up_to(announced);
        if announced < HEADER_LEN || message.is_empty() {
            self.at = Cursor::new(&[]);
            return None;
        }
        Some(message)
    }
}
