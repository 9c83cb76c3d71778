//! What a conversation carries: by its first bytes, and by its port if those do not tell.

use sentinel_dissect::{dns, framing, protocol, quic, tls};
use sentinel_units::Port;

/// An application protocol, as an index into [`APPLICATIONS`]; 0 if it is not known.
pub(super) type Application = u8;

/// Names, and the ports of servers; those below 256 for either transport are IANA's, others are in common use. An entry
/// without a port is known by its bytes alone. A port is listed once for each transport.
const APPLICATIONS: &[(&str, &[u16], &[u16])] = &[
    ("", &[], &[]),
    ("dns", &[53], &[53]),
    ("mdns", &[], &[5353]),
    ("llmnr", &[], &[5355]),
    ("tls", &[443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 5223, 8443, 8883], &[]),
    ("http", &[80, 3128, 8000, 8008, 8080, 8888], &[]),
    ("quic", &[], &[443, 853]),
    ("ssh", &[22], &[]),
    ("smtp", &[25, 587], &[]),
    ("ftp", &[21], &[]),
    ("pop3", &[110], &[]),
    ("imap", &[143], &[]),
    ("telnet", &[23], &[]),
    ("rdp", &[3389], &[3389]),
    ("smb", &[445], &[]),
    ("netbios_ssn", &[139], &[]),
    ("netbios_ns", &[], &[137]),
    ("netbios_dgm", &[], &[138]),
    ("dhcp", &[], &[67, 68]),
    ("dhcpv6", &[], &[546, 547]),
    ("ntp", &[], &[123]),
    ("snmp", &[], &[161, 162]),
    ("ssdp", &[], &[1900]),
    ("stun", &[3478], &[3478]),
    ("sip", &[5060], &[5060]),
    ("rtsp", &[554], &[]),
    ("dtls", &[], &[]),
    ("bittorrent", &[6881], &[6881]),
    ("vnc", &[5900], &[]),
    ("mqtt", &[1883], &[]),
    ("irc", &[6667], &[]),
    ("ldap", &[389], &[389]),
    ("kerberos", &[88], &[88]),
    ("bgp", &[179], &[]),
    ("redis", &[6379], &[]),
    ("mysql", &[3306], &[]),
    ("postgresql", &[5432], &[]),
    ("modbus", &[502], &[]),
    ("wireguard", &[], &[51820]),
    ("openvpn", &[1194], &[1194]),
    ("ike", &[], &[500, 4500]),
    ("l2tp", &[], &[1701]),
    ("radius", &[], &[1812, 1813]),
    ("tftp", &[], &[69]),
    ("syslog", &[], &[514]),
    ("rip", &[], &[520]),
    ("netflow", &[], &[2055, 4739]),
    ("sflow", &[], &[6343]),
    ("coap", &[], &[5683]),
    ("nfs", &[2049], &[2049]),
];

/// The name, if it is known.
pub(super) fn name(application: Application) -> Option<&'static str> {
    APPLICATIONS.get(usize::from(application)).map(|(name, ..)| *name).filter(|name| !name.is_empty())
}

/// By the port of the answerer, then by that of the opener.
pub(super) fn by_port(transport: u8, responder: Port, initiator: Port) -> Application {
    let listed = |port: Port| {
        let has = |(_, tcp, udp): &(&str, &[u16], &[u16])| match transport {
            protocol::TCP => tcp.contains(&port.0),
            protocol::UDP => udp.contains(&port.0),
            _ => false,
        };
        APPLICATIONS.iter().position(has)
    };
    let found = listed(responder).or_else(|| listed(initiator)).unwrap_or(0);
    Application::try_from(found).unwrap_or(0)
}

/// By the bytes of one segment.
pub(super) fn of_segment(payload: &[u8], ports: (Port, Port)) -> Application {
    let has = |port| ports.0 == Port(port) || ports.1 == Port(port);
    named(match payload {
        _ if has(53) && framing::probe(payload, ports) != framing::Probe::Other => "dns",
        _ if tls::is_client_hello(payload) || tls::is_server_hello(payload) => "tls",
        // A record of TLS 1.0 to 1.3 whose length fits
        [20..=23, 3, 1..=4, 0..=0x48, ..] if has(443) || payload.len() > 5 => "tls",
        [b'S', b'S', b'H', b'-', ..] => "ssh",
        _ if starts_with_any(payload, &[b"RTSP/1.0", b"OPTIONS rtsp:", b"DESCRIBE rtsp:"]) => "rtsp",
        _ if starts_sip(payload) => "sip",
        _ if starts_with_any(payload, HTTP) => "http",
        _ if payload.starts_with(b"220") && contains(payload, b"FTP") => "ftp",
        _ if payload.starts_with(b"220") && (contains(payload, b"SMTP") || has(25) || has(587)) => "smtp",
        _ if starts_with_any(payload, &[b"EHLO ", b"HELO "]) => "smtp",
        _ if payload.starts_with(b"+OK") && !has(6379) => "pop3",
        _ if starts_with_any(payload, &[b"* OK", b"* PREAUTH"]) => "imap",
        // TPKT, then a connection request or confirmation of X.224
        [3, 0, _, _, _, 0xe0 | 0xd0, ..] => "rdp",
        [0, _, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] => "smb",
        [0x81..=0x85, 0, ..] if has(139) => "netbios_ssn",
        _ if payload.starts_with(b"\x13BitTorrent protocol") => "bittorrent",
        _ if payload.starts_with(b"RFB 00") => "vnc",
        [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', ..] | [0x10, _, 0, 6, b'M', b'Q', b'I', b's', ..] => "mqtt",
        [0x10, 0x80..=0xff, _, 0, 4, b'M', b'Q', b'T', b'T', ..] => "mqtt",
        [0xff, 0xfb..=0xfe, ..] => "telnet",
        _ if payload.len() >= 19 && payload.starts_with(&[0xff; 16]) => "bgp",
        _ => "",
    })
}

/// By the bytes of one datagram.
pub(super) fn of_datagram(payload: &[u8], ports: (Port, Port)) -> Application {
    let has = |port| ports.0 == Port(port) || ports.1 == Port(port);
    let is_dns = || dns::Message::parse(payload).is_ok_and(|message| message.question().is_ok());
    named(match payload {
        _ if has(53) && is_dns() => "dns",
        _ if has(5353) && is_dns() => "mdns",
        _ if has(5355) && is_dns() => "llmnr",
        _ if payload.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]) => "dhcp",
        [_, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => "stun",
        _ if starts_quic(payload) => "quic",
        [20..=23, 0xfe, 0xfd | 0xff, ..] => "dtls",
        _ if starts_sip(payload) => "sip",
        _ if starts_with_any(payload, &[b"M-SEARCH * HTTP/", b"NOTIFY * HTTP/"]) => "ssdp",
        _ if has(1900) && payload.starts_with(b"HTTP/1.") => "ssdp",
        _ if starts_with_any(payload, &[b"d1:ad2:id20:", b"d1:rd2:id20:", b"d2:ip6:"]) => "bittorrent",
        [1, 0, 0, 0, ..] if payload.len() == 148 => "wireguard",
        [2, 0, 0, 0, ..] if payload.len() == 92 => "wireguard",
        _ => "",
    })
}

