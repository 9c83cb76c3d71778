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
pub use record::{Part, Record, RecordData, RecordType, Records, Section, Strings};

use sentinel_units::{port, service};

use super::framing::MessageLen;
use super::protocol::{Body, Ports, Protocol, has_port};
use crate::read::{Cursor, Malformed};

/// DNS over UDP, and over TCP with a length before each message.
pub const DNS: Protocol = Protocol {
    segment: Some(|payload, ports| {
        // Unrecognised: the first length is too short for a header.
        message_len(payload, ports).is_some_and(|len| len != MessageLen::Unrecognised)
    }),
    datagram: Some(|payload, ports| has_port(ports, port::DNS) && starts_with_question(payload)),
    framing: Some(message_len),
    ..Protocol::new(service::DNS, "DNS", "RFC 1035")
};
/// Multicast DNS.
pub const MDNS: Protocol = Protocol {
    datagram: Some(|payload, ports| has_port(ports, port::MULTICAST_DNS) && starts_with_question(payload)),
    ..Protocol::new(service::MDNS, "MDNS", "RFC 6762")
};
/// Link-local multicast name resolution.
pub const LLMNR: Protocol = Protocol {
    datagram: Some(|payload, ports| has_port(ports, port::LLMNR) && starts_with_question(payload)),
    ..Protocol::new(service::LLMNR, "LLMNR", "RFC 4795")
};
pub(super) const PROTOCOLS: &[Protocol] = &[DNS, MDNS, LLMNR];
pub(super) const FUZZ_BODIES: &[Body] = &[("dns_message", fuzz_message), ("dns_stream", fuzz_stream)];

/// Most messages of one piece of a TCP stream whose lengths are read.
const MAX_STREAM_MESSAGES: usize = 64;

const HEADER_LEN: usize = 12;
/// A name of one byte, type and class.
const MIN_QUESTION_LEN: usize = 5;
/// A name of one byte, type, class, time to live and length.
const MIN_RECORD_LEN: usize = 11;

/// A DNS message: its header, and the bytes from which names and records are read.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    id: u16,
    flags: u16,
    counts: [u16; 4],
}

// `#[inline]`: other crates read the header and the first question of every DNS message.
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

    /// Number that a response repeats from its query; zero in multicast DNS.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Returns true for a response.
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

    /// The answer did not fit; the client will repeat the query over TCP.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The client requests recursion: the server should query other servers.
    #[must_use]
    pub const fn recursion_desired(&self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// The server offers recursion.
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

    /// Records of all three sections announced by the header.
    #[inline]
    #[must_use]
    pub fn record_count(&self) -> usize {
        let [_, records @ ..] = self.counts.map(usize::from);
        records.iter().sum()
    }

    /// Returns true if the bytes could hold the records that the header announces. False for a message that was cut, and
    /// for most bytes that are no DNS at all.
    #[must_use]
    pub fn counts_fit(&self) -> bool {
        let [questions, records @ ..] = self.counts.map(usize::from);
        // Less than 3 million with all counts at 65,535: no overflow.
        let least = questions * MIN_QUESTION_LEN + records.iter().sum::<usize>() * MIN_RECORD_LEN;
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
    /// The fault of the question; see [`Name`]. `Ok(None)` if the header announces none.
    #[inline]
    pub fn question(&self) -> Result<Option<Question<'m>>, Malformed> {
        self.questions().next().transpose()
    }

    /// All records of the three sections, one by one; each says its section. The questions are skipped
    /// first; if one of them is malformed, that is the first and only item.
    #[must_use]
    pub fn records(&self) -> Records<'m> {
        let mut questions = self.questions();
        // The names of the questions must be walked to find where the records start.
        let fault = questions.find_map(Result::err);
        let [_, counts @ ..] = self.counts;
        Records::new(self.bytes, questions.position, counts, fault)
    }

    /// The records of the answer section.
    pub fn answers(&self) -> impl Iterator<Item = Result<Record<'m>, Malformed>> + use<'m> {
        self.records().take(usize::from(self.answer_count()))
    }
}

/// Question of a message.
#[derive(Clone, Copy, Debug)]
pub struct Question<'m> {
    /// The queried name.
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
            // Ends the iterator for good.
            self.at = Cursor::new(&[]);
            return None;
        }
        Some(message)
    }
}

/// Returns true if the bytes have a DNS header, and a question that can be read if the header announces one.
fn starts_with_question(payload: &[u8]) -> bool {
    Message::parse(payload).is_ok_and(|message| message.question().is_ok())
}

/// Length of the messages of a TCP stream on port 53, each with its length in two bytes before it.
fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    has_port(ports, port::DNS).then(|| stream_len(bytes))
}

fn stream_len(bytes: &[u8]) -> MessageLen {
    let mut at = Cursor::new(bytes);
    // Each iteration takes two bytes or more; the bound limits the work on a long run of short messages.
    for _ in 0..MAX_STREAM_MESSAGES {
        if at.is_empty() {
            return MessageLen::Complete;
        }
        let before = bytes.len() - at.len();
        let Ok(len) = at.u16().map(usize::from) else { return MessageLen::AtLeast(before + 2) };
        // No DNS message. Behind complete ones the bytes are delivered all the same, and `tcp_messages` ends
        // here too.
        if len < HEADER_LEN {
            return if before == 0 { MessageLen::Unrecognised } else { MessageLen::Complete };
        }
        if at.take(len).is_err() {
            return MessageLen::AtLeast(before + 2 + len);
        }
    }
    MessageLen::Complete
}

