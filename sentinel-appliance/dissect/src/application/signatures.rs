//! Protocols that are recognised by their first bytes, but not read.

use sentinel_units::{port, service};

use super::protocol::{Body, Protocol, contains, has_port, starts_with_any};

/// Rows in the order in which they are tried: FTP greets like SMTP, and RTSP and SIP share methods with HTTP; SMTP and
/// HTTP come after all of these.
pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol {
        datagram: Some(|payload, _| matches!(payload, [_, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..])),
        ..Protocol::new(service::STUN, "STUN", "RFC 8489")
    },
    Protocol {
        datagram: Some(|payload, _| matches!(payload, [20..=23, 0xfe, 0xfd | 0xff, ..])),
        ..Protocol::new(service::DTLS, "DTLS", "RFC 9147")
    },
    Protocol {
        segment: Some(|payload, _| {
            starts_with_any(payload, &[b"RTSP/1.0", b"OPTIONS rtsp:", b"DESCRIBE rtsp:"])
        }),
        ..Protocol::new(service::RTSP, "RTSP", "RFC 2326")
    },
    Protocol {
        segment: Some(|payload, _| starts_with_any(payload, SIP)),
        datagram: Some(|payload, _| starts_with_any(payload, SIP)),
        ..Protocol::new(service::SIP, "SIP", "RFC 3261")
    },
    Protocol {
        datagram: Some(|payload, ports| {
            starts_with_any(payload, &[b"M-SEARCH * HTTP/", b"NOTIFY * HTTP/"])
                || has_port(ports, port::SSDP) && payload.starts_with(b"HTTP/1.")
        }),
        ..Protocol::new(service::SSDP, "SSDP", "UPnP Device Architecture 2.0, section 1")
    },
    Protocol {
        segment: Some(|payload, _| payload.starts_with(b"220") && contains(payload, b"FTP")),
        ..Protocol::new(service::FTP, "FTP", "RFC 959")
    },
    Protocol {
        segment: Some(|payload, ports| payload.starts_with(b"+OK") && !has_port(ports, port::REDIS)),
        ..Protocol::new(service::POP3, "POP3", "RFC 1939")
    },
    Protocol {
        segment: Some(|payload, _| starts_with_any(payload, &[b"* OK", b"* PREAUTH"])),
        ..Protocol::new(service::IMAP, "IMAP", "RFC 9051")
    },
    // TPKT (RFC 1006), then a connection request or confirmation of X.224.
    Protocol {
        segment: Some(|payload, _| matches!(payload, [3, 0, _, _, _, 0xe0 | 0xd0, ..])),
        ..Protocol::new(service::RDP, "RDP", "MS-RDPBCGR")
    },
    Protocol {
        segment: Some(|payload, _| matches!(payload, [0, _, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..])),
        ..Protocol::new(service::SMB, "SMB", "MS-SMB2")
    },
    Protocol {
        segment: Some(|payload, ports| {
            matches!(payload, [0x81..=0x85, 0, ..]) && has_port(ports, port::NETBIOS_SESSION)
        }),
        ..Protocol::new(service::NETBIOS_SSN, "NBSS", "RFC 1002")
    },
    Protocol {
        segment: Some(|payload, _| payload.starts_with(b"\x13BitTorrent protocol")),
        datagram: Some(|payload, _| {
            starts_with_any(payload, &[b"d1:ad2:id20:", b"d1:rd2:id20:", b"d2:ip6:"])
        }),
        ..Protocol::new(service::BITTORRENT, "BITTORRENT", "BEP 3, BEP 5")
    },
    Protocol {
        segment: Some(|payload, _| payload.starts_with(b"RFB 00")),
        ..Protocol::new(service::VNC, "VNC", "RFC 6143")
    },
    Protocol {
        segment: Some(|payload, _| starts_mqtt(payload)),
        ..Protocol::new(service::MQTT, "MQTT", "OASIS MQTT 5.0")
    },
    Protocol {
        segment: Some(|payload, _| matches!(payload, [0xff, 0xfb..=0xfe, ..])),
        ..Protocol::new(service::TELNET, "TELNET", "RFC 854")
    },
    Protocol {
        segment: Some(|payload, _| payload.len() >= 19 && payload.starts_with(&[0xff; 16])),
        ..Protocol::new(service::BGP, "BGP", "RFC 4271")
    },
    Protocol {
        datagram: Some(|payload, _| {
            matches!((payload, payload.len()), ([1, 0, 0, 0, ..], 148) | ([2, 0, 0, 0, ..], 92))
        }),
        ..Protocol::new(service::WIREGUARD, "WIREGUARD", "Donenfeld: WireGuard, NDSS 2017, section 5.4")
    },
];
pub(super) const FUZZ_BODIES: &[Body] = &[];

const SIP: &[&[u8]] = &[
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

/// A connection request whose length takes one or two bytes.
fn starts_mqtt(payload: &[u8]) -> bool {
    matches!(
        payload,
        [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', ..]
            | [0x10, _, 0, 6, b'M', b'Q', b'I', b's', ..]
            | [0x10, 0x80..=0xff, _, 0, 4, b'M', b'Q', b'T', b'T', ..]
    )
}
