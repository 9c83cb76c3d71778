//! Protocols that are recognised by their first bytes, but not read.

use sentinel_units::{port, service};

use super::protocol::{Body, Protocol, has_port, starts_with_any};

/// Rows in the order in which they are tried: RTSP shares methods with HTTP, which comes after it.
pub(super) const PROTOCOLS: &[Protocol] = &[
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
        datagram: Some(|payload, ports| {
            starts_with_any(payload, &[b"M-SEARCH * HTTP/", b"NOTIFY * HTTP/"])
                || has_port(ports, port::SSDP) && payload.starts_with(b"HTTP/1.")
        }),
        ..Protocol::new(service::SSDP, "SSDP", "UPnP Device Architecture 2.0, section 1")
    },
    Protocol {
        segment: Some(|payload, ports| payload.starts_with(b"+OK") && !has_port(ports, port::REDIS)),
        ..Protocol::new(service::POP3, "POP3", "RFC 1939")
    },
    Protocol {
        segment: Some(|payload, _| starts_with_any(payload, &[b"* OK", b"* PREAUTH"])),
        ..Protocol::new(service::IMAP, "IMAP", "RFC 9051")
    },
    Protocol {
        segment: Some(|payload, _| payload.starts_with(b"RFB 00")),
        ..Protocol::new(service::VNC, "VNC", "RFC 6143")
    },
];
pub(super) const FUZZ_BODIES: &[Body] = &[];
