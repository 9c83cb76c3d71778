//! The first flight of a TLS server.
//!
//! Read first: RFC 8446 section 4.1.3; RFC 5246 sections 7.4.1.3 and 7.4.2.

use super::extension::{APPLICATION_PROTOCOLS, KEY_SHARE, SUPPORTED_VERSIONS};
use super::record::{CERTIFICATE, Extensions, HANDSHAKE_RECORD, Handshake, SERVER_HELLO, list, usize_of};
use crate::read::{Cursor, Malformed};

/// Messages of a first flight: hello, certificate, status, key exchange, request, done.
const MAX_MESSAGES: usize = 8;
/// The random bytes that make a hello a request to try again (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A server hello, and the certificate behind it if that is in clear.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'p> {
    /// Version of the message; 3.3 (TLS 1.2) in every TLS 1.3 hello. See [`ServerHello::version`].
    pub legacy_version: u16,
    /// 32 random bytes.
    pub random: &'p [u8; 32],
    /// The suite chosen.
    pub cipher_suite: u16,
    /// The server's own certificate, complete, in DER. `None` from TLS 1.3 on, when a session is resumed, and if it is cut.
    pub certificate: Option<&'p [u8]>,
    /// Certificate as far as it is there; empty if none of it is.
    pub certificate_start: &'p [u8],
    extensions: &'p [u8],
}

/// Returns true if a TCP payload starts with a handshake record that starts with a server hello. Cheap: six bytes.
#[inline]
#[must_use]
pub const fn is_server_hello(payload: &[u8]) -> bool {
    matches!(payload, [HANDSHAKE_RECORD, 3, _, _, _, SERVER_HELLO, ..])
}

impl<'p> ServerHello<'p> {
    /// Reads the payload of a TCP segment, or of several joined, that starts with the first record of a server. Its
    /// messages are joined in `joined`, whose size bounds how much is read: 16 KiB suffice for nearly all
    /// certificates.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if it is not a handshake record or its message not a server hello.
    /// - [`Malformed::Truncated`] if the hello is not all there.
    /// - [`Malformed::BadLength`] if a length in it is wrong.
    pub fn parse(payload: &'p [u8], joined: &'p mut [u8]) -> Result<Self, Malformed> {
        if !is_server_hello(payload) {
            return Err(Malformed::OtherProtocol);
        }
        let len = Handshake::new(payload).join(joined);
        Self::parse_messages(joined.get(..len).unwrap_or_default())
    }

    /// Reads the messages themselves, as QUIC carries them: without records.
    ///
    /// # Errors
    /// Those of [`ServerHello::parse`].
    pub fn parse_messages(messages: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(messages);
        if at.u8()? != SERVER_HELLO {
            return Err(Malformed::OtherProtocol);
        }
        let len = usize_of(at.u24()?);
        let mut hello = Self::parse_hello(at.take(len)?)?;
        // From TLS 1.3 on the messages behind the hello are encrypted, in records of another type, so none of
        // them is in `messages`.
        for _ in 1..MAX_MESSAGES {
            let Ok((kind, len)) = at.u8().and_then(|kind| Ok((kind, usize_of(at.u24()?)))) else { break };
            let body = at.take_up_to(len);
            if kind == CERTIFICATE {
                if let Ok((certificate, len)) = first_certificate(body) {
                    hello.certificate_start = certificate;
                    hello.certificate = (certificate.len() == len).then_some(certificate);
                }
                break;
            }
        }
        Ok(hello)
    }

    fn parse_hello(body: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(body);
        let mut read = || -> Result<Self, Malformed> {
            let (legacy_version, random) = (at.u16()?, at.array()?);
            let session_id_len = at.u8()?;
            at.take(usize::from(session_id_len))?;
            let cipher_suite = at.u16()?;
            let _compression = at.u8()?;
            // Before TLS 1.2 extensions were optional.
            let extensions = if at.is_empty() { &[] } else { list(&mut at)? };
            Ok(Self {
                legacy_version,
                random,
                cipher_suite,
                certificate: None,
                certificate_start: &[],
                extensions,
            })
        };
        // The body is all there: running out of bytes is the fault of a length in it.
        read().map_err(|_| Malformed::BadLength)
    }

