//! NTP. Field names of RFC 5905 section 7.3.

use sentinel_dissect::application::ntp;

use super::layout::{Layout, Sort};
use super::members::{Context, Members};

/// Fields of messages about time.
pub(super) const TIME: Layout = Layout {
    names: ".leap_indicator version mode=,symmetric_active,symmetric_passive,client,server,broadcast stratum .poll .precision \
        .root_delay .root_dispersion .reference_timestamp .origin_timestamp .receive_timestamp .transmit_timestamp",
    fields: &[
        (0, Sort::Bits(6, 2)),
        (0, Sort::Bits(3, 3)),
        (0, Sort::Bits(0, 3)),
        (1, Sort::Number(1)),
        (2, Sort::Signed),
        (3, Sort::Signed),
        (4, Sort::Number(4)),
        (8, Sort::Number(4)),
        (16, Sort::NtpTime),
        (24, Sort::NtpTime),
        (32, Sort::NtpTime),
        (40, Sort::NtpTime),
    ],
};

/// Fields of control messages (RFC 9327 section 2), and of private ones as far as they have the same.
pub(super) const CONTROL: Layout = Layout {
    names: "version mode=6:control,private .opcode .sequence",
    fields: &[(0, Sort::Bits(3, 3)), (0, Sort::Bits(0, 3)), (1, Sort::Bits(0, 5)), (2, Sort::Number(2))],
};

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    match ntp::message(bytes) {
        Some((mode, message)) if ntp::TIME_MODES.contains(&mode) => {
            TIME.write(message, members);
            reference(message, members);
        }
        Some((_, message)) => CONTROL.write(message, members),
        None => {}
    }
    &[]
}

/// The source of a clock: four letters next to it, else an address.
fn reference(message: &[u8], members: &mut Members<'_>) {
    let (Some(stratum), Some(source)) = (message.get(1), message.get(12..16)) else { return };
    if *stratum <= 1 {
        let end = source.iter().position(|byte| *byte == 0).unwrap_or(source.len());
        members.text(".reference_id", source.get(..end).unwrap_or_default());
    } else {
        members.address(".reference_id", source);
    }
}
