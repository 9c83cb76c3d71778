//! Name of a server in the first payload of its client: SNI of TLS, `Host` of HTTP/1.
//!
//! Read first: RFC 8446 section 4.1.2; RFC 6066 section 3; RFC 9112 section 3.2. Only what the payload holds is read: of a hello that goes on in the
//! next segment, as those with post-quantum keys do, the extensions up to there.

/// Record type and handshake type of a hello.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Record header, handshake header, version and random.
const BEFORE_SESSION: usize = 5 + 4 + 2 + 32;
/// Type of the extension with the name.
const SERVER_NAME: [u8; 2] = [0, 0];
/// Bytes of a request that are searched for its `Host`.
const MAX_HEAD: usize = 1_024;

/// Name of the server without a port; `None` if the payload has none.
#[cold] // once in a connection that is watched
pub(crate) fn server_name(payload: &[u8]) -> Option<&[u8]> {
    match payload {
        [HANDSHAKE, _, _, _, _, CLIENT_HELLO, ..] => of_hello(payload),
        _ => of_request(payload),
    }
}

fn of_hello(payload: &[u8]) -> Option<&[u8]> {
    let (session_len, rest) = payload.get(BEFORE_SESSION..)?.split_first()?;
    let (suites_len, rest) = rest.get(usize::from(*session_len)..)?.split_first_chunk()?;
    let (methods_len, rest) = rest.get(usize::from(u16::from_be_bytes(*suites_len))..)?.split_first()?;
    let mut extensions = rest.get(usize::from(*methods_len) + 2..)?;
    loop {
        let ([a, b, len @ ..], behind) = extensions.split_first_chunk::<4>()?;
        if [*a, *b] == SERVER_NAME {
            // Length of the list, type of the first name, which is a host name, and its length.
            let ([_, _, 0, len @ ..], name) = behind.split_first_chunk::<5>()? else { return None };
            return name.get(..usize::from(u16::from_be_bytes(*len)));
        }
        extensions = behind.get(usize::from(u16::from_be_bytes(*len))..)?;
    }
}

fn of_request(payload: &[u8]) -> Option<&[u8]> {
    let head = payload.get(..MAX_HEAD).unwrap_or(payload);
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"host:").then_some(value)
    })?;
    let name = value.trim_ascii().split(|byte| *byte == b':').next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A hello with an extension before the name.
    fn hello(name: &[u8]) -> Vec<u8> {
        let len = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
        let list = [&len(name.len() + 3)[..], &[0], &len(name.len()), name].concat();
        let extensions = [&[0, 23, 0, 2, 7, 7][..], &[0, 0], &len(list.len()), &list].concat();
        let mut body = [&[3, 3][..], &[9; 32], &[2, 5, 5], &[0, 2, 0x13, 1], &[1, 0]].concat();
        body.extend([&len(extensions.len())[..], &extensions].concat());
        let message = [&[1, 0][..], &len(body.len()), &body].concat();
        [&[22, 3, 1][..], &len(message.len()), &message].concat()
    }

    #[test]
    fn the_name_of_a_hello_is_read_as_far_as_it_is_there() {
        let hello = hello(b"www.example.com");
        assert_eq!(server_name(&hello), Some(&b"www.example.com"[..]));
        for cut in 0..hello.len() {
            assert_eq!(server_name(&hello[..cut]), None, "{cut}");
        }
        let longer = [&hello[..], b"the rest"].concat();
        assert_eq!(server_name(&longer), Some(&b"www.example.com"[..]));
    }

    #[test]
    fn the_host_of_a_request_is_read_without_its_port() {
        for (request, name) in [
            (&b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..], Some(&b"example.com"[..])),
            (b"GET / HTTP/1.1\r\nAccept: */*\r\nhOST:example.com:8080\r\n", Some(b"example.com")),
            (b"GET / HTTP/1.0\r\n\r\n", None),
            (b"Host: example.com", None),
            (b"GET / HTTP/1.1\r\nHost:\r\n", None),
            (b"", None),
        ] {
            assert_eq!(server_name(request), name);
        }
    }
}
