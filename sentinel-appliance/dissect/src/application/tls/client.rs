//! The first message of a TLS client.
//!
//! Read first: RFC 8446 sections 4.1.2, 4.2 and 5.1; RFC 6066 section 3 (server name); RFC 7301 section 3.1
//! (application protocols).

use super::extension::{
    APPLICATION_PROTOCOLS, ENCRYPTED_CLIENT_HELLO, POINT_FORMATS, SERVER_NAME, SIGNATURE_ALGORITHMS,
    SUPPORTED_GROUPS, SUPPORTED_VERSIONS,
};
use super::record::{
    CLIENT_HELLO, Extension, Extensions, HANDSHAKE_RECORD, MAX_RECORDS, Numbers, Protocols, append,
    is_reserved, list, record, usize_of,
};
use crate::read::{Cursor, Malformed};

const HOST_NAME: u8 = 0;

/// A client hello, complete or as much of it as was there.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'p> {
    /// Version of the record; 3.1 (`0x0301`) in most first records whatever the client supports.
    pub record_version: u16,
    /// Version of the message; 3.3 (TLS 1.2) in every TLS 1.3 hello. See [`ClientHello::newest_version`].
    pub legacy_version: u16,
    /// 32 random bytes.
    pub random: &'p [u8; 32],
    /// Session to resume; random for TLS 1.3 clients.
    pub session_id: &'p [u8],
    /// Fault that ended the reading early; `None` for a complete hello. [`Malformed::Truncated`]: the payload ended first.
    /// All fields before the fault are there.
    pub malformed: Option<Malformed>,
    cipher_suites: &'p [u8],
    extensions: &'p [u8],
    server_name: Option<&'p [u8]>,
    protocols: &'p [u8],
    versions: &'p [u8],
}

/// Returns true if a TCP payload starts with a handshake record that starts with a client hello. Cheap: six bytes.
#[inline]
#[must_use]
pub const fn is_client_hello(payload: &[u8]) -> bool {
    matches!(payload, [HANDSHAKE_RECORD, 3, _, _, _, CLIENT_HELLO, ..])
}

impl<'p> ClientHello<'p> {
    /// Reads the payload of a TCP segment that starts with the first record of a connection.
    ///
    /// A hello that continues in a second record is read to the end of the first, as if it were cut there;
    /// [`ClientHello::parse_joined`] reads all of it.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if it is not a handshake record or its message not a client hello.
    /// - [`Malformed::Truncated`] if the payload ends before the session number does.
    /// - [`Malformed::BadLength`] if a length before that is wrong.
    pub fn parse(payload: &'p [u8]) -> Result<Self, Malformed> {
        let (version, _, fragment) = record(&mut Cursor::new(payload))?;
        Self::parse_handshake(version, fragment)
    }

