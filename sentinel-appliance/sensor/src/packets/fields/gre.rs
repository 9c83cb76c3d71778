//! GRE. Field names of RFC 2784 and RFC 2890.

use sentinel_dissect::application::gre;

use super::members::{Context, Members};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    if let Some(header) = gre::Header::parse(bytes) {
        members.number(".version", header.version.into());
        members.display("protocol_type", &format_args!("0x{:04x}", header.protocol_type));
        for (name, value) in [("key", header.key), (".sequence_number", header.sequence_number)] {
            if let Some(value) = value {
                members.number(name, value.into());
            }
        }
    }
    // The packets inside have records; one for each header would repeat the flow of the tunnel.
    members.has_record = false;
    &[]
}
