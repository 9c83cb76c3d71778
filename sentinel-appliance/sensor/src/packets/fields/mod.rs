//! Fields of application protocols: one file per protocol with its line, its JSON fields and its records.
//!
//! The fields are described in `OUTPUT.md`. A new protocol is one file here. If its fields are plain values, that is a function
//! and one line in the table of `listed`; else an implementation of [`Fields`] and one line in `applications!` below. Names and
//! ports come from its row in the table of `sentinel-dissect`.

mod bgp;
mod bittorrent;
mod dhcp;
mod dhcpv6;
mod dns;
mod eigrp;
mod ftp;
mod gre;
mod http;
mod https;
mod igmp;
mod kerberos;
mod layout;
mod ldap;
mod listed;
mod members;
mod modbus;
mod mqtt;
mod netbios;
mod netflow;
mod ntp;
mod ospf;
mod quic;
mod rdp;
mod rip;
mod sctp;
mod sflow;
mod sip;
mod smb;
mod smtp;
mod snmp;
mod ssdp;
mod ssh;
mod stun;
mod telnet;
mod text;
mod tls;
mod wireguard;

use std::fmt;

use sentinel_dissect::application::Ports;
use sentinel_track::flow::Endpoint;
use sentinel_track::reassembly::{CryptoData, Message};
use sentinel_units::{Port, Timestamp};

use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Payload of a TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'p> {
    /// Captured bytes.
    pub(crate) bytes: &'p [u8],
    /// Source and destination port.
    pub(crate) ports: Ports,
    /// Bytes on the wire.
    pub(crate) wire_len: u32,
}

/// Result of reading a payload as one protocol.
#[derive(Debug)]
enum Reading<T> {
    /// Neither bytes nor ports are of the protocol; the next one is tried.
    OtherProtocol,
    /// The ports are of the protocol, but the bytes cannot be read; no other protocol is tried.
    Malformed,
    /// The fields that were read.
    Fields(T),
}

/// Colour of a line on terminals (ECMA-48, "select graphic rendition").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colour {
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Colour {
    /// Parameter of the escape sequence.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }
}

/// Output of one protocol. The first three functions read and show single packets, the last three make records.
trait Fields<'p>: Sized {
    /// Colour of its lines.
    const COLOUR: Option<Colour> = None;

    /// Reads the payload of a TCP segment.
    fn of_segment(_: &Payload<'p>) -> Reading<Self> {
        Reading::OtherProtocol
    }

    /// Reads a UDP payload.
    fn of_datagram(_: &Payload<'p>) -> Reading<Self> {
        Reading::OtherProtocol
    }

    /// Name in lines and JSON.
    fn title(&self) -> &'static str;

    /// Writes the contents in a few words, harmless to terminals.
    fn line(&self, out: &mut String) -> fmt::Result;

    /// Writes JSON fields, each behind a comma.
    fn json(&self, _: &mut String) -> fmt::Result {
        Ok(())
    }

    /// Writes the records of a UDP payload. Returns true if it is of the protocol.
    fn datagram_records(_: &Payload<'_>, _: &mut RecordWriter<'_>) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Writes the records of a reassembled piece of a stream. Returns true if it is of the protocol.
    fn stream_records(_: &Message<'_>, _: &mut RecordWriter<'_>) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Shows the CRYPTO data that a UDP payload carries, which reassembly puts together.
    fn crypto_data(_: &Payload<'_>, _: &mut dyn FnMut(&CryptoData<'_>)) {}
}

