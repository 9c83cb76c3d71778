//! SSDP: discovery of devices, in the syntax of HTTP.

use std::fmt::Result;

use sentinel_dissect::http;
use sentinel_units::{port, service};

use super::http::write_request;
use super::{Fields, Payload, RecordWriter, has_port};
use crate::terminal::failure::Failure;

/// Only records name SSDP; in lines it is UDP.
#[derive(Debug)]
pub(crate) enum Ssdp {}

impl Fields<'_> for Ssdp {
    fn title(&self) -> &'static str {
        match *self {}
    }

    fn line(&self, _: &mut String) -> Result {
        match *self {}
    }

    fn datagram_records(
        payload: &Payload<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        if !has_port(payload.ports, port::SSDP) {
            return Ok(false);
        }
        if let Ok(request) = http::Request::parse(payload.bytes) {
            records.write(service::SSDP.name, |line| write_request(&request, line))?;
        }
        Ok(true)
    }
}