    /// Reads a hello like [`ClientHello::parse`]; one that continues in further records of the same payload is put
    /// together in `joined`, whose size bounds how much of it is read. One of 2 KiB suffices for what
    /// browsers send. Nothing is copied unless there is a second record.
    ///
    /// # Errors
    /// Those of [`ClientHello::parse`].
    pub fn parse_joined(payload: &'p [u8], joined: &'p mut [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(payload);
        let (version, _, first) = record(&mut at)?;
        // Message type and length: four bytes, which the pattern has checked before the subtraction.
        let is_complete = match *first {
            [_, a, b, c, ..] => first.len() - 4 >= usize_of(u32::from_be_bytes([0, a, b, c])),
            _ => false,
        };
        if is_complete || at.is_empty() {
            return Self::parse_handshake(version, first);
        }
        let mut len = append(joined, 0, first);
        for _ in 1..MAX_RECORDS {
            match record(&mut at) {
                Ok((_, _, fragment)) => len = append(joined, len, fragment),
                // What was joined so far is read as a hello that is cut.
                Err(_) => break,
            }
        }
        Self::parse_handshake(version, joined.get(..len).unwrap_or_default())
    }

    /// Reads the message itself, as QUIC carries it: without records.
    ///
    /// # Errors
    /// Those of [`ClientHello::parse`].
    pub fn parse_message(message: &'p [u8]) -> Result<Self, Malformed> {
        Self::parse_handshake(0, message)
    }

    fn parse_handshake(record_version: u16, bytes: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(bytes);
        if at.u8()? != CLIENT_HELLO {
            return Err(Malformed::OtherProtocol);
        }
        let announced = usize_of(at.u24()?);
        let body = at.take_up_to(announced);
        // Running out of bytes is the fault of the capture if the body is not all there, else of the sender.
        let short = if body.len() < announced { Malformed::Truncated } else { Malformed::BadLength };
        let mut at = Cursor::new(body);
        let mut hello = Self::parse_start(&mut at, record_version).map_err(|_| short)?;
        // RFC 8446 section 4.1.2: `legacy_session_id<0..32>`.
        if hello.session_id.len() > 32 {
            return Err(Malformed::BadLength);
        }
        hello.malformed = match hello.parse_rest(&mut at) {
            Ok(()) if body.len() == announced => None,
            Ok(()) | Err(Malformed::Truncated) => Some(short),
            Err(error) => Some(error),
        };
        Ok(hello)
    }

    fn parse_start(at: &mut Cursor<'p>, record_version: u16) -> Result<Self, Malformed> {
        let (legacy_version, random) = (at.u16()?, at.array()?);
        let session_id_len = at.u8()?;
        Ok(Self {
            record_version,
            legacy_version,
            random,
            session_id: at.take(usize::from(session_id_len))?,
            malformed: None,
            cipher_suites: &[],
            extensions: &[],
            server_name: None,
            protocols: &[],
            versions: &[],
        })
    }

    fn parse_rest(&mut self, at: &mut Cursor<'p>) -> Result<(), Malformed> {
        self.cipher_suites = list(at)?;
        let compression_len = at.u8()?;
        at.take(usize::from(compression_len))?;
        if at.is_empty() {
            return Ok(()); // before TLS 1.2 extensions were optional
        }
        let announced = usize::from(at.u16()?);
        self.extensions = at.take_up_to(announced);
        let mut walk = self.extensions();
        let mut found = Ok(());
        for extension in walk.by_ref() {
            let read = self.read_extension(extension);
            // All extensions are read; the first fault is the one reported.
            found = found.and(read);
        }
        found?;
        if !walk.at.is_empty() {
            return Err(if walk.left == 0 { Malformed::TooManyHeaders } else { Malformed::Truncated });
        }
        if self.extensions.len() < announced { Err(Malformed::Truncated) } else { Ok(()) }
    }

    /// A length inside an extension that is wrong is the fault of the sender: the extension is all there.
    fn read_extension(&mut self, extension: Extension<'p>) -> Result<(), Malformed> {
        let mut at = Cursor::new(extension.data);
        let bad = |_| Malformed::BadLength;
        match extension.kind {
            // A second extension of one type is forbidden (RFC 8446 section 4.2); the first one is kept.
            SERVER_NAME if self.server_name.is_none() => {
                self.server_name = Some(host_name(&mut at).map_err(bad)?);
            }
            APPLICATION_PROTOCOLS if self.protocols.is_empty() => {
                self.protocols = list(&mut at).map_err(bad)?;
            }
            SUPPORTED_VERSIONS if self.versions.is_empty() => {
                let len = at.u8().map_err(bad)?;
                self.versions = at.take(usize::from(len)).map_err(bad)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Name of the requested server, as sent: not checked to be a host name, nor to be ASCII.
    #[must_use]
    pub const fn sni(&self) -> Option<&'p [u8]> {
        self.server_name
    }

    /// Application protocols offered (`h2`, `http/1.1`), best first.
    #[must_use]
    pub const fn alpn(&self) -> Protocols<'p> {
        Protocols { at: Cursor::new(self.protocols) }
    }

    /// Cipher suites offered, best first; reserved ones that clients mix in (RFC 8701) included.
    #[must_use]
    pub const fn cipher_suites(&self) -> Numbers<'p> {
        Numbers { at: Cursor::new(self.cipher_suites) }
    }

    /// Versions offered in the extension that TLS 1.3 brought; empty for older clients.
    #[must_use]
    pub const fn supported_versions(&self) -> Numbers<'p> {
        Numbers { at: Cursor::new(self.versions) }
    }

    /// The newest version offered (`0x0304` is TLS 1.3), reserved values left out (RFC 8701).
    #[must_use]
    pub fn newest_version(&self) -> u16 {
        let offered = self.supported_versions().filter(|version| !is_reserved(*version));
        offered.max().unwrap_or(self.legacy_version)
    }

