//! Encrypted file around the entries of a backup.
//!
//! Read first: RFC 9106 (Argon2id); Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", CRYPTO 2015 (STREAM: chunks with counted nonces, and a last one that says so).
//!
//! | field | bytes |
//! |---|---|
//! | magic `SNTLBKP1` | 8 |
//! | cost of Argon2id: memory in KiB, passes, lanes | 3 x 4, big-endian |
//! | salt | 16 |
//! | first bytes of SHA-256 of the fields above | 8 |
//! | chunks: kind (0 check, 1 more follow, 2 last), length (4), text, tag of AES-256-GCM (16) | 21 + at most 65,536 each |
//!
//! The key is that of passphrase and salt, so it is new for each backup; nonces count the chunks, and header, kind and length are
//! authenticated with each. Chunk 0 is empty: if it does not open though the sum of the header is right, the passphrase is wrong.

use std::fmt;
use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use sentinel_seal::{Key, Opener, Sealed, Sealer, TAG_LEN, digest};

use crate::store::key::random;

const MAGIC: &[u8; 8] = b"SNTLBKP1";
const HEADER_LEN: usize = 44;
const SUM_LEN: usize = 8;
/// Bytes of text in a chunk at most.
const CHUNK_LEN: usize = 64 * 1024;

const CHECK: u8 = 0;
const MORE: u8 = 1;
const LAST: u8 = 2;

/// Cost of one guess at a passphrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Threads.
    pub lanes: u32,
}

impl Cost {
    /// 64 MiB, three passes, four lanes: the second choice of RFC 9106, section 4.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// Greatest cost that a file can ask for: who gives somebody a file must not take the memory of the machine.
    const MAX: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    const fn is_allowed(self) -> bool {
        self.memory_kib <= Self::MAX.memory_kib
            && self.passes <= Self::MAX.passes
            && self.lanes <= Self::MAX.lanes
    }

    fn key(self, passphrase: &str, salt: &[u8]) -> Result<Key, BackupError> {
        let failed = |error: argon2::Error| BackupError::Io(io::Error::other(format!("argon2: {error}")));
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(Key::LEN)).map_err(failed)?;
        let mut bytes = [0; Key::LEN];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase.as_bytes(), salt, &mut bytes).map_err(failed)?;
        Ok(Key::from_bytes(bytes))
    }
}

/// Failure of a backup or of a restore.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file does not begin as a backup does.
    Foreign,
    /// The header was changed.
    Header,
    /// The passphrase is not that of the backup.
    Passphrase,
    /// The file ends here, and is not complete.
    Cut(u64),
    /// Bytes of the chunk at this place were changed.
    Altered(u64),
    /// Bytes follow after the end of the backup, at this place.
    Surplus(u64),
    /// The decrypted content has another form than this version writes.
    Contents(&'static str),
    /// A newer collector made the backup, with this version of the schema.
    Newer(i64),
    /// A file could not be read or written.
    Io(io::Error),
}

