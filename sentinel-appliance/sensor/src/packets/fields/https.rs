//! Data on the port of HTTPS that begins no TLS record: the middle of one, in most cases.

use std::fmt::{Result, Write};

use sentinel_units::port;

use super::{Colour, Fields, Payload, Reading, has_port};

/// Bytes that cannot be read.
#[derive(Debug)]
pub(crate) struct Https {
    wire_len: u32,
}

impl<'p> Fields<'p> for Https {
    const COLOUR: Option<Colour> = Some(Colour::Magenta);

    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        if has_port(payload.ports, port::HTTPS) {
            Reading::Fields(Self { wire_len: payload.wire_len })
        } else {
            Reading::OtherProtocol
        }
    }

    fn title(&self) -> &'static str {
        "HTTPS"
    }

    fn line(&self, out: &mut String) -> Result {
        write!(out, "data len {}", self.wire_len)
    }
}
