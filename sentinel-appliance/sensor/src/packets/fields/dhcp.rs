//! DHCP for IPv4.

use std::fmt::{Result, Write};

use sentinel_dissect::dhcp::{self, PROTOCOL};
use sentinel_units::port;

use super::{Colour, Fields, Payload, Reading, has_port};

/// A message.
#[derive(Debug)]
pub(crate) struct Dhcp(dhcp::Message);

impl<'p> Fields<'p> for Dhcp {
    const COLOUR: Option<Colour> = Some(Colour::Green);

    fn of_datagram(payload: &Payload<'p>) -> Reading<Self> {
        if !has_port(payload.ports, port::DHCP_SERVER) && !has_port(payload.ports, port::DHCP_CLIENT) {
            return Reading::OtherProtocol;
        }
        dhcp::Message::parse(payload.bytes)
            .map_or(Reading::Malformed, |message| Reading::Fields(Self(message)))
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        write_line(&self.0, out)
    }
}

fn write_line(message: &dhcp::Message, out: &mut String) -> Result {
    out.write_str(match message.kind {
        Some(dhcp::Kind::Discover) => "DISCOVER",
        Some(dhcp::Kind::Offer) => "OFFER",
        Some(dhcp::Kind::Request) => "REQUEST",
        Some(dhcp::Kind::Decline) => "DECLINE",
        Some(dhcp::Kind::Ack) => "ACK",
        Some(dhcp::Kind::Nak) => "NAK",
        Some(dhcp::Kind::Release) => "RELEASE",
        Some(dhcp::Kind::Inform) => "INFORM",
        None if message.is_reply => "BOOTP reply",
        _ => "BOOTP request",
    })?;
    if !message.your_ip.is_unspecified() {
        write!(out, " {}", message.your_ip)?;
    }
    write!(out, " for {}", message.client_mac)
}