impl fmt::Display for BackupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => {
                out.write_str("the file is no backup of a collector: its first bytes are not SNTLBKP1")
            }
            Self::Header => {
                write!(
                    out,
                    "the backup was altered: its first {HEADER_LEN} bytes do not have their sum; use another copy"
                )
            }
            Self::Passphrase => out.write_str("the passphrase is not that of this backup"),
            Self::Cut(at) => write!(out, "the backup is cut: it ends at byte {at}; use a complete copy"),
            Self::Altered(at) => {
                write!(
                    out,
                    "the backup was altered within the {CHUNK_LEN} bytes from byte {at} on; use another copy"
                )
            }
            Self::Surplus(at) => {
                write!(out, "the backup was altered: it should end at byte {at}; use another copy")
            }
            Self::Contents(what) => write!(out, "the backup has {what}, which this version does not make"),
            Self::Newer(schema) => write!(
                out,
                "a newer collector made the backup: its schema is {schema}, and this program knows up to {}",
                crate::store::schema_version()
            ),
            Self::Io(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Encrypts what is written; [`Self::finish`] must follow.
pub(super) struct Sealing<W> {
    out: W,
    header: [u8; HEADER_LEN],
    sealer: Sealer,
    text: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    /// Writes the header and the check.
    pub(super) fn begin(mut out: W, passphrase: &str, cost: Cost) -> Result<Self, BackupError> {
        let mut salt = [0; 16];
        random(&mut salt).map_err(|error| BackupError::Io(io::Error::other(error.to_string())))?;
        let header = header(cost, salt);
        out.write_all(&header)?;
        let sealer = Sealer::new(&cost.key(passphrase, &salt)?);
        let mut sealing = Self { out, header, sealer, text: Vec::with_capacity(CHUNK_LEN) };
        sealing.chunk(CHECK)?;
        Ok(sealing)
    }

    fn chunk(&mut self, kind: u8) -> io::Result<()> {
        let length = u32::try_from(self.text.len()).map_err(io::Error::other)?;
        let front = front(kind, length);
        let sealed =
            self.sealer.seal(&bound(&self.header, front), &mut self.text).map_err(io::Error::other)?;
        self.out.write_all(&front)?;
        self.out.write_all(&self.text)?;
        self.out.write_all(&sealed.tag)?;
        self.text.clear();
        Ok(())
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> Result<W, BackupError> {
        self.chunk(LAST)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() == CHUNK_LEN {
            self.chunk(MORE)?;
        }
        let taken = bytes.len().min(CHUNK_LEN - self.text.len());
        self.text.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a chunk goes out when it is full
    }
}

/// Decrypts; gives only bytes whose tag was right.
pub(super) struct Opening<R> {
    input: R,
    header: [u8; HEADER_LEN],
    opener: Opener,
    counter: u64,
    /// Bytes of the file that were read.
    position: u64,
    text: Vec<u8>,
    given: usize,
    is_last: bool,
}

impl<R: Read> Opening<R> {
    /// Reads the header and the check.
    pub(super) fn begin(mut input: R, passphrase: &str) -> Result<Self, BackupError> {
        let mut header = [0; HEADER_LEN];
        let got = fill(&mut input, &mut header)?;
        if header.get(..MAGIC.len().min(got)) != MAGIC.get(..got.min(MAGIC.len())) || got == 0 {
            return Err(BackupError::Foreign);
        }
        if got < HEADER_LEN {
            return Err(BackupError::Cut(position(got)));
        }
        let (cost, salt) = parse(&header).ok_or(BackupError::Header)?;
        let opener = Opener::new(&cost.key(passphrase, &salt)?);
        let (text, position) = (Vec::new(), position(HEADER_LEN));
        let mut opening =
            Self { input, header, opener, counter: 0, position, text, given: 0, is_last: false };
        match opening.chunk() {
            Ok(CHECK) => Ok(opening),
            Err(BackupError::Altered(_)) => Err(BackupError::Passphrase),
            Ok(_) => Err(BackupError::Contents("no check of its passphrase")),
            Err(error) => Err(error),
        }
    }

    /// Reads and opens one chunk into `text`; gives its kind.
    fn chunk(&mut self) -> Result<u8, BackupError> {
        let begun = self.position;
        let mut front = [0; 5];
        self.take(&mut front)?;
        let [kind, length @ ..] = front;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > CHUNK_LEN || kind > LAST {
            return Err(BackupError::Altered(begun));
        }
        let (mut text, mut tag) = (vec![0; length], [0; TAG_LEN]);
        self.take(&mut text)?;
        self.take(&mut tag)?;
        let sealed = Sealed { counter: self.counter, tag };
        let opened = self.opener.open(&bound(&self.header, front), &mut text, &sealed);
        opened.map_err(|_| BackupError::Altered(begun))?;
        self.counter += 1;
        (self.text, self.given) = (text, 0);
        Ok(kind)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        let got = fill(&mut self.input, bytes)?;
        self.position += position(got);
        if got < bytes.len() { Err(BackupError::Cut(self.position)) } else { Ok(()) }
    }

    /// Fills `bytes`; false at the end of the backup, before the first byte.
    pub(super) fn read_exact(&mut self, bytes: &mut [u8]) -> Result<bool, BackupError> {
        let mut done = 0;
        while done < bytes.len() {
            let available = self.text.get(self.given..).unwrap_or_default();
            if available.is_empty() {
                if self.is_last {
                    let is_clean = done == 0;
                    return if is_clean {
                        Ok(false)
                    } else {
                        Err(BackupError::Contents("an entry without an end"))
                    };
                }
                self.is_last = match self.chunk()? {
                    MORE => false,
                    LAST => true,
                    _ => return Err(BackupError::Contents("a second check")),
                };
                continue;
            }
            let taken = available.len().min(bytes.len() - done);
            if let (Some(to), Some(from)) = (bytes.get_mut(done..done + taken), available.get(..taken)) {
                to.copy_from_slice(from);
            }
            done += taken;
            self.given += taken;
        }
        Ok(true)
    }

    /// Returns an error if anything follows the last chunk.
    pub(super) fn end(mut self) -> Result<(), BackupError> {
        match fill(&mut self.input, &mut [0])? {
            0 => Ok(()),
            _ => Err(BackupError::Surplus(self.position)),
        }
    }
}

fn header(cost: Cost, salt: [u8; 16]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let numbers = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_be_bytes);
    let fields = MAGIC.iter().chain(numbers.as_flattened()).chain(&salt);
    header.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = *byte);
    let sum = sum(&header);
    header.iter_mut().rev().zip(sum.iter().rev()).for_each(|(slot, byte)| *slot = *byte);
    header
}

