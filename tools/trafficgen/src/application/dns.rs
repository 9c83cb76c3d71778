//! DNS and multicast DNS messages.
//!
//! Read first: RFC 1035 section 4, RFC 6762 section 18.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Record types, by number.
pub mod record {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// An alias.
    pub const CNAME: u16 = 5;
    /// The name of an address.
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
}

/// The data of one answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name of an address.
    Ptr(String),
    /// One text string of at most 255 bytes.
    Txt(Vec<u8>),
}

/// The port of unicast DNS.
pub const PORT: u16 = 53;
/// The port of multicast DNS.
pub const MULTICAST_PORT: u16 = 5_353;

const RECURSION_DESIRED: u16 = 0x0100;
const RESPONSE_RECURSIVE: u16 = 0x8180;
const RESPONSE_AUTHORITATIVE: u16 = 0x8400;
const CLASS_INTERNET: u16 = 1;
const POINTER_TO_QUESTION: u16 = 0xc00c;

/// Query of a stub resolver for the record type `kind` of `name`.
#[must_use]
pub fn query(identifier: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut message = header(identifier, RECURSION_DESIRED, 1, 0);
    question(&mut message, name, kind);
    message
}

/// Response of a resolver; the name of each record is a pointer to the question.
#[must_use]
pub fn response(identifier: u16, name: &str, kind: u16, answers: &[Answer]) -> Vec<u8> {
    let count = u16::try_from(answers.len()).unwrap_or(u16::MAX);
    let mut message = header(identifier, RESPONSE_RECURSIVE, 1, count);
    question(&mut message, name, kind);
    answers.iter().for_each(|answer| record_of(&mut message, &POINTER_TO_QUESTION.to_be_bytes(), answer));
    message
}

/// Multicast DNS announcement of one record.
#[must_use]
pub fn announcement(name: &str, answer: &Answer) -> Vec<u8> {
    let mut message = header(0, RESPONSE_AUTHORITATIVE, 0, 1);
    record_of(&mut message, &labels(name), answer);
    message
}

/// Message with its length in front, as sent over TCP (RFC 1035 section 4.2.2).
#[must_use]
pub fn over_stream(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
}

/// Name in wire format. Empty labels are left out, and a label is cut to 63 bytes.
#[must_use]
pub fn labels(name: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let bytes = label.as_bytes();
        let bytes = bytes.get(..63).unwrap_or(bytes);
        wire.push(u8::try_from(bytes.len()).unwrap_or(63));
        wire.extend_from_slice(bytes);
    }
    wire.push(0);
    wire
}

fn header(identifier: u16, flags: u16, questions: u16, answers: u16) -> Vec<u8> {
    [identifier, flags, questions, answers, 0, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

fn question(message: &mut Vec<u8>, name: &str, kind: u16) {
    message.extend(labels(name));
    message.extend(kind.to_be_bytes());
    message.extend(CLASS_INTERNET.to_be_bytes());
}

fn record_of(message: &mut Vec<u8>, owner: &[u8], answer: &Answer) {
    let (kind, data) = match answer {
        Answer::A(address) => (record::A, address.octets().to_vec()),
        Answer::Aaaa(address) => (record::AAAA, address.octets().to_vec()),
        Answer::Ptr(name) => (record::PTR, labels(name)),
        Answer::Txt(text) => {
            let text = text.get(..255).unwrap_or(text);
            (record::TXT, [&[u8::try_from(text.len()).unwrap_or(255)], text].concat())
        }
    };
    message.extend_from_slice(owner);
    message.extend(kind.to_be_bytes());
    message.extend(CLASS_INTERNET.to_be_bytes());
    message.extend(300_u32.to_be_bytes());
    message.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_the_bytes_of_rfc_1035() {
        // identifier, recursion desired, one question; 2"ab" 1"c" end; A, IN
        let expected = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, b'a', b'b', 1, b'c', 0, 0, 1, 0, 1];
        assert_eq!(query(0x1234, "ab.c", record::A), expected);
        assert_eq!(over_stream(&expected).get(..2).unwrap(), [0, 22]);
    }

    #[test]
    fn the_name_of_an_answer_points_to_the_question() {
        let message = response(1, "c", record::TXT, &[Answer::Txt(b"hi".to_vec())]);
        // pointer to byte 12, TXT, IN, 300 s, three bytes: length and text
        assert_eq!(message.get(19..).unwrap(), [0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 44, 0, 3, 2, b'h', b'i']);
    }
}