    /// Extensions in the order sent, those that are all there.
    #[must_use]
    pub const fn extensions(&self) -> Extensions<'p> {
        Extensions::new(self.extensions)
    }

    /// Key exchange groups offered (`supported_groups`, RFC 8446 section 4.2.7), best first.
    #[must_use]
    pub fn groups(&self) -> Numbers<'p> {
        self.numbers_of(SUPPORTED_GROUPS)
    }

    /// Signature algorithms offered (RFC 8446 section 4.2.3), best first.
    #[must_use]
    pub fn signature_algorithms(&self) -> Numbers<'p> {
        self.numbers_of(SIGNATURE_ALGORITHMS)
    }

    /// Forms of points on curves that the client reads (RFC 8422 section 5.1.2).
    #[must_use]
    pub fn point_formats(&self) -> &'p [u8] {
        let Some(extension) = self.extensions().find(|it| it.kind == POINT_FORMATS) else { return &[] };
        let mut at = Cursor::new(extension.data);
        at.u8().and_then(|len| at.take(usize::from(len))).unwrap_or_default()
    }

    /// Returns true for the outer hello of an encrypted one (or a GREASE imitation of it: RFC 9849 section 6.2).
    #[must_use]
    pub fn has_encrypted_hello(&self) -> bool {
        self.extensions().any(|it| it.kind == ENCRYPTED_CLIENT_HELLO)
    }

    fn numbers_of(&self, kind: u16) -> Numbers<'p> {
        let found = self.extensions().find(|it| it.kind == kind);
        let list = found.and_then(|it| list(&mut Cursor::new(it.data)).ok()).unwrap_or_default();
        Numbers { at: Cursor::new(list) }
    }
}

/// Takes the first host name of a server name list.
fn host_name<'p>(at: &mut Cursor<'p>) -> Result<&'p [u8], Malformed> {
    // RFC 6066 section 3 allows one name of each type and defines one type, so only the first is read.
    let mut names = Cursor::new(list(at)?);
    if names.u8()? != HOST_NAME {
        return Err(Malformed::BadSyntax);
    }
    let name = list(&mut names)?;
    if name.is_empty() { Err(Malformed::BadLength) } else { Ok(name) }
}