fn parse(header: &[u8; HEADER_LEN]) -> Option<(Cost, [u8; 16])> {
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let cost = Cost { memory_kib: number(8)?, passes: number(12)?, lanes: number(16)? };
    let is_right = header.get(HEADER_LEN - SUM_LEN..) == Some(&sum(header)) && cost.is_allowed();
    is_right.then_some((cost, header.get(20..36)?.try_into().ok()?))
}

/// First bytes of SHA-256 of the fields before it.
fn sum(header: &[u8; HEADER_LEN]) -> [u8; SUM_LEN] {
    let digest = digest::sha256(&[header.get(..HEADER_LEN - SUM_LEN).unwrap_or_default()]);
    let [a, b, c, d, e, f, g, h, ..] = digest;
    [a, b, c, d, e, f, g, h]
}

fn front(kind: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind, a, b, c, d]
}

fn bound(header: &[u8; HEADER_LEN], front: [u8; 5]) -> [u8; HEADER_LEN + 5] {
    let mut bound = [0; HEADER_LEN + 5];
    bound.iter_mut().zip(header.iter().chain(&front)).for_each(|(slot, byte)| *slot = *byte);
    bound
}

/// Reads until `bytes` is full or the input ends; returns how many it got.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match input.read(bytes.get_mut(done..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn position(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn sealed(text: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::begin(Vec::new(), "a passphrase", CHEAP).unwrap();
        sealing.write_all(text).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(bytes: &[u8], passphrase: &str) -> Result<Vec<u8>, BackupError> {
        let mut opening = Opening::begin(bytes, passphrase)?;
        let (mut text, mut byte) = (Vec::new(), [0; 1]);
        while opening.read_exact(&mut byte)? {
            text.push(byte[0]);
        }
        opening.end()?;
        Ok(text)
    }

    #[test]
    fn every_length_comes_back() {
        for length in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN] {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let bytes = sealed(&text);
            assert_eq!(opened(&bytes, "a passphrase").unwrap(), text);
            assert!(!bytes.windows(16).any(|window| length > 16 && window == &text[..16]));
        }
    }

    #[test]
    fn every_cut_is_a_cut_and_every_flipped_bit_is_an_alteration() {
        let bytes = sealed(b"some text that is a secret");
        for length in 0..bytes.len() {
            let error = opened(&bytes[..length], "a passphrase").unwrap_err();
            let is_right = if length == 0 {
                matches!(error, BackupError::Foreign)
            } else {
                matches!(error, BackupError::Cut(at) if at == position(length))
            };
            assert!(is_right, "{length}: {error}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            let error = opened(&altered, "a passphrase").unwrap_err();
            let is_right = match at {
                0..8 => matches!(error, BackupError::Foreign),
                8..HEADER_LEN => matches!(error, BackupError::Header),
                // The check of the passphrase: whoever altered it made the passphrase look wrong, and nothing is given.
                44..65 => matches!(error, BackupError::Passphrase | BackupError::Cut(_)),
                _ => matches!(error, BackupError::Altered(65) | BackupError::Cut(_)),
            };
            assert!(is_right, "{at}: {error}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(opened(&longer, "a passphrase"), Err(BackupError::Surplus(_))));
        assert!(matches!(opened(&bytes, "a passphrasf"), Err(BackupError::Passphrase)));
        assert!(matches!(opened(b"PK\x03\x04 a zip", "x"), Err(BackupError::Foreign)));
    }

    #[test]
    fn chunks_cannot_be_left_out_or_swapped() {
        let bytes = sealed(&vec![7; 3 * CHUNK_LEN]);
        let chunk = 5 + CHUNK_LEN + TAG_LEN;
        let first = HEADER_LEN + 5 + TAG_LEN;
        let without: Vec<u8> = [&bytes[..first], &bytes[first + chunk..]].concat();
        assert!(matches!(opened(&without, "a passphrase"), Err(BackupError::Altered(_))));
        let (one, two) = (&bytes[first..first + chunk], &bytes[first + chunk..first + 2 * chunk]);
        let swapped = [&bytes[..first], two, one, &bytes[first + 2 * chunk..]].concat();
        assert!(matches!(opened(&swapped, "a passphrase"), Err(BackupError::Altered(_))));
    }

    #[test]
    fn a_file_cannot_ask_for_the_memory_of_the_machine() {
        let dear = header(Cost { memory_kib: u32::MAX, ..CHEAP }, [0; 16]);
        assert!(matches!(opened(&dear, "x"), Err(BackupError::Header)));
    }
}
