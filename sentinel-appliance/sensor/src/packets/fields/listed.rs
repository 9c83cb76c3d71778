//! Protocols whose fields are plain values: one table, one reading, for lines, JSON and records alike.
//!
//! They are recognised by the table of `sentinel-dissect`, like the applications of flows.

use std::fmt::{Result, Write};

use sentinel_dissect::application::{self, Ports, Protocol};
use sentinel_track::reassembly::Message;
use sentinel_units::service::{self, Service};

use super::members::{Context, Members, WriteMessage};
use super::{Fields, Payload, Reading, RecordWriter};
use super::{
    bgp, bittorrent, dhcp, dhcpv6, eigrp, ftp, gre, igmp, kerberos, ldap, modbus, mqtt, netbios, netflow,
    ntp, ospf, rdp, rip, sctp, sflow, sip, smb, snmp, stun, telnet, wireguard,
};
use crate::terminal::failure::Failure;

/// Most messages read from one piece of a stream.
const MAX_MESSAGES: usize = 64;

/// The protocols, and how each is written.
const OUTPUTS: &[(&Service, WriteMessage)] = &[
    (service::BGP, bgp::write),
    (service::BITTORRENT, bittorrent::write),
    (service::DHCP, dhcp::write),
    (service::DHCPV6, dhcpv6::write),
    (service::EIGRP, eigrp::write),
    (service::FTP, ftp::write),
    (service::GRE, gre::write),
    (service::IGMP, igmp::write),
    (service::KERBEROS, kerberos::write),
    (service::LDAP, ldap::write),
    (service::MODBUS, modbus::write),
    (service::MQTT, mqtt::write),
    (service::NETBIOS_NS, netbios::write_name),
    (service::NETBIOS_SSN, netbios::write_session),
    (service::NETFLOW, netflow::write),
    (service::NTP, ntp::write),
    (service::OSPF, ospf::write),
    (service::RDP, rdp::write),
    (service::RIP, rip::write),
    (service::SCTP, sctp::write),
    (service::SFLOW, sflow::write),
    (service::SIP, sip::write),
    (service::SMB, smb::write),
    (service::SNMP, snmp::write),
    (service::STUN, stun::write),
    (service::TELNET, telnet::write),
    (service::WIREGUARD, wireguard::write),
];

/// All tables of fields, for tests.
#[cfg(test)]
const LAYOUTS: &[&super::layout::Layout] = &[
    &bgp::OPEN,
    &bgp::NOTIFICATION,
    &dhcp::FIXED,
    &eigrp::HEADER,
    &igmp::HEADER,
    &modbus::HEADER,
    &netflow::VERSION_5,
    &netflow::VERSION_9,
    &netflow::IPFIX,
    &ntp::TIME,
    &ntp::CONTROL,
    &ospf::HEADER,
    &ospf::HELLO_2,
    &sflow::HEADER,
    &smb::VERSION_1,
    &smb::VERSION_2,
    &wireguard::HANDSHAKE,
];

/// A message of one of the protocols.
#[derive(Debug)]
pub(crate) struct Listed<'p> {
    protocol: &'static Protocol,
    write: WriteMessage,
    bytes: &'p [u8],
    context: Context,
}

impl<'p> Listed<'p> {
    /// Reads a segment or datagram.
    // Called from several places: without the attribute each call may get a copy, as of the next functions.
    #[inline(never)]
    fn of(bytes: &'p [u8], ports: Ports, is_stream: bool) -> Reading<Self> {
        let found = if is_stream {
            application::identify_segment(bytes, ports)
        } else {
            application::identify_datagram(bytes, ports)
        };
        Self::new(found, bytes, Context { ports, is_stream })
    }

    /// Reads an IP packet that is neither TCP nor UDP.
    pub(super) fn of_packet(number: u8, bytes: &'p [u8], ports: Ports) -> Reading<Self> {
        Self::new(application::identify_packet(number, bytes), bytes, Context { ports, is_stream: false })
    }

    #[inline(never)]
    fn new(found: Option<&'static Protocol>, bytes: &'p [u8], context: Context) -> Reading<Self> {
        let output = found.and_then(|protocol| {
            let (_, write) = OUTPUTS.iter().find(|(service, _)| service.name == protocol.service.name)?;
            Some(Self { protocol, write: *write, bytes, context })
        });
        output.map_or(Reading::OtherProtocol, Reading::Fields)
    }

    /// Writes the record of this message and of those of the same protocol behind it.
    #[inline(never)]
    pub(super) fn records(mut self, records: &mut RecordWriter<'_>) -> std::result::Result<(), Failure> {
        for _ in 0..MAX_MESSAGES {
            let mut fields = String::new();
            let mut members = Members::json(&mut fields);
            let behind = (self.write)(self.bytes, self.context, &mut members);
            if members.has_record {
                records.write(self.protocol.service.name, |line| {
                    line.push_str(&fields);
                    Ok(())
                })?;
            }
            let Reading::Fields(next) = Self::of(behind, self.context.ports, self.context.is_stream) else {
                return Ok(());
            };
            if behind.is_empty() || next.protocol.service.name != self.protocol.service.name {
                return Ok(());
            }
            self = next;
        }
        Ok(())
    }
}

impl<'p> Fields<'p> for Listed<'p> {
    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        Self::of(payload.bytes, payload.ports, true)
    }

    fn of_datagram(payload: &Payload<'p>) -> Reading<Self> {
        Self::of(payload.bytes, payload.ports, false)
    }

    fn title(&self) -> &'static str {
        self.protocol.title
    }

    fn line(&self, out: &mut String) -> Result {
        let before = out.len();
        (self.write)(self.bytes, self.context, &mut Members::line(out));
        // The start of a message that continues in the next segment.
        if out.len() == before { write!(out, "len {}", self.bytes.len()) } else { Ok(()) }
    }

    fn json(&self, out: &mut String) -> Result {
        (self.write)(self.bytes, self.context, &mut Members::json(out));
        Ok(())
    }

    fn datagram_records(
        payload: &Payload<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        match Listed::of(payload.bytes, payload.ports, false) {
            Reading::Fields(message) => message.records(records).map(|()| true),
            _ => Ok(false),
        }
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        if stream.channel != 0 {
            return Ok(false);
        }
        match Listed::of(stream.bytes, (stream.source.port, stream.destination.port), true) {
            Reading::Fields(message) => message.records(records).map(|()| true),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_as_many_names_as_fields() {
        assert!(LAYOUTS.len() > 10);
        for layout in LAYOUTS {
            assert_eq!(layout.names.split(' ').count(), layout.fields.len(), "{}", layout.names);
            for name in layout.names.split(' ').map(|name| name.split('=').next().unwrap()) {
                assert!(
                    name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.')),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_cut_has_fewer_fields() {
        let message = [0x5a; 256];
        for layout in LAYOUTS {
            let mut before = 0;
            for cut in 0..=message.len() {
                let mut out = String::new();
                layout.write(&message[..cut], &mut Members::json(&mut out));
                assert!(out.len() >= before);
                before = out.len();
            }
        }
    }
}
