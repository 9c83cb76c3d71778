//! Cleartext records of a TLS 1.3 connection, and records of random bytes for the encrypted ones.
//!
//! Read first: RFC 8446 sections 4.1 and 5.1, RFC 6066 section 3 (server name), RFC 8701 (GREASE).

use crate::Random;

/// The port of HTTP over TLS.
pub const PORT: u16 = 443;

const RECORD_HANDSHAKE: u8 = 22;
const RECORD_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const VERSION_1_0: u16 = 0x0301;
const VERSION_1_2: u16 = 0x0303;
const VERSION_1_3: u16 = 0x0304;
const X25519: u16 = 0x001d;

/// Cipher suites of a current browser, without the GREASE value before them.
const SUITES: [u16; 15] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
    0x002f, 0x0035,
];
const SIGNATURES: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

/// Record with the `ClientHello` of a browser, for `server_name`, with HTTP/2 and HTTP/1.1 offered by ALPN.
#[must_use]
pub fn client_hello(server_name: &str, random: &mut Random) -> Vec<u8> {
    let grease = 0x0a0a_u16.wrapping_add(0x1010_u16.wrapping_mul(random.half() >> 12));
    let mut suites = grease.to_be_bytes().to_vec();
    suites.extend(SUITES.iter().flat_map(|suite| suite.to_be_bytes()));
    let extensions = client_extensions(server_name, grease, random);

    let mut body = VERSION_1_2.to_be_bytes().to_vec();
    body.extend(random.bytes(32));
    body.extend(prefixed8(&random.bytes(32)));
    body.extend(prefixed16(&suites));
    body.extend(prefixed8(&[0]));
    // RFC 7685: padding to 512 bytes of handshake, because some servers hang on slightly shorter ones.
    let bare = 4 + body.len() + 2 + extensions.len();
    let filling = 512_usize.saturating_sub(bare + 4);
    let padding = if filling > 0 { extension(21, &vec![0; filling]) } else { Vec::new() };
    body.extend(prefixed16(&[extensions, padding].concat()));
    record(RECORD_HANDSHAKE, VERSION_1_0, &handshake(CLIENT_HELLO, &body))
}

/// Extensions of a browser's `ClientHello`, without padding; `grease` is a reserved value of RFC 8701.
fn client_extensions(server_name: &str, grease: u16, random: &mut Random) -> Vec<u8> {
    let name = [&[0][..], &prefixed16(server_name.as_bytes())].concat();
    let mut share = prefixed_pair(grease, &[0]);
    share.extend(prefixed_pair(X25519, &random.bytes(32)));
    [
        extension(grease, &[]),
        extension(0, &prefixed16(&name)),
        extension(23, &[]),
        extension(0xff01, &[0]),
        extension(10, &prefixed16(&numbers(&[grease, X25519, 0x0017, 0x0018]))),
        extension(11, &[1, 0]),
        extension(35, &[]),
        extension(16, &prefixed16(&[&prefixed8(b"h2")[..], &prefixed8(b"http/1.1")].concat())),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(13, &prefixed16(&numbers(&SIGNATURES))),
        extension(18, &[]),
        extension(51, &prefixed16(&share)),
        extension(45, &[1, 1]),
        extension(43, &prefixed8(&numbers(&[grease, VERSION_1_3, VERSION_1_2]))),
        extension(27, &[2, 0, 2]),
    ]
    .concat()
}

/// Records of the server's first flight: `ServerHello`, the compatibility message, and `encrypted` bytes of handshake.
#[must_use]
pub fn server_hello(encrypted: usize, random: &mut Random) -> Vec<u8> {
    let mut body = VERSION_1_2.to_be_bytes().to_vec();
    body.extend(random.bytes(32));
    body.extend(prefixed8(&random.bytes(32)));
    body.extend([0x13, 0x01, 0x00]);
    let share = prefixed_pair(X25519, &random.bytes(32));
    body.extend(prefixed16(&[extension(43, &VERSION_1_3.to_be_bytes()), extension(51, &share)].concat()));
    let mut records = record(RECORD_HANDSHAKE, VERSION_1_2, &handshake(SERVER_HELLO, &body));
    records.extend([20, 3, 3, 0, 1, 1]);
    records.extend(data(encrypted, random));
    records
}

