//! Fingerprints of TLS clients and servers.
//!
//! Read first: <https://github.com/salesforce/ja3> (JA3, JA3S); <https://github.com/FoxIO-LLC/ja4> `technical_details/JA4.md`
//! (JA4 of clients, which is under BSD-3-Clause; the others of that family are not, and not here).

use core::fmt::{Error, Result, Write};

use super::extension::{APPLICATION_PROTOCOLS, SERVER_NAME};
use super::{ClientHello, ServerHello, is_reserved};

/// Suites of a hello that has a JA4, at most: OpenSSL knows 170, and scanners ask for some hundred.
const MAX_NUMBERS: usize = 384;
/// Characters of a list of which JA4 takes a digest: five for each suite, or for 64 extensions and the signature algorithms.
const MAX_LIST: usize = 5 * MAX_NUMBERS;

/// SHA-256 of the concatenated parts.
pub type Sha256 = fn(&[&[u8]]) -> [u8; 32];

/// Transport of a hello.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
}

/// Writes the string of JA3: version, suites, extensions, groups and point formats as decimal numbers, reserved ones left out.
///
/// # Errors
/// Those of `out`.
#[cold] // once in a connection that is watched
pub fn ja3(hello: &ClientHello<'_>, out: &mut dyn Write) -> Result {
    write!(out, "{},", hello.legacy_version)?;
    decimals(&mut hello.cipher_suites(), out)?;
    out.write_char(',')?;
    decimals(&mut hello.extensions().map(|extension| extension.kind), out)?;
    out.write_char(',')?;
    decimals(&mut hello.groups(), out)?;
    out.write_char(',')?;
    decimals(&mut hello.point_formats().iter().map(|format| u16::from(*format)), out)
}

/// Writes the string of JA3S: version, suite and extensions of the server.
///
/// # Errors
/// Those of `out`.
pub fn ja3s(hello: &ServerHello<'_>, out: &mut dyn Write) -> Result {
    write!(out, "{},{},", hello.legacy_version, hello.cipher_suite)?;
    decimals(&mut hello.extensions().map(|extension| extension.kind), out)
}

fn decimals(numbers: &mut dyn Iterator<Item = u16>, out: &mut dyn Write) -> Result {
    let mut separator = "";
    for number in numbers {
        if !is_reserved(number) {
            write!(out, "{separator}{number}")?;
            separator = "-";
        }
    }
    Ok(())
}

/// Writes JA4, of which parts are digests.
///
/// # Errors
/// Those of `out`; and one for a hello with more than 384 suites, or with more signature algorithms than that leaves room for.
#[cold] // once in a connection that is watched
pub fn ja4(hello: &ClientHello<'_>, carrier: Carrier, sha256: Sha256, out: &mut dyn Write) -> Result {
    let mut numbers = Numbers { held: [0; MAX_NUMBERS], len: 0 };
    let mut list = List { text: [0; MAX_LIST], len: 0 };
    numbers.collect(&mut hello.cipher_suites())?;
    let kinds = || hello.extensions().map(|extension| extension.kind).filter(|kind| !is_reserved(*kind));
    out.write_char(if carrier == Carrier::Tcp { 't' } else { 'q' })?;
    out.write_str(match hello.newest_version() {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    })?;
    out.write_char(if kinds().any(|kind| kind == SERVER_NAME) { 'd' } else { 'i' })?;
    write!(out, "{:02}{:02}", numbers.len.min(99), kinds().count().min(99))?;
    match hello.alpn().next() {
        Some([only]) => ends(*only, *only, out)?,
        Some([first, .., last]) => ends(*first, *last, out)?,
        _ => out.write_str("00")?,
    }
    out.write_char('_')?;
    sort(numbers.held());
    list.add(&mut numbers.held().iter().copied())?;
    list.write_digest(sha256, out)?;
    out.write_char('_')?;
    (numbers.len, list.len) = (0, 0);
    numbers.collect(&mut kinds().filter(|kind| !matches!(*kind, SERVER_NAME | APPLICATION_PROTOCOLS)))?;
    sort(numbers.held());
    list.add(&mut numbers.held().iter().copied())?;
    let algorithms = || hello.signature_algorithms().filter(|number| !is_reserved(*number));
    if algorithms().next().is_some() && list.len > 0 {
        list.push(b'_')?;
        list.add(&mut algorithms())?;
    }
    list.write_digest(sha256, out)
}

/// Numbers to be sorted.
struct Numbers {
    held: [u16; MAX_NUMBERS],
    len: usize,
}

impl Numbers {
    fn held(&mut self) -> &mut [u16] {
        self.held.get_mut(..self.len).unwrap_or_default()
    }

