//! Application protocols: one table of how each is recognised, and how long its messages are.
//!
//! Flows, records and reassembly use this table; names and ports are in [`sentinel_units::service`], which filters and the
//! kernel program read as well. A new protocol is one file with its parser, its row and its fuzz body, and one line in
//! `protocols!` below; its service has a row in `units` already, or gets one.

pub mod ber;
pub mod bgp;
pub mod bittorrent;
pub mod dhcp;
pub mod dhcpv6;
pub mod dns;
pub mod eigrp;
pub mod framing;
pub mod ftp;
pub mod gre;
pub mod http;
pub mod igmp;
pub mod kerberos;
pub mod ldap;
pub mod modbus;
pub mod mqtt;
pub mod netbios;
pub mod netflow;
pub mod ntp;
pub mod ospf;
mod protocol;
pub mod quic;
pub mod rdp;
pub mod rip;
pub mod sctp;
pub mod sflow;
mod signatures;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod snmp;
pub mod ssh;
pub mod stun;
pub mod telnet;
pub mod tls;
pub mod wireguard;
pub mod x509;

use self::framing::MessageLen;
pub use self::protocol::{Body, Framing, Identify, IdentifyPacket, Ports, Protocol};

// Two lists from one line per file. They are slices of slices, because a constant cannot join slices of unknown length.
macro_rules! protocols {
    ($($module:ident),* $(,)?) => {
        /// Rows of all protocols, a slice for each file, in the order in which they are tried.
        pub const PROTOCOLS: &[&[Protocol]] = &[$($module::PROTOCOLS),*];
        /// Fuzz bodies of all parsers, a slice for each file. Apart from the rows, so that no program links them.
        #[doc(hidden)]
        pub const FUZZ_BODIES: &[&[Body]] = &[$($module::FUZZ_BODIES),*];
    };
}

// The order decides where two rows recognise the same bytes: DNS claims its ports before anything else, STUN comes before
// QUIC, RTSP (signatures) and SIP before HTTP, FTP before SMTP.
protocols! {
    dns,
    dhcp,
    stun,
    signatures,
    sip,
    ftp,
    rdp,
    smb,
    netbios,
    bittorrent,
    mqtt,
    telnet,
    bgp,
    wireguard,
    snmp,
    ldap,
    kerberos,
    ntp,
    rip,
    netflow,
    sflow,
    dhcpv6,
    modbus,
    quic,
    tls,
    ssh,
    smtp,
    http,
    igmp,
    ospf,
    eigrp,
    sctp,
    gre,
}

/// All rows of the table.
pub fn protocols() -> impl Iterator<Item = &'static Protocol> {
    PROTOCOLS.iter().copied().flatten()
}

/// The protocol of a TCP segment by its payload; ports only decide between protocols that begin alike.
#[must_use]
pub fn identify_segment(payload: &[u8], ports: Ports) -> Option<&'static Protocol> {
    protocols().find(|protocol| protocol.segment.is_some_and(|is_mine| is_mine(payload, ports)))
}

/// The protocol of a UDP datagram by its payload; ports only decide between protocols that begin alike.
#[must_use]
pub fn identify_datagram(payload: &[u8], ports: Ports) -> Option<&'static Protocol> {
    protocols().find(|protocol| protocol.datagram.is_some_and(|is_mine| is_mine(payload, ports)))
}

/// The protocol of an IP packet that is neither TCP nor UDP, by its number and payload.
#[must_use]
pub fn identify_packet(number: u8, payload: &[u8]) -> Option<&'static Protocol> {
    protocols()
        .find(|protocol| protocol.packet.is_some_and(|(mine, is_mine)| mine == number && is_mine(payload)))
}

/// Length of the message that one direction of a TCP connection starts with: by its bytes on any port, but for DNS and the
/// lines before an SSH version, which only their ports identify.
#[must_use]
pub fn message_len(bytes: &[u8], ports: Ports) -> MessageLen {
    protocols()
        .filter_map(|protocol| protocol.framing)
        .find_map(|framing| framing(bytes, ports))
        .unwrap_or(MessageLen::Unrecognised)
}

/// Fuzz body: bytes of a stream. The first two choose the ports.
pub(crate) fn fuzz_message_len(bytes: &[u8]) {
    let [source, destination, stream @ ..] = bytes else { return };
    let port = |byte: u8| sentinel_units::Port(u16::from(byte));
    let ports = (port(*source), port(*destination));
    if let MessageLen::AtLeast(need) = message_len(stream, ports) {
        assert!(need > stream.len(), "reassembly would probe the same bytes for ever");
    }
    let found =
        [identify_segment(stream, ports), identify_datagram(stream, ports), identify_packet(*source, stream)];
    assert!(found.iter().flatten().all(|protocol| protocol.service.id() != 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_units::Port;

    const ANY: Ports = (Port(40_000), Port(4_000));

    #[test]
    fn names_are_unique_and_every_row_recognises_something() {
        for (index, protocol) in protocols().enumerate() {
            let transports =
                [protocol.segment.is_some(), protocol.datagram.is_some(), protocol.packet.is_some()];
            assert!(transports.contains(&true), "{}", protocol.title);
            assert!(protocols().skip(index + 1).all(|other| other.service.name != protocol.service.name));
            assert!(
                !protocol.source.is_empty() && protocol.title.bytes().all(|byte| !byte.is_ascii_lowercase())
            );
        }
    }

    #[test]
    fn first_bytes_identify_on_any_port() {
        let of_segment =
            |payload, ports| identify_segment(payload, ports).map(|protocol| protocol.service.name);
        for (payload, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "tls"),
            (b"\x16\x03\x03\x00\x50\x02\x00", "tls"),
            (b"SSH-2.0-OpenSSH", "ssh"),
            (b"GET / HTTP/1.1", "http"),
            (b"OPTIONS rtsp://x RTSP/1.0", "rtsp"),
            (b"OPTIONS sip:x SIP/2.0\r\n", "sip"),
            (b"OPTIONS * HTTP/1.1", "http"),
            (b"220 mail.example.org ESMTP", "smtp"),
            (b"220 ProFTPD Server", "ftp"),
            (b"+OK ready", "pop3"),
            (b"* OK IMAP4rev1", "imap"),
            (b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "rdp"),
            (b"\x00\x00\x00\x90\xfeSMB", "smb"),
            (b"\x13BitTorrent protocol", "bittorrent"),
            (b"RFB 003.008\n", "vnc"),
            (b"\x10\x25\x00\x04MQTT", "mqtt"),
            (b"\x30\x0c\x02\x01\x01\x60\x07", "ldap"),
            (b"\xff\xfb\x01", "telnet"),
        ] {
            assert_eq!(of_segment(payload, ANY), Some(expected));
        }
        assert_eq!(of_segment(b"hello", ANY), None);
        assert_eq!(of_segment(&[0, 5, 1, 2], (Port(53), Port(9))), None);
        let of_datagram = |payload| identify_datagram(payload, ANY).map(|protocol| protocol.service.name);
        assert_eq!(of_datagram(&[0xc0, 0, 0, 0, 1, 8, 1, 2, 3]), Some("quic"));
        assert_eq!(of_datagram(b"\x00\x01\x00\x00\x21\x12\xa4\x42............"), Some("stun"));
        assert_eq!(of_datagram(&[0; 40]), None);
    }
}