macro_rules! applications {
    ($($variant:ident($fields:ty)),* $(,)?) => {
        /// Fields of the application protocol of one packet.
        #[derive(Debug)]
        pub(crate) enum Application<'p> {
            /// Not recognised, or not read.
            None,
            $($variant($fields)),*
        }

        impl<'p> Application<'p> {
            /// Reads the payload of a TCP segment.
            pub(crate) fn of_segment(payload: &Payload<'p>) -> Self {
                $(
                    match <$fields>::of_segment(payload) {
                        Reading::Fields(fields) => return Self::$variant(fields),
                        Reading::Malformed => return Self::None,
                        Reading::OtherProtocol => {}
                    }
                )*
                Self::None
            }

            /// Reads a UDP payload.
            pub(crate) fn of_datagram(payload: &Payload<'p>) -> Self {
                $(
                    match <$fields>::of_datagram(payload) {
                        Reading::Fields(fields) => return Self::$variant(fields),
                        Reading::Malformed => return Self::None,
                        Reading::OtherProtocol => {}
                    }
                )*
                Self::None
            }

            /// Reads the payload of an IP packet that is neither TCP nor UDP.
            pub(crate) fn of_packet(number: u8, payload: &'p [u8], ports: Ports) -> Self {
                match listed::Listed::of_packet(number, payload, ports) {
                    Reading::Fields(fields) => Self::Listed(fields),
                    _ => Self::None,
                }
            }

            /// Name of the protocol in lines and JSON.
            pub(crate) fn title(&self) -> Option<&'static str> {
                match self {
                    Self::None => None,
                    $(Self::$variant(fields) => Some(fields.title())),*
                }
            }

            /// Colour of its lines.
            pub(crate) const fn colour(&self) -> Option<Colour> {
                match self {
                    Self::None => None,
                    $(Self::$variant(_) => <$fields as Fields<'_>>::COLOUR),*
                }
            }

            /// Writes the contents in a few words.
            pub(crate) fn line(&self, out: &mut String) -> fmt::Result {
                match self {
                    Self::None => Ok(()),
                    $(Self::$variant(fields) => fields.line(out)),*
                }
            }

            /// Writes JSON fields, each behind a comma.
            pub(crate) fn json(&self, out: &mut String) -> fmt::Result {
                match self {
                    Self::None => Ok(()),
                    $(Self::$variant(fields) => fields.json(out)),*
                }
            }

            /// Writes the records of a UDP payload. Returns true if its protocol is known.
            pub(crate) fn datagram_records(
                payload: &Payload<'_>,
                records: &mut RecordWriter<'_>,
            ) -> Result<bool, Failure> {
                Ok($(<$fields>::datagram_records(payload, records)? ||)* false)
            }

            /// Writes the record of the payload of an IP packet that is neither TCP nor UDP.
            pub(crate) fn packet_records(
                number: u8,
                payload: &[u8],
                records: &mut RecordWriter<'_>,
            ) -> Result<(), Failure> {
                let (source, destination) = records.endpoints;
                match listed::Listed::of_packet(number, payload, (source.port, destination.port)) {
                    Reading::Fields(message) => message.records(records),
                    _ => Ok(()),
                }
            }

            /// Writes the records of a reassembled piece of a stream. Returns true if its protocol is known.
            pub(crate) fn stream_records(
                stream: &Message<'_>,
                records: &mut RecordWriter<'_>,
            ) -> Result<bool, Failure> {
                Ok($(<$fields>::stream_records(stream, records)? ||)* false)
            }

            /// Shows the CRYPTO data that a UDP payload carries.
            pub(crate) fn crypto_data(payload: &Payload<'_>, visit: &mut dyn FnMut(&CryptoData<'_>)) {
                $(<$fields>::crypto_data(payload, visit);)*
            }
        }
    };
}

// In the order in which they are tried.
applications! {
    Dns(dns::Dns<'p>),
    Listed(listed::Listed<'p>),
    Ssdp(ssdp::Ssdp),
    Quic(quic::Quic),
    Tls(tls::Tls<'p>),
    Ssh(ssh::Ssh<'p>),
    Smtp(smtp::Smtp<'p>),
    Http(http::Http<'p>),
    Https(https::Https),
}

/// Prints records: one JSON object on a line for each message.
pub(crate) struct RecordWriter<'o> {
    output: &'o mut Output,
    at: Timestamp,
    endpoints: (Endpoint, Endpoint),
    /// False for protocols over IP that have none.
    has_ports: bool,
}

impl<'o> RecordWriter<'o> {
    /// For messages that ended at `at`, from the first endpoint to the second.
    pub(crate) const fn new(output: &'o mut Output, at: Timestamp, endpoints: (Endpoint, Endpoint)) -> Self {
        Self { output, at, endpoints, has_ports: true }
    }

    /// Sets the output for a protocol over IP: without ports if both are zero.
    pub(crate) fn over_ip(self) -> Self {
        let (source, destination) = self.endpoints;
        Self { has_ports: (source.port, destination.port) != (Port(0), Port(0)), ..self }
    }

    /// Writes one record: `fields` adds its fields, each behind a comma.
    fn write(&mut self, name: &str, fields: impl FnOnce(&mut String) -> fmt::Result) -> Result<(), Failure> {
        use fmt::Write;
        let Self { at, endpoints: (source, destination), has_ports, .. } = *self;
        self.output.line(|line| {
            write!(line, "{{\"time\":\"{}\",\"record\":\"{name}\"", at.rfc3339())?;
            for (name, end) in [("src", source), ("dst", destination)] {
                write!(line, ",\"{name}\":\"{}\",\"{name}_port\":", end.address)?;
                if has_ports {
                    write!(line, "{}", end.port)?;
                } else {
                    line.push_str("null");
                }
            }
            fields(line)?;
            line.push('}');
            Ok(())
        })
    }
}

/// Returns true if `port` is that of either end.
fn has_port((source, destination): Ports, port: Port) -> bool {
    source == port || destination == port
}