    /// Appends those that are not reserved.
    fn collect(&mut self, numbers: &mut dyn Iterator<Item = u16>) -> Result {
        for number in numbers {
            if !is_reserved(number) {
                *self.held.get_mut(self.len).ok_or(Error)? = number;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Text of numbers.
struct List {
    text: [u8; MAX_LIST],
    len: usize,
}

impl List {
    fn push(&mut self, byte: u8) -> Result {
        *self.text.get_mut(self.len).ok_or(Error)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Appends numbers with four digits each, and commas between.
    fn add(&mut self, numbers: &mut dyn Iterator<Item = u16>) -> Result {
        for (index, number) in numbers.enumerate() {
            if index > 0 {
                self.push(b',')?;
            }
            for shift in [12, 8, 4, 0] {
                let [.., digit] = (number >> shift & 15).to_be_bytes();
                self.push(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit })?;
            }
        }
        Ok(())
    }

    /// Writes the first twelve digits of the SHA-256 of the text; zeros for an empty one.
    fn write_digest(&self, sha256: Sha256, out: &mut dyn Write) -> Result {
        match self.text.get(..self.len) {
            None | Some([]) => out.write_str("000000000000"),
            Some(text) => {
                let [a, b, c, d, e, f, ..] = sha256(&[text]);
                hex(&[a, b, c, d, e, f], out)
            }
        }
    }
}

/// Shell's sort with the gaps of Pratt and Knuth (1, 4, 13, ...), which bound its work by n^1.5 also for crafted
/// lists. The sort of the standard library adds KiB to the program.
fn sort(numbers: &mut [u16]) {
    let mut gap = 1;
    while gap < numbers.len() / 3 {
        gap = gap * 3 + 1;
    }
    while gap > 0 {
        for end in gap..numbers.len() {
            let mut at = end;
            while let Some(before) = at.checked_sub(gap)
                && numbers.get(before) > numbers.get(at)
            {
                numbers.swap(before, at);
                at = before;
            }
        }
        gap /= 3;
    }
}

/// First and last letter of a protocol; if one is neither letter nor digit, the first and last digit of its bytes in hex.
fn ends(first: u8, last: u8, out: &mut dyn Write) -> Result {
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        out.write_char(char::from(first))?;
        return out.write_char(char::from(last));
    }
    write!(out, "{:x}{:x}", first >> 4, last & 0x0f)
}

/// Writes bytes as lower-case digits.
///
/// # Errors
/// Those of `out`.
pub fn hex(bytes: &[u8], out: &mut dyn Write) -> Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_seal::digest::sha256;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn listed(numbers: &[u16]) -> Vec<u8> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        counted(&bytes)
    }

    fn counted(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn message(suites: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &counted(data)].concat())
            .collect();
        let body = [&[3, 3][..], &[7; 32], &[0], &listed(suites), &[1, 0], &counted(&extensions)].concat();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1, len[1], len[2], len[3]][..], &body].concat()
    }

    /// The worked example in `technical_details/JA4.md`: Chrome over TCP, `h2`, 15 suites, 16 extensions.
    #[test]
    fn the_example_of_the_specification_is_reproduced() {
        let suites = [
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ];
        let algorithms = listed(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let kinds = [
            0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
            0xff01, 0x000b, 0x000a, 0x0015,
        ];
        let extensions: Vec<(u16, Vec<u8>)> = kinds
            .iter()
            .map(|kind| match kind {
                0x0000 => (0, counted(&[&[0][..], &counted(b"example.org")].concat())),
                0x0010 => (16, counted(b"\x02h2\x08http/1.1")),
                0x000d => (13, algorithms.clone()),
                0x002b => (43, vec![4, 3, 4, 3, 3]),
                other => (*other, Vec::new()),
            })
            .chain([(0x1a1a, Vec::new())])
            .collect();
        let message = message(&[&[0x0a0a][..], &suites].concat(), &extensions);
        let hello = ClientHello::parse_message(&message).unwrap();
        let mut out = String::new();
        ja4(&hello, Carrier::Tcp, sha256, &mut out).unwrap();
        assert_eq!(out, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        out.clear();
        ja3(&hello, &mut out).unwrap();
        assert!(out.starts_with("771,4865-4866-4867-49195-") && out.ends_with("-10-21,,"), "{out}");
    }

    #[test]
    fn numbers_are_sorted() {
        let long: Vec<u16> = (0..5_000_u16).map(|number| number.wrapping_mul(40_503)).collect();
        for list in [&[][..], &[5], &[5, 4, 3, 2, 1], &[1, 3, 2, 3, 1], &[0xffff, 0, 7, 7, 0x8000], &long] {
            let (mut ours, mut theirs) = (list.to_vec(), list.to_vec());
            sort(&mut ours);
            theirs.sort_unstable();
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn missing_fields_are_zero() {
        let message = message(&[], &[]);
        let hello = ClientHello::parse_message(&message).unwrap();
        let mut out = String::new();
        ja4(&hello, Carrier::Quic, sha256, &mut out).unwrap();
        assert_eq!(out, "q12i000000_000000000000_000000000000");
        out.clear();
        ends(b'h', 0xab, &mut out).unwrap();
        ends(0x2b, b'x', &mut out).unwrap();
        assert_eq!(out, "6b28");
    }

    #[test]
    fn a_hello_with_more_suites_than_there_is_room_for_has_no_ja4() {
        for (suites, expected) in [(384, Ok(())), (385, Err(Error))] {
            let list: Vec<u16> = (0..suites).map(|number| number * 16 + 1).collect();
            let message = message(&list, &[]);
            let hello = ClientHello::parse_message(&message).unwrap();
            let mut out = String::new();
            assert_eq!(ja4(&hello, Carrier::Tcp, sha256, &mut out), expected, "{suites}");
            assert!(expected.is_err() || out.starts_with("t12i990000_"), "{out}");
            out.clear();
            ja3(&hello, &mut out).unwrap();
        }
    }
}
