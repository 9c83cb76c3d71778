//! Community ID: a hash of the 5-tuple that other monitors compute alike.
//!
//! Read first: <https://github.com/corelight/community-id-spec> (version 1).

use sentinel_seal::digest;
use sentinel_track::flow::Endpoint;
use sentinel_units::ip_protocol;

use super::text::Text;

/// Writes `1:` and the digest in Base64. The endpoints are in the order of [`FlowRecord::ordered_endpoints`], which is that of the
/// specification; the seed is 0.
///
/// [`FlowRecord::ordered_endpoints`]: sentinel_track::flow_record::FlowRecord::ordered_endpoints
pub(super) fn write((low, high): (Endpoint, Endpoint), protocol: u8, out: &mut Text) {
    // Seed, addresses, protocol and padding, ports: 40 bytes with IPv6, 16 with IPv4.
    let mut input = [0; 40];
    let mut length = 2;
    let mut append = |bytes: &[u8]| {
        if let Some(room) = input.get_mut(length..length + bytes.len()) {
            room.copy_from_slice(bytes);
            length += bytes.len();
        }
    };
    for end in [low, high] {
        let words = end.address.words();
        let first = if end.address.is_v4() { 3 } else { 0 };
        words.iter().skip(first).for_each(|word| append(&word.to_be_bytes()));
    }
    append(&[protocol, 0]);
    if has_ports(protocol) {
        append(&low.port.0.to_be_bytes());
        append(&high.port.0.to_be_bytes());
    }
    out.push(b"1:");
    base64(&digest::sha1(&[input.get(..length).unwrap_or_default()]), out);
}

/// Protocols whose ports are known; of all others the specification hashes the addresses alone.
pub(super) fn has_ports(number: u8) -> bool {
    matches!(
        number,
        ip_protocol::ICMP | ip_protocol::TCP | ip_protocol::UDP | ip_protocol::ICMPV6 | ip_protocol::SCTP
    )
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8], out: &mut Text) {
    let (groups, remaining) = bytes.as_chunks::<3>();
    for group in groups {
        out.push(&digits(*group));
    }
    let mut last = [0; 3];
    last.iter_mut().zip(remaining).for_each(|(byte, last)| *byte = *last);
    let [first, second, third, _] = digits(last);
    match remaining.len() {
        1 => out.push(&[first, second, b'=', b'=']),
        2 => out.push(&[first, second, third, b'=']),
        _ => {}
    }
}

/// The digits of three bytes.
fn digits([a, b, c]: [u8; 3]) -> [u8; 4] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |index: u8| DIGITS.get(usize::from(index & 0x3f)).copied().unwrap_or(b'=');
    [digit(a >> 2), digit(a << 4 | b >> 4), digit(b << 2 | c >> 6), digit(c)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::{Address, Port};
    use std::net::IpAddr;

    /// `baseline/baseline_deflt.json` of the specification's repository, in the order of its flows.
    const BASELINE: &[(u8, &str, u16, &str, u16, &str)] = &[
        (
            58,
            "fe80::200:86ff:fe05:80da",
            135,
            "fe80::260:97ff:fe07:69ea",
            136,
            "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
        ),
        (
            58,
            "fe80::200:86ff:fe05:80da",
            136,
            "fe80::260:97ff:fe07:69ea",
            135,
            "1:zavyT/cezQr1fmImYCwYnMXbgck=",
        ),
        // one way: in the order of the packet
        (
            58,
            "3ffe:501:1800:2345::2",
            3,
            "3ffe:507:0:1:200:86ff:fe05:80da",
            0,
            "1:2ObVBgIn28oZvibYZhZMBgh7WdQ=",
        ),
        (
            58,
            "3ffe:501:410:0:2c0:dfff:fe47:33e",
            1,
            "3ffe:507:0:1:200:86ff:fe05:80da",
            4,
            "1:hLZd0XGWojozrvxqE0dWB1iM6R0=",
        ),
        (
            58,
            "3ffe:501:0:1001::2",
            129,
            "3ffe:507:0:1:200:86ff:fe05:80da",
            128,
            "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg=",
        ),
        (58, "fe80::200:86ff:fe05:80da", 133, "ff02::2", 134, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
        (58, "fe80::260:97ff:fe07:69ea", 134, "ff02::1", 133, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
        (1, "192.168.0.1", 0, "192.168.0.89", 8, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
        (1, "10.0.0.1", 11, "10.0.0.2", 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
        (
            6,
            "2001:470:e5bf:dead:4957:2174:e82c:4887",
            63943,
            "2607:f8b0:400c:c03::1a",
            25,
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        ),
        (132, "192.168.170.8", 7, "192.168.170.56", 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
        (6, "66.35.250.204", 80, "128.232.110.120", 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        (17, "8.8.8.8", 53, "192.168.1.52", 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        (46, "10.1.12.1", 0, "10.1.12.2", 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    ];

    #[test]
    fn names_are_those_of_the_specification() {
        for (protocol, low, low_port, high, high_port, expected) in BASELINE {
            let end = |address: &str, port| {
                let address = Address::from(address.parse::<IpAddr>().unwrap());
                Endpoint { address, port: Port(port) }
            };
            let mut out = Text::new();
            write((end(low, *low_port), end(high, *high_port)), *protocol, &mut out);
            assert_eq!(out.as_bytes(), expected.as_bytes());
        }
    }

    /// RFC 4648 section 10.
    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            let mut out = Text::new();
            base64(bytes.as_bytes(), &mut out);
            assert_eq!(out.as_bytes(), text.as_bytes());
        }
    }
}
