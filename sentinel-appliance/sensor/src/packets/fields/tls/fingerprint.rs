//! Fingerprints of TLS clients and servers.
//!
//! Read first: <https://github.com/salesforce/ja3> (JA3, JA3S); <https://github.com/FoxIO-LLC/ja4> `technical_details/JA4.md`
//! (JA4 of clients, which is under BSD-3-Clause; the others of that family are not, and not here).

use std::fmt::Write;

use sentinel_dissect::tls::extension::{APPLICATION_PROTOCOLS, SERVER_NAME};
use sentinel_dissect::tls::{ClientHello, ServerHello, is_reserved};
use sentinel_seal::digest;

/// Transport of a hello.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::packets::fields) enum Carrier {
    Tcp,
    Quic,
}

/// The string of JA3: version, suites, extensions, groups and point formats as decimal numbers, reserved ones left out.
pub(in crate::packets::fields) fn ja3(hello: &ClientHello<'_>, out: &mut String) -> std::fmt::Result {
    write!(out, "{},", hello.legacy_version)?;
    decimals(hello.cipher_suites(), out)?;
    out.push(',');
    decimals(hello.extensions().map(|extension| extension.kind), out)?;
    out.push(',');
    decimals(hello.groups(), out)?;
    out.push(',');
    decimals(hello.point_formats().iter().map(|format| u16::from(*format)), out)
}

/// The string of JA3S: version, suite and extensions of the server.
pub(in crate::packets::fields) fn ja3s(hello: &ServerHello<'_>, out: &mut String) -> std::fmt::Result {
    write!(out, "{},{},", hello.legacy_version, hello.cipher_suite)?;
    decimals(hello.extensions().map(|extension| extension.kind), out)
}

fn decimals(numbers: impl Iterator<Item = u16>, out: &mut String) -> std::fmt::Result {
    for (index, number) in numbers.filter(|number| !is_reserved(*number)).enumerate() {
        let dash = if index == 0 { "" } else { "-" };
        write!(out, "{dash}{number}")?;
    }
    Ok(())
}

/// JA4.
pub(in crate::packets::fields) fn ja4(
    hello: &ClientHello<'_>,
    carrier: Carrier,
    out: &mut String,
) -> std::fmt::Result {
    let mut suites: Vec<u16> = hello.cipher_suites().filter(|suite| !is_reserved(*suite)).collect();
    let mut extensions: Vec<u16> = hello.extensions().map(|extension| extension.kind).collect();
    extensions.retain(|kind| !is_reserved(*kind));
    out.push(if carrier == Carrier::Tcp { 't' } else { 'q' });
    out.push_str(match hello.newest_version() {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    });
    out.push(if extensions.contains(&SERVER_NAME) { 'd' } else { 'i' });
    write!(out, "{:02}{:02}", suites.len().min(99), extensions.len().min(99))?;
    match hello.alpn().next() {
        Some([only]) => ends(*only, *only, out)?,
        Some([first, .., last]) => ends(*first, *last, out)?,
        _ => out.push_str("00"),
    }
    sort(&mut suites);
    extensions.retain(|kind| !matches!(*kind, SERVER_NAME | APPLICATION_PROTOCOLS));
    sort(&mut extensions);
    out.push('_');
    let mut list = String::new();
    hexes(&suites, &mut list)?;
    shortened(&list, out)?;
    out.push('_');
    list.clear();
    hexes(&extensions, &mut list)?;
    let algorithms: Vec<u16> = hello.signature_algorithms().filter(|number| !is_reserved(*number)).collect();
    if !algorithms.is_empty() && !list.is_empty() {
        list.push('_');
        hexes(&algorithms, &mut list)?;
    }
    shortened(&list, out)
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
fn ends(first: u8, last: u8, out: &mut String) -> std::fmt::Result {
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        out.push(char::from(first));
        out.push(char::from(last));
        return Ok(());
    }
    write!(out, "{:x}{:x}", first >> 4, last & 0x0f)
}

fn hexes(numbers: &[u16], out: &mut String) -> std::fmt::Result {
    for (index, number) in numbers.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{number:04x}")?;
    }
    Ok(())
}

/// The first twelve digits of the SHA-256 of a list; zeros for an empty one.
fn shortened(list: &str, out: &mut String) -> std::fmt::Result {
    if list.is_empty() {
        out.push_str("000000000000");
        return Ok(());
    }
    let [a, b, c, d, e, f, ..] = digest::sha256(&[list.as_bytes()]);
    hex(&[a, b, c, d, e, f], out)
}

/// Lower-case digits.
pub(in crate::packets::fields) fn hex(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ja4(&hello, Carrier::Tcp, &mut out).unwrap();
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
        ja4(&hello, Carrier::Quic, &mut out).unwrap();
        assert_eq!(out, "q12i000000_000000000000_000000000000");
        out.clear();
        ends(b'h', 0xab, &mut out).unwrap();
        ends(0x2b, b'x', &mut out).unwrap();
        assert_eq!(out, "6b28");
    }
}
