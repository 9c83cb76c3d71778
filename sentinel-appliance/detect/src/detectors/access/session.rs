//! One session at a login service, as far as the responder's segments tell whether a log-in was refused.
//!
//! In clear text the refusal has a code. SSH encrypts it, but not its length: after the key exchange the server accepts the
//! authentication service with a short packet, and answers each password with one of the same length (RFC 4252 section 5.1). What works
//! goes on with packets of other lengths: success, channels, host keys, output. Then no try of the session counts.

/// Longest SSH packet that can be the refusal of a password.
const MAX_REFUSAL: usize = 100;
/// Length of the packet that ends the key exchange of SSH, at most.
const NEW_KEYS: usize = 16;
/// Segments of banner and key exchange, at most: more long ones are output.
const MAX_EXCHANGE: u32 = 5;
/// Segments of a session that are read without a refusal.
const MAX_SEGMENTS: u32 = 24;
/// Bytes from which an answer that refuses nothing is work.
const WORK: usize = 256;

/// State of a session, in the bits that a flow keeps for detectors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Session {
    phase: u32,
    /// Refusals so far, 63 at most.
    refusals: u32,
    /// Segments since the last refusal.
    segments: u32,
    /// Length of the last short packet of SSH.
    length: u32,
}

/// Nothing was read yet.
const NEW: u32 = 1;
/// SSH before the first short packet.
const EXCHANGE: u32 = 2;
/// SSH after it.
const AUTHENTICATION: u32 = 3;
/// A protocol with codes.
const CODES: u32 = 4;

/// Result of one segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// Nothing.
    None,
    /// A log-in was refused.
    One,
    /// The session works: this many refusals of it do not count.
    Revoked(u32),
    /// Nothing can be said, and nothing more needs to be read.
    Unknown,
}

impl Session {
    /// Bits of a session of which nothing was read.
    pub(super) const OPENED: u32 = NEW;

    /// Reads a segment of the responder with `len` bytes of payload, of which `payload` was captured.
    pub(super) fn read(&mut self, payload: &[u8], len: usize) -> Refusal {
        if len == 0 {
            return Refusal::None;
        }
        self.segments += 1;
        if self.segments > MAX_SEGMENTS {
            return if self.phase == EXCHANGE { Refusal::Unknown } else { Refusal::Revoked(self.refusals) };
        }
        if self.phase == NEW {
            self.phase = if payload.starts_with(b"SSH-") { EXCHANGE } else { CODES };
            if self.phase == EXCHANGE {
                return Refusal::None;
            }
        }
        match self.phase {
            // The end of the key exchange may come alone.
            EXCHANGE if len <= NEW_KEYS => Refusal::None,
            EXCHANGE if len <= MAX_REFUSAL => {
                (self.phase, self.length) = (AUTHENTICATION, 0);
                Refusal::None
            }
            EXCHANGE if self.segments > MAX_EXCHANGE => Refusal::Revoked(self.refusals),
            EXCHANGE => Refusal::None,
            AUTHENTICATION => self.authentication(len),
            _ if is_refusal(payload) => self.refused(),
            _ if is_opaque(payload) => Refusal::Unknown,
            _ if is_success(payload) || len >= WORK => Refusal::Revoked(self.refusals),
            _ => Refusal::None,
        }
    }

    /// A packet after the key exchange of SSH.
    fn authentication(&mut self, len: usize) -> Refusal {
        let length = u32::try_from(len).unwrap_or(u32::MAX);
        if len > MAX_REFUSAL || self.length != 0 && self.length != length {
            return Refusal::Revoked(self.refusals);
        }
        self.length = length;
        self.refused()
    }

    fn refused(&mut self) -> Refusal {
        (self.refusals, self.segments) = ((self.refusals + 1).min(63), 0);
        Refusal::One
    }
}

/// Codes of refusal and their places.
const REFUSALS: &[(usize, &[u8])] = &[
    (0, b"530 "),
    (0, b"535 "),
    (0, b"535-"),
    (0, b"-ERR"),
    // HTTP: unauthorized.
    (8, b" 401"),
    // Telnet, of login(1).
    (0, b"\r\nLogin incorrect"),
    (0, b"Login incorrect"),
    // SMB2: STATUS_LOGON_FAILURE.
    (12, &[0x6d, 0, 0, 0xc0]),
    // MySQL: error 1045, access denied.
    (4, &[0xff, 0x15, 0x04]),
    // PostgreSQL: error.
    (0, &[b'E', 0, 0, 0]),
    // VNC: SecurityResult, failed.
    (0, &[0, 0, 0, 1]),
];

fn is_refusal(payload: &[u8]) -> bool {
    REFUSALS.iter().any(|(at, code)| payload.get(*at..).is_some_and(|found| found.starts_with(code)))
        // IMAP: a tag, and NO.
        || payload.get(..16).is_some_and(|start| {
            start.windows(4).any(|found| found == b" NO ") && start.first().is_some_and(u8::is_ascii_alphanumeric)
        })
}

/// Codes of success: FTP, SMTP, HTTP.
fn is_success(payload: &[u8]) -> bool {
    [&b"230"[..], b"235", b"HTTP/1.1 2", b"HTTP/1.1 3"].iter().any(|code| payload.starts_with(code))
}