/// Fuzz body: a DNS message.
fn fuzz_message(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let mut buffer = NameBuffer::new();
    let mut read = |name: Name<'_>| {
        assert_eq!(name.text(&mut buffer).len(), name.text_len());
        assert_eq!(name.lowercase(&mut buffer).len(), name.text_len());
        let labels: usize = name.labels().map(|label| label.len() + 1).sum();
        assert_eq!(labels + 1, name.wire_len());
        assert!(name.wire_len() <= 255);
    };
    for question in message.questions().flatten() {
        read(question.name);
    }
    let mut count = 0;
    for record in message.records().flatten() {
        count += 1;
        read(record.name);
        match record.data() {
            Ok(RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name)) => read(name),
            Ok(RecordData::Mx { exchange: name, .. }) => read(name),
            Ok(RecordData::Srv { target, .. } | RecordData::Service { target, .. }) => read(target),
            Ok(RecordData::Soa { primary, mailbox, .. }) => {
                read(primary);
                read(mailbox);
            }
            Ok(RecordData::Txt(strings)) => assert!(strings.count() <= record.bytes.len()),
            _ => {}
        }
    }
    assert!(count * 11 <= bytes.len(), "a record takes eleven bytes or more");
    let is_sound =
        message.questions().all(|question| question.is_ok()) && message.records().all(|it| it.is_ok());
    assert!(!is_sound || message.counts_fit());
}

/// Fuzz body: DNS messages with a length before each.
fn fuzz_stream(bytes: &[u8]) {
    for message in tcp_messages(bytes) {
        fuzz_message(message);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    /// An answer for `www.example.org`, type A: a canonical name, an address, an authority and an OPT record.
    const RESPONSE: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x02\x00\x01\x00\x01\
        \x03www\x07example\x03org\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03cdn\xc0\x10\
        \xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01\
        \xc0\x10\x00\x02\x00\x01\x00\x00\x00\x3c\x00\x05\x02ns\xc0\x10\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

    #[test]
    fn the_header_is_read() {
        let message = Message::parse(RESPONSE).unwrap();
        assert_eq!((message.id(), message.opcode(), message.response_code()), (0x1234, 0, 0));
        assert!(message.is_response() && message.recursion_desired() && message.recursion_available());
        assert!(!message.is_truncated() && !message.is_authoritative() && message.counts_fit());
        let counts = (message.question_count(), message.answer_count());
        assert_eq!((counts, message.authority_count(), message.additional_count()), ((1, 2), 1, 1));
        // opcode 5, authoritative, truncated, refused
        let message = Message::parse(b"\0\0\x2e\x05\0\0\0\0\0\0\0\0").unwrap();
        assert_eq!((message.opcode(), message.response_code()), (5, 5));
        assert!(!message.is_response() && message.is_authoritative() && message.is_truncated());
    }

    #[test]
    fn questions_and_records_are_read() {
        let message = Message::parse(RESPONSE).unwrap();
        let question = message.question().unwrap().unwrap();
        assert_eq!(question.name.to_string(), "www.example.org");
        assert_eq!((question.qtype, question.qclass), (RecordType::A, 1));
        let records: Vec<_> = message
            .records()
            .map(|record| record.map(|it| (it.section, it.name.to_string(), it.record_type)).unwrap())
            .collect();
        let expected = [
            (Section::Answer, "www.example.org", RecordType::CNAME),
            (Section::Answer, "cdn.example.org", RecordType::A),
            (Section::Authority, "example.org", RecordType::NS),
            (Section::Additional, ".", RecordType::OPT),
        ];
        assert_eq!(records, expected.map(|(section, name, kind)| (section, name.to_string(), kind)));
        assert_eq!(message.answers().count(), 2);
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..RESPONSE.len() {
            let Ok(message) = Message::parse(&RESPONSE[..cut]) else {
                assert!(cut < 12);
                continue;
            };
            assert_eq!(message.question().is_ok(), cut >= 33, "{cut}");
            let records: Vec<_> = message.records().collect();
            assert!(records.len() <= 4);
            assert_eq!(records.last().unwrap().as_ref().err(), Some(&Malformed::Truncated), "{cut}");
        }
    }

    #[test]
    fn each_count_too_big_ends_with_the_bytes() {
        for position in [4, 6, 8, 10] {
            let mut bytes = RESPONSE.to_vec();
            bytes[position] = 0xff;
            let message = Message::parse(&bytes).unwrap();
            assert!(!message.counts_fit(), "{position}");
            assert!(message.records().count() <= 5, "{position}");
            let last = message.records().last().unwrap();
            assert!(last.is_err(), "{position}");
        }
    }

    #[test]
    fn a_message_without_questions_is_no_error() {
        let message = Message::parse(&[0; 12]).unwrap();
        assert!(message.question().unwrap().is_none() && message.counts_fit());
        assert_eq!(message.records().count(), 0);
    }

    #[test]
    fn a_malformed_question_hides_the_records() {
        let mut bytes = RESPONSE.to_vec();
        bytes[12] = 0x80; // reserved label type
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.question().err(), Some(Malformed::BadName));
        let records: Vec<_> = message.records().map(Result::err).collect();
        assert_eq!(records, [Some(Malformed::BadName)]);
    }

    #[test]
    fn messages_in_a_stream_have_their_length_before_them() {
        let length = u8::try_from(RESPONSE.len()).unwrap();
        let stream = [&[0, length][..], RESPONSE, &[0, length], RESPONSE].concat();
        let messages: Vec<_> = tcp_messages(&stream).collect();
        assert_eq!(messages, [RESPONSE, RESPONSE]);
        for cut in 0..stream.len() {
            let found: Vec<_> = tcp_messages(&stream[..cut]).collect();
            let bytes: usize = found.iter().map(|message| message.len() + 2).sum();
            assert!(cut - bytes <= 2, "{cut}");
        }
        assert_eq!(tcp_messages(b"\x00\x05hello\x00\x0c............").count(), 0);
    }
}