/// Fuzz body: a TLS client hello, of one record and joined from several.
pub(super) fn fuzz(bytes: &[u8]) {
    let mut joined = [0; 1024];
    let first = ClientHello::parse(bytes);
    let all = ClientHello::parse_joined(bytes, &mut joined);
    for hello in [&first, &all].into_iter().flatten() {
        assert!(is_client_hello(bytes) || bytes.len() < 6 || all.is_ok());
        assert!(hello.session_id.len() <= 32);
        assert!(hello.extensions().count() <= 64);
        assert!(hello.sni().is_none_or(|name| !name.is_empty()));
        let _ = (hello.alpn().count(), hello.cipher_suites().count(), hello.newest_version());
    }
    if let (Ok(first), Ok(all)) = (first, all) {
        assert_eq!(first.random, all.random);
        assert!(first.malformed.is_some() || all.malformed.is_none());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn with_length(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &with_length(data)].concat()
    }

    fn server_name(name: &[u8]) -> Vec<u8> {
        extension(SERVER_NAME, &with_length(&[&[HOST_NAME][..], &with_length(name)].concat()))
    }

    /// Records of a hello with these extensions, split into fragments of at most `size` bytes.
    fn records(extensions: &[u8], size: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]); // random
        body.extend_from_slice(&[2, 0xaa, 0xbb]); // session number of two bytes
        body.extend_from_slice(&[0, 6, 0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f]); // one reserved and two suites
        body.extend_from_slice(&[1, 0]); // no compression
        body.extend_from_slice(&with_length(extensions));
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO, length[1], length[2], length[3]][..], &body].concat();
        message
            .chunks(size)
            .flat_map(|fragment| [&[HANDSHAKE_RECORD, 3, 1][..], &with_length(fragment)].concat())
            .collect()
    }

    fn extensions() -> Vec<u8> {
        [
            extension(0x0a0a, &[]),
            server_name(b"www.example.org"),
            extension(APPLICATION_PROTOCOLS, b"\x00\x0c\x02h2\x08http/1.1"),
            extension(SUPPORTED_VERSIONS, &[6, 0x7a, 0x7a, 3, 4, 3, 3]),
        ]
        .concat()
    }

    #[test]
    fn a_hello_gives_what_the_client_offers() {
        let payload = records(&extensions(), 9999);
        assert!(is_client_hello(&payload));
        let hello = ClientHello::parse(&payload).unwrap();
        assert_eq!((hello.record_version, hello.legacy_version, hello.malformed), (0x0301, 0x0303, None));
        assert_eq!((hello.random, hello.session_id), (&[7; 32], &[0xaa, 0xbb][..]));
        assert_eq!(hello.cipher_suites().collect::<Vec<_>>(), [0x1a1a, 0x1301, 0xc02f]);
        assert_eq!(hello.sni(), Some(&b"www.example.org"[..]));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        assert_eq!(hello.supported_versions().collect::<Vec<_>>(), [0x7a7a, 0x0304, 0x0303]);
        assert_eq!(hello.newest_version(), 0x0304);
        let kinds: Vec<_> = hello.extensions().map(|extension| extension.kind).collect();
        assert_eq!(kinds, [0x0a0a, SERVER_NAME, APPLICATION_PROTOCOLS, SUPPORTED_VERSIONS]);
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let payload = records(&extensions(), 9999);
        let name_end = payload.windows(15).position(|window| window == b"www.example.org").unwrap() + 15;
        for cut in 0..payload.len() {
            match ClientHello::parse(&payload[..cut]) {
                Err(error) => assert!(cut < 47 && error == Malformed::Truncated, "{cut} {error}"),
                Ok(hello) => {
                    assert_eq!(hello.malformed, Some(Malformed::Truncated), "{cut}");
                    assert_eq!(hello.sni().is_some(), cut >= name_end, "{cut}");
                }
            }
        }
    }

    #[test]
    fn a_hello_over_several_records_is_joined() {
        for size in [1, 5, 40, 100] {
            let payload = records(&extensions(), size);
            let mut joined = [0; 512];
            let hello = ClientHello::parse_joined(&payload, &mut joined);
            if size == 1 {
                // more records than any client would make of it
                assert_eq!(hello.err(), Some(Malformed::Truncated));
                continue;
            }
            let hello = hello.unwrap();
            assert_eq!((hello.malformed, hello.sni()), (None, Some(&b"www.example.org"[..])), "{size}");
        }
        let payload = records(&extensions(), 60);
        let cut = ClientHello::parse(&payload).unwrap();
        assert_eq!((cut.malformed, cut.sni()), (Some(Malformed::Truncated), None));
        // a buffer too small: read as far as it goes
        let mut joined = [0; 64];
        let cut = ClientHello::parse_joined(&payload, &mut joined).unwrap();
        assert_eq!(cut.malformed, Some(Malformed::Truncated));
    }

    #[test]
    fn one_record_is_not_copied() {
        let payload = records(&extensions(), 9999);
        let hello = ClientHello::parse_joined(&payload, &mut []).unwrap();
        assert_eq!((hello.malformed, hello.sni()), (None, Some(&b"www.example.org"[..])));
    }

    #[test]
    fn each_length_too_big_is_an_error() {
        let payload = records(&extensions(), 9999);
        // record; handshake; both are larger than what is there: the rest may come in the next segment
        for position in [3, 6, 7] {
            let mut bytes = payload.clone();
            bytes[position] = bytes[position].wrapping_add(1);
            let hello = ClientHello::parse(&bytes).unwrap();
            assert_eq!(hello.malformed, if position == 3 { None } else { Some(Malformed::Truncated) });
        }
        let mut bytes = payload.clone();
        bytes[43] = 33; // session number longer than 32 bytes
        assert_eq!(ClientHello::parse(&bytes).err(), Some(Malformed::BadLength));
        // cipher suites, compression methods, extensions, first extension
        for position in [46, 54, 56, 60] {
            let mut bytes = payload.clone();
            bytes[position] = 255;
            let hello = ClientHello::parse(&bytes).unwrap();
            assert_eq!(hello.malformed, Some(Malformed::BadLength), "{position}");
        }
    }

    #[test]
    fn wrong_lengths_inside_an_extension_leave_the_others() {
        let name = server_name(b"a.example");
        for position in [5, 8] {
            let mut name = name.clone();
            name[position] = 200;
            let extensions = [name, extension(APPLICATION_PROTOCOLS, b"\x00\x03\x02h2")].concat();
            let payload = records(&extensions, 9999);
            let hello = ClientHello::parse(&payload).unwrap();
            assert_eq!((hello.malformed, hello.sni()), (Some(Malformed::BadLength), None));
            assert_eq!(hello.alpn().next(), Some(&b"h2"[..]));
        }
    }

    #[test]
    fn too_many_extensions_are_a_fault() {
        for (count, malformed) in [(64, None), (65, Some(Malformed::TooManyHeaders))] {
            let payload = records(&extension(99, &[]).repeat(count), 9999);
            assert_eq!(ClientHello::parse(&payload).unwrap().malformed, malformed);
        }
    }

    #[test]
    fn other_bytes_are_rejected() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[23, 3, 3, 0, 1, 0],
            &[22, 2, 0, 0, 1, 1],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        ] {
            assert_eq!(ClientHello::parse(bytes).err(), Some(Malformed::OtherProtocol), "{bytes:?}");
            assert!(!is_client_hello(bytes));
        }
        assert_eq!(ClientHello::parse(&[22, 3, 1, 0, 0, 1]).err(), Some(Malformed::BadLength));
        assert_eq!(ClientHello::parse(&[22, 3, 1, 0x40, 1, 1]).err(), Some(Malformed::BadLength));
    }
}
