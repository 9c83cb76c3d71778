//! Flow tables of the firewall (software and hardware flow offloading).
//!
//! Read first: `Documentation/networking/nf_flowtable.rst` of the kernel; `linux/netfilter/nf_tables.h`.

use rustix::net::netlink;

use super::error::InterfaceError;
use super::netlink::{Attributes, DumpRequest, dump, parsed};
use super::text;

/// A flow table of the firewall: its flows are forwarded past the network stack, so a packet ring does not
/// see them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowTable {
    /// Table and name, `inet fw4 ft` without the family.
    pub name: String,
    /// Family of its table, as `nft` calls it.
    pub family: &'static str,
    /// Interfaces whose packets are looked up in it.
    pub devices: Vec<String>,
    /// The card forwards the packets by itself.
    pub hardware: bool,
}

/// The flow tables of this network namespace. Needs `CAP_NET_ADMIN`.
///
/// # Errors
/// [`InterfaceError`] if the kernel does not reply, among others without the capability or without `nf_tables`.
#[inline]
pub fn flow_tables() -> Result<Vec<FlowTable>, InterfaceError> {
    const SUBSYSTEM: u16 = 10 << 8; // NFNL_SUBSYS_NFTABLES
    const GET_FLOWTABLE: u16 = SUBSYSTEM | 23;
    const NEW_FLOWTABLE: u16 = SUBSYSTEM | 22;
    const ANY_FAMILY: [u8; 4] = [0; 4]; // struct nfgenmsg: family, version, resource
    let request = DumpRequest {
        protocol: Some(netlink::NETFILTER),
        kind: GET_FLOWTABLE,
        reply: NEW_FLOWTABLE,
        header: &ANY_FAMILY,
    };
    parsed(&dump(&request)?, parse)
}

/// Reads an `nfgenmsg` and its attributes. Numbers of this family are big-endian.
#[inline]
fn parse(payload: &[u8]) -> Option<FlowTable> {
    const HEADER_LEN: usize = 4;
    const TABLE: u16 = 1;
    const NAME: u16 = 2;
    const HOOK: u16 = 3;
    const FLAGS: u16 = 7;
    const HOOK_DEVICES: u16 = 3;
    const HARDWARE: u8 = 1;
    let (mut table, mut name, mut devices, mut hardware) = (String::new(), String::new(), Vec::new(), false);
    for (kind, value) in Attributes(payload.get(HEADER_LEN..)?) {
        match kind {
            TABLE => table = text(value),
            NAME => name = text(value),
            HOOK => {
                let lists = Attributes(value).filter(|(kind, _)| *kind == HOOK_DEVICES);
                devices.extend(lists.flat_map(|(_, list)| Attributes(list)).map(|(_, device)| text(device)));
            }
            FLAGS => hardware = value.get(3).is_some_and(|flags| flags & HARDWARE != 0),
            _ => {}
        }
    }
    // NFPROTO_IPV4 and NFPROTO_IPV6; flow tables are in no other family but inet.
    let family = match payload.first()? {
        2 => "ip",
        10 => "ip6",
        _ => "inet",
    };
    Some(FlowTable { name: format!("{table} {name}"), family, devices, hardware })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_table_is_read() {
        let attribute = |kind: u16, value: &[u8]| {
            let length = u16::try_from(value.len() + 4).unwrap();
            let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let devices = [attribute(1, b"eth0\0"), attribute(1, b"eth1\0")].concat();
        let hook = [attribute(1, &[0, 0, 0, 0]), attribute(3 | 0x8000, &devices)].concat();
        let payload = [
            vec![1, 0, 0, 0],
            attribute(1, b"fw4\0"),
            attribute(2, b"ft\0"),
            attribute(3 | 0x8000, &hook),
            attribute(7, &[0, 0, 0, 1]),
        ]
        .concat();
        let expected = FlowTable {
            name: "fw4 ft".into(),
            family: "inet",
            devices: vec!["eth0".into(), "eth1".into()],
            hardware: true,
        };
        assert_eq!(parse(&payload), Some(expected));
        let of_ipv6 = [&[10, 0, 0, 0], payload.get(4..).unwrap()].concat();
        assert_eq!(parse(&of_ipv6).unwrap().family, "ip6");
        assert_eq!(parse(&[1, 0]), None);
    }
}