const HTTP: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"HTTP/1.",
    b"PRI * HTTP/2.0",
    b"PROPFIND ",
];

fn named(name: &str) -> Application {
    let index = APPLICATIONS.iter().position(|(other, ..)| *other == name).unwrap_or(0);
    Application::try_from(index).unwrap_or(0)
}

fn starts_with_any(payload: &[u8], starts: &[&[u8]]) -> bool {
    starts.iter().any(|start| payload.starts_with(start))
}

fn starts_sip(payload: &[u8]) -> bool {
    const METHODS: &[&[u8]] = &[
        b"SIP/2.0 ",
        b"INVITE sip",
        b"REGISTER sip",
        b"OPTIONS sip",
        b"ACK sip",
        b"BYE sip",
        b"CANCEL sip",
        b"SUBSCRIBE sip",
        b"NOTIFY sip",
        b"MESSAGE sip",
        b"PUBLISH sip",
        b"INFO sip",
        b"REFER sip",
    ];
    starts_with_any(payload, METHODS)
}

/// A long header of a version that exists: 1, 2, drafts, and what Google had before.
fn starts_quic(payload: &[u8]) -> bool {
    quic::has_long_header(payload)
        && matches!(
            payload.get(1..5),
            Some([0, 0, 0, 1] | [0x6b, 0x33, 0x43, 0xcf] | [0xff, 0, 0, 1..=34] | [b'Q' | b'T', b'0', ..])
        )
}

fn contains(payload: &[u8], word: &[u8]) -> bool {
    payload.windows(word.len()).take(512).any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: (Port, Port) = (Port(40_000), Port(4_000));

    #[test]
    fn names_and_ports_are_unique() {
        for (index, (name, tcp, udp)) in APPLICATIONS.iter().enumerate() {
            for (other, other_tcp, other_udp) in &APPLICATIONS[index + 1..] {
                assert_ne!(name, other);
                assert!(tcp.iter().all(|port| !other_tcp.contains(port)), "{name} {other}");
                assert!(udp.iter().all(|port| !other_udp.contains(port)), "{name} {other}");
            }
        }
        assert!(APPLICATIONS.len() <= usize::from(Application::MAX));
    }

    #[test]
    fn bytes_tell_on_any_port() {
        for (payload, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "tls"),
            (b"\x16\x03\x03\x00\x50\x02\x00", "tls"),
            (b"SSH-2.0-OpenSSH", "ssh"),
            (b"GET / HTTP/1.1", "http"),
            (b"220 mail.example.org ESMTP", "smtp"),
            (b"220 ProFTPD Server", "ftp"),
            (b"+OK ready", "pop3"),
            (b"* OK IMAP4rev1", "imap"),
            (b"\x03\x00\x00\x13\x0e\xe0", "rdp"),
            (b"\x00\x00\x00\x90\xfeSMB", "smb"),
            (b"\x13BitTorrent protocol", "bittorrent"),
            (b"RFB 003.008\n", "vnc"),
            (b"\x10\x25\x00\x04MQTT", "mqtt"),
            (b"\xff\xfb\x01", "telnet"),
        ] {
            assert_eq!(name(of_segment(payload, ANY)), Some(expected));
        }
        assert_eq!(name(of_segment(b"hello", ANY)), None);
        assert_eq!(name(of_segment(&[0, 5, 1, 2], (Port(53), Port(9)))), None);
        let quic = [0xc0, 0, 0, 0, 1, 8, 1, 2, 3];
        assert_eq!(name(of_datagram(&quic, ANY)), Some("quic"));
        assert_eq!(name(of_datagram(b"\x00\x01\x00\x00\x21\x12\xa4\x42", ANY)), Some("stun"));
        assert_eq!(name(of_datagram(&[0; 40], ANY)), None);
    }

    #[test]
    fn ports_tell_the_rest() {
        let at = |transport, responder, initiator| name(by_port(transport, Port(responder), Port(initiator)));
        assert_eq!((at(6, 443, 50_000), at(17, 443, 50_000)), (Some("tls"), Some("quic")));
        assert_eq!((at(17, 123, 123), at(6, 50_000, 22)), (Some("ntp"), Some("ssh")));
        assert_eq!((at(6, 4_000, 50_000), at(1, 53, 53)), (None, None));
    }
}