    /// Extensions in the order sent.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'p> {
        Extensions::new(self.extensions)
    }

    /// The version chosen (`0x0304` is TLS 1.3).
    #[must_use]
    pub fn version(&self) -> u16 {
        let chosen = self.extensions().find(|it| it.kind == SUPPORTED_VERSIONS);
        chosen.and_then(|it| it.data.try_into().ok()).map_or(self.legacy_version, u16::from_be_bytes)
    }

    /// The application protocol chosen, if that is in clear (before TLS 1.3).
    #[must_use]
    pub fn alpn(&self) -> Option<&'p [u8]> {
        let chosen = self.extensions().find(|it| it.kind == APPLICATION_PROTOCOLS)?;
        let mut names = Cursor::new(list(&mut Cursor::new(chosen.data)).ok()?);
        let len = names.u8().ok()?;
        names.take(usize::from(len)).ok()
    }

    /// The key exchange group chosen, or required by a request to try again; `None` before TLS 1.3.
    #[must_use]
    pub fn group(&self) -> Option<u16> {
        let chosen = self.extensions().find(|it| it.kind == KEY_SHARE)?;
        Cursor::new(chosen.data).u16().ok()
    }

    /// Returns true for a `HelloRetryRequest`: the client must send another hello.
    #[must_use]
    pub fn is_retry_request(&self) -> bool {
        *self.random == RETRY
    }
}

/// The first of a list of certificates, each behind its length of three bytes: as much as is there, and its length.
fn first_certificate(body: &[u8]) -> Result<(&[u8], usize), Malformed> {
    let mut at = Cursor::new(body);
    let _all = at.u24()?;
    let len = usize_of(at.u24()?);
    if len == 0 { Err(Malformed::BadLength) } else { Ok((at.take_up_to(len), len)) }
}

/// Fuzz body: the first flight of a TLS server.
pub(super) fn fuzz(bytes: &[u8]) {
    let mut joined = [0; 512];
    let Ok(hello) = ServerHello::parse(bytes, &mut joined) else { return };
    assert!(is_server_hello(bytes));
    assert!(hello.extensions().count() <= 64);
    let _ = (hello.version(), hello.alpn(), hello.is_retry_request());
    assert!(hello.certificate.is_none_or(|der| !der.is_empty() && der.len() < bytes.len()));
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, len[1], len[2], len[3]][..], body].concat()
    }

    fn records(messages: &[u8], size: usize) -> Vec<u8> {
        let record = |fragment: &[u8]| {
            let len = u16::try_from(fragment.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE_RECORD, 3, 3, len[0], len[1]][..], fragment].concat()
        };
        messages.chunks(size).flat_map(record).collect()
    }

    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[1, 0xaa, 0xc0, 0x2f, 0]); // session number, suite, no compression
        if !extensions.is_empty() {
            body.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend_from_slice(extensions);
        }
        message(SERVER_HELLO, &body)
    }

    const ALPN: [u8; 9] = [0, 16, 0, 5, 0, 3, 2, b'h', b'2'];

    #[test]
    fn hello_and_certificate_are_read_across_records() {
        let certificate = message(CERTIFICATE, &[&[0, 0, 10, 0, 0, 4][..], b"DER!", &[0, 0, 0]].concat());
        let messages = [hello(&ALPN), message(22, &[1]), certificate].concat();
        for size in [1, 7, 60, 9999] {
            let payload = records(&messages, size);
            let mut joined = [0; 200];
            let hello = ServerHello::parse(&payload, &mut joined).unwrap();
            assert_eq!((hello.version(), hello.cipher_suite), (0x0303, 0xc02f));
            assert_eq!((hello.alpn(), hello.certificate), (Some(&b"h2"[..]), Some(&b"DER!"[..])), "{size}");
            assert!(!hello.is_retry_request());
        }
    }

    #[test]
    fn the_newer_version_is_in_an_extension() {
        let payload = records(&hello(&[0, 43, 0, 2, 3, 4]), 9999);
        let mut joined = [0; 200];
        assert_eq!(ServerHello::parse(&payload, &mut joined).unwrap().version(), 0x0304);
        let payload = records(&hello(&[]), 9999);
        let hello = ServerHello::parse(&payload, &mut joined).unwrap();
        assert_eq!((hello.version(), hello.extensions().count()), (0x0303, 0));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let certificate = message(CERTIFICATE, &[&[0, 0, 7, 0, 0, 4][..], b"DER!"].concat());
        let whole = [hello(&ALPN), certificate].concat();
        let (payload, enough) = (records(&whole, 9999), 5 + hello(&ALPN).len());
        for cut in 0..payload.len() {
            let mut joined = [0; 200];
            match ServerHello::parse(&payload[..cut], &mut joined) {
                Ok(hello) => assert!(cut >= enough && hello.certificate.is_none(), "{cut}"),
                Err(error) => {
                    let other = error == Malformed::OtherProtocol;
                    assert!(cut < enough && other == (cut < 6), "{cut} {error}");
                }
            }
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let good = records(&hello(&ALPN), 9999);
        for (position, value) in [(43, 0xff), (49, 0xff), (49, 0)] {
            let mut bad = good.clone();
            bad[position] = value;
            let mut joined = [0; 200];
            let parsed = ServerHello::parse(&bad, &mut joined);
            // A list that is too short is no fault by itself, but nothing is read from it.
            let harmless = parsed.as_ref().is_ok_and(|hello| hello.alpn().is_none());
            assert!(harmless || parsed.err() == Some(Malformed::BadLength), "{position}");
        }
    }
}
