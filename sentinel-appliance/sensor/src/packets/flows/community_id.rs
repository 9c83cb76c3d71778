//! The name of a conversation that other monitors give it too.
//!
//! Read first: <https://github.com/corelight/community-id-spec> (version 1).

use std::fmt::Write;

use sentinel_dissect::protocol;
use sentinel_seal::digest;
use sentinel_track::flow::Endpoint;
use sentinel_units::Address;

/// Writes `1:` and the digest in Base64. The ends stand in the order of [`FlowRecord::ordered_endpoints`], which is that of the
/// specification; the seed is 0.
///
/// [`FlowRecord::ordered_endpoints`]: sentinel_track::flow_record::FlowRecord::ordered_endpoints
pub(super) fn write((low, high): (Endpoint, Endpoint), protocol: u8, out: &mut String) -> std::fmt::Result {
    let mut input = Vec::with_capacity(40);
    input.extend_from_slice(&[0; 2]);
    address(low.address, &mut input);
    address(high.address, &mut input);
    input.extend_from_slice(&[protocol, 0]);
    if has_ports(protocol) {
        input.extend_from_slice(&low.port.0.to_be_bytes());
        input.extend_from_slice(&high.port.0.to_be_bytes());
    }
    out.write_str("1:")?;
    base64(&digest::sha1(&[&input]), out);
    Ok(())
}

/// Those that the specification names; of all others the addresses alone count.
fn has_ports(number: u8) -> bool {
    matches!(number, protocol::ICMP | protocol::TCP | protocol::UDP | protocol::ICMPV6 | protocol::SCTP)
}

fn address(address: Address, out: &mut Vec<u8>) {
    let words = address.words();
    let first = if address.is_v4() { 3 } else { 0 };
    words.iter().skip(first).for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = group.iter().chain(&[0; 2]).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 0x3f).unwrap_or(0);
            let is_there = digit <= group.len();
            out.push(DIGITS.get(index).filter(|_| is_there).map_or('=', |byte| char::from(*byte)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::Port;
    use std::net::IpAddr;

    /// `baseline/baseline_deflt.json` of the specification's repository, in the order of its conversations.
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
            let mut out = String::new();
            write((end(low, *low_port), end(high, *high_port)), *protocol, &mut out).unwrap();
            assert_eq!(out, *expected);
        }
    }

    /// RFC 4648 section 10.
    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            let mut out = String::new();
            base64(bytes.as_bytes(), &mut out);
            assert_eq!(out, text);
        }
    }
}