/// `length` bytes of encrypted data, in records of at most 16 KiB.
#[must_use]
pub fn data(length: usize, random: &mut Random) -> Vec<u8> {
    random.bytes(length).chunks(16_384).flat_map(|chunk| record(RECORD_DATA, VERSION_1_2, chunk)).collect()
}

fn record(kind: u8, version: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &version.to_be_bytes(), &prefixed16(payload)].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, high, middle, low], body].concat()
}

fn extension(kind: u16, payload: &[u8]) -> Vec<u8> {
    prefixed_pair(kind, payload)
}

/// Certificate in a first flight.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    /// Common name of the issuer.
    pub issuer: &'static str,
    /// Common name of the holder.
    pub subject: &'static str,
    /// Begin and end of its validity, as `UTCTime`.
    pub validity: (&'static str, &'static str),
    /// Bytes of its key.
    pub key: usize,
}

/// Records of the first flight of a server up to TLS 1.2: hello, certificate, and the end of the flight.
#[must_use]
pub fn first_flight(minor: u8, suite: u16, certificate: &Certificate, random: &mut Random) -> Vec<u8> {
    let hello = [&[3, minor][..], &random.bytes(32), &[0], &suite.to_be_bytes(), &[0]].concat();
    let name = |text: &str| {
        let part = [der(6, &[0x55, 4, 3]), der(0x0c, text.as_bytes())].concat();
        der(0x30, &der(0x31, &der(0x30, &part)))
    };
    let (from, to) = certificate.validity;
    let fields = [
        der(0xa0, &der(2, &[2])),
        der(2, &random.bytes(8)),
        der(0x30, &[5, 0]),
        name(certificate.issuer),
        der(0x30, &[der(0x17, from.as_bytes()), der(0x17, to.as_bytes())].concat()),
        name(certificate.subject),
        der(0x30, &random.bytes(certificate.key)),
    ];
    let whole =
        der(0x30, &[der(0x30, &fields.concat()), der(0x30, &[5, 0]), der(3, &random.bytes(256))].concat());
    let list = prefixed24(&prefixed24(&whole));
    let messages = [handshake(SERVER_HELLO, &hello), handshake(11, &list), handshake(14, &[])];
    record(RECORD_HANDSHAKE, 0x0300 | u16::from(minor), &messages.concat())
}

/// Element of the distinguished encoding rules (X.690 section 10.1).
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let length: &[u8] = match (high, low) {
        (0, 0..0x80) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag][..], length, content].concat()
}

fn prefixed24(payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[a, b, c][..], payload].concat()
}

fn prefixed_pair(number: u16, payload: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &prefixed16(payload)].concat()
}

fn prefixed16(payload: &[u8]) -> Vec<u8> {
    [&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes()[..], payload].concat()
}

fn prefixed8(payload: &[u8]) -> Vec<u8> {
    [&[u8::try_from(payload.len()).unwrap_or(u8::MAX)][..], payload].concat()
}

fn numbers(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|number| number.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_hello_is_padded_and_names_the_server() {
        let hello = client_hello("www.example.net", &mut Random::new(1));
        // handshake record, version 1.0, 512 bytes; ClientHello of 508, version 1.2
        assert_eq!(hello.get(..11).unwrap(), [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
        assert_eq!(hello.len(), 517);
        // extension 0, 20 bytes, list of 18, host name, 15 characters
        let name = [&[0, 0, 0, 20, 0, 18, 0, 0, 15][..], b"www.example.net"].concat();
        assert!(hello.windows(name.len()).any(|window| window == name));
    }

    #[test]
    fn long_data_is_split_into_records_of_16_kib() {
        let records = data(16_385, &mut Random::new(1));
        assert_eq!(records.get(..5).unwrap(), [23, 3, 3, 0x40, 0]);
        assert_eq!(records.get(16_389..16_394).unwrap(), [23, 3, 3, 0, 1]);
    }
}
