//! Search for hosts and services.

pub(crate) mod contact_table;
mod evidence;
pub(crate) mod failed_contacts;
pub(crate) mod port_scan;
mod quoted;

use sentinel_dissect::TcpFlags;
use sentinel_units::Port;

/// Trivial file transfer, which network boot begins with.
pub(crate) const TFTP: Port = Port(69);

/// Returns true for TCP flags that nobody sends but to probe or to evade: none; FIN with PSH and URG; FIN without ACK, outside of a
/// flow (RFC 9293 section 3.10.7.4 wants ACK on all but the first segment); SYN with FIN or RST.
#[inline]
pub(crate) const fn is_crafted(flags: TcpFlags, is_first: bool) -> bool {
    let crafted = if is_first { CRAFTED[1] } else { CRAFTED[0] };
    crafted >> (flags.0 & 0x3f) & 1 != 0
}

/// A bit for each value of the six flags of RFC 9293; of segments in a flow, and of the first.
const CRAFTED: [u64; 2] = [crafted(false), crafted(true)];

const fn crafted(is_first: bool) -> u64 {
    let (mut bits, mut value) = (0, 0);
    while value < 0x40 {
        let flags = TcpFlags(value);
        let is_syn = flags.has(TcpFlags::SYN) && flags.has_any(TcpFlags(0x05));
        if flags.is_null() || flags.is_xmas() || is_first && is_bare_fin(flags) || is_syn {
            bits |= 1 << value;
        }
        value += 1;
    }
    bits
}

/// Returns true for FIN without ACK, SYN and RST.
const fn is_bare_fin(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::FIN) && !flags.has_any(TcpFlags(0x16))
}

/// Returns true if a datagram from a lower port may answer one that was not seen. A scanner that sends from port 53 to look like a
/// resolver sends no responses.
pub(crate) fn is_response(source: Port, payload: &[u8]) -> bool {
    match (source.0, payload) {
        // DNS, NetBIOS names, multicast DNS, LLMNR: the bit that marks a response.
        (53 | 137 | 5_353 | 5_355, [_, _, flags, ..]) => payload.len() >= 12 && flags & 0x80 != 0,
        // NTP: a server or a broadcast.
        (123, [first, ..]) => payload.len() >= 48 && matches!(first & 7, 4 | 5),
        (_, payload) => !payload.is_empty(),
    }
}

/// Returns true for ports at which printers alone answer, and which their drivers try in turn: LPD, IPP, raw printing, WSD, and HP's for
/// further queues, status, scanning and set-up.
pub(crate) const fn is_printer_port(port: u16) -> bool {
    matches!(port, 515 | 631 | 3_910..=3_912 | 5_357 | 6_839 | 7_627 | 8_290 | 9_100..=9_102 | 9_220 | 9_280 | 9_290)
}

/// Returns true for ports whose responses [`is_response`] tells by their form, and which end an exchange.
pub(crate) const fn needs_no_answer(source: Port) -> bool {
    matches!(source.0, 53 | 123 | 137 | 5_353 | 5_355)
}

/// Returns true for the datagrams of traceroute, one port more for each probe and three probes for each of 85 hops; and for those by
/// which a call looks for a path (STUN, RFC 8489 section 5), to ports above 1023: most of the other side's candidates answer nothing.
pub(crate) fn is_excused(destination: Port, payload: &[u8]) -> bool {
    match (destination.0, payload) {
        (33_434..33_690, _) => true,
        (1_024.., [first, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]) => *first < 0x40 && payload.len() >= 20,
        _ => false,
    }
}
