//! gzip (RFC 1952) and raw deflate (RFC 1951) with a bound on what they expand to.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use flate2::bufread::{DeflateDecoder, GzDecoder};
use flate2::write::DeflateEncoder;
use flate2::{Compression, GzBuilder};

/// Most bytes that a member of a package may expand to.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// One gzip member without name and time.
///
/// # Errors
/// None is known: it writes into memory.
pub fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(3).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Content of exactly one gzip member.
///
/// # Errors
/// If it is cut, altered, longer than [`MAX_BYTES`], or something follows it.
pub fn expand(bytes: &[u8]) -> Result<Vec<u8>> {
    let (mut rest, mut content) = (bytes, Vec::new());
    let read = GzDecoder::new(&mut rest).take(MAX_BYTES.saturating_add(1)).read_to_end(&mut content);
    read.context("gzip data are cut or altered")?;
    checked(content, rest)
}

/// Raw deflate stream.
///
/// # Errors
/// None is known: it writes into memory.
pub fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Content of exactly one raw deflate stream.
///
/// # Errors
/// As [`expand`]; deflate has no checksum, so altered bytes may pass here.
pub fn inflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let (mut rest, mut content) = (bytes, Vec::new());
    let read = DeflateDecoder::new(&mut rest).take(MAX_BYTES.saturating_add(1)).read_to_end(&mut content);
    read.context("deflate data are cut or altered")?;
    checked(content, rest)
}

fn checked(content: Vec<u8>, rest: &[u8]) -> Result<Vec<u8>> {
    ensure!(u64::try_from(content.len())? <= MAX_BYTES, "expands to more than {MAX_BYTES} bytes");
    ensure!(rest.is_empty(), "{} bytes follow the compressed data", rest.len());
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_addition_is_an_error() -> Result<()> {
        for is_gzip in [true, false] {
            let packed = if is_gzip { compress(b"the same bytes")? } else { deflate(b"the same bytes")? };
            let read = |bytes: &[u8]| if is_gzip { expand(bytes) } else { inflate(bytes) };
            assert_eq!(read(&packed)?, b"the same bytes");
            for length in 0..packed.len() {
                assert!(read(packed.get(..length).unwrap_or_default()).is_err(), "{length}");
            }
            assert!(read(&[packed, vec![0]].concat()).is_err());
        }
        Ok(())
    }
}