/// TLS and RDP, whose refusals cannot be told from success.
const fn is_opaque(payload: &[u8]) -> bool {
    matches!(payload, [0x16, 3, ..] | [3, 0, ..])
}

impl From<u32> for Session {
    fn from(bits: u32) -> Self {
        Self { phase: bits & 7, refusals: bits >> 3 & 63, segments: bits >> 9 & 31, length: bits >> 14 & 127 }
    }
}

impl From<Session> for u32 {
    fn from(session: Session) -> Self {
        let Session { phase, refusals, segments, length } = session;
        phase | refusals << 3 | segments << 9 | length << 14
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Results of segments that begin so and have so many bytes; the state goes through its bits each time.
    fn read(segments: &[(&[u8], usize)]) -> Vec<Refusal> {
        let mut bits = Session::OPENED;
        let read_one = |(start, len): &(&[u8], usize)| {
            let mut session = Session::from(bits);
            let mut payload = start.to_vec();
            payload.resize((*len).max(start.len()), 0x5a);
            let result = session.read(&payload, payload.len());
            bits = session.into();
            result
        };
        segments.iter().map(read_one).collect()
    }

    const BANNER: (&[u8], usize) = (b"SSH-2.0-OpenSSH_9.2p1\r\n", 41);

    fn ssh(lengths: &[usize]) -> Vec<Refusal> {
        let segments: Vec<_> = lengths.iter().map(|length| (&b""[..], *length)).collect();
        read(&[&[BANNER][..], &segments].concat())
    }

    /// Lengths of sessions of libssh and OpenSSH with a server of OpenSSH 9.2.
    #[test]
    fn refusals_of_ssh_have_one_length() {
        use Refusal::{None, One, Revoked};
        assert_eq!(ssh(&[1_088, 524, 44, 76, 76, 76]), [None, None, None, None, One, One, One]);
        assert_eq!(ssh(&[1_088, 1_448, 116, 44, 76]), [None, None, None, None, None, One]);
        assert_eq!(ssh(&[1_088, 524, 44, 76, 28])[5..], [Revoked(1)], "the second password was right");
        assert_eq!(
            ssh(&[1_088, 524, 44, 28, 628])[4..],
            [One, Revoked(1)],
            "a key was right, host keys follow"
        );
        assert_eq!(
            ssh(&[1_088, 524, 16, 44, 76])[3..],
            [None, None, One],
            "new keys in a packet of their own"
        );
        assert_eq!(ssh(&[1_100, 480, 900]), [None; 4]);
        assert_eq!(ssh(&[900; 6]).last(), Some(&Revoked(0)), "output");
    }

    #[test]
    fn codes_of_refusal_count() {
        let tries = |first: &'static [u8], code: &'static [u8]| {
            let mut segments = vec![(first, first.len())];
            segments.extend([(code, code.len()); 3]);
            read(&segments).iter().filter(|result| **result == Refusal::One).count()
        };
        for (first, code) in [
            (&b"220 ftp\r\n"[..], &b"530 Login incorrect.\r\n"[..]),
            (b"220 mail ESMTP\r\n", b"535 5.7.8 authentication failed\r\n"),
            (b"+OK POP3\r\n", b"-ERR [AUTH] no\r\n"),
            (b"* OK IMAP4rev1\r\n", b"a001 NO [AUTHENTICATIONFAILED] no\r\n"),
            (b"HTTP/1.1 401 Unauthorized\r\n\r\n", b"HTTP/1.1 401 Unauthorized\r\n\r\n"),
            (b"\xff\xfd\x18", b"\r\nLogin incorrect\r\nlogin: "),
            (b"J\0\0\0\x0a8.0", b"\x48\0\0\x02\xff\x15\x04#28000Access denied"),
            (b"R\0\0\0\x0c", b"E\0\0\0\x64SFATAL"),
            (b"RFB 003.008\n", b"\0\0\0\x01"),
            (b"\0\0\0\x45\xfeSMB\x40\0\0\0\0\0\0\0", b"\0\0\0\x49\xfeSMB\x40\0\0\0\x6d\0\0\xc0\x01\0"),
        ] {
            let found = tries(first, code);
            assert!(found >= 3, "{found} of {}", std::string::String::from_utf8_lossy(code));
        }
    }

    #[test]
    fn what_works_is_no_refusal() {
        let work = |segments: &[(&[u8], usize)]| read(segments).last().copied().unwrap();
        assert_eq!(
            work(&[(b"220 ftp\r\n", 9), (b"530 no\r\n", 8), (b"230 welcome\r\n", 13)]),
            Refusal::Revoked(1)
        );
        assert_eq!(
            work(&[(b"J\0\0\0\x0a8.0", 78), (b"\x07\0\0\x02\0\0\0", 11), (b"\x01\0\0\x01", 900)]),
            Refusal::Revoked(0)
        );
        assert_eq!(work(&[(b"\x03\0\0\x13", 19)]), Refusal::Unknown, "RDP");
        assert_eq!(work(&[(b"\x16\x03\x03", 1_400)]), Refusal::Unknown, "TLS");
        assert_eq!(work(&[(&b""[..], 10); 30]), Refusal::Revoked(0), "nothing for long");
    }
}
