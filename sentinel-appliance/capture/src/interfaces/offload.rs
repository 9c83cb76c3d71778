//! What forwards or joins frames before a packet ring sees them: flow tables of the firewall, features of the card.
//!
//! Read first: `Documentation/networking/nf_flowtable.rst` of the kernel; `linux/netfilter/nf_tables.h`;
//! `linux/ethtool.h` (`ETHTOOL_GFEATURES`).

use std::ffi::c_void;
use std::fmt;

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

use super::netlink::{Attributes, ListError, Question, ask};
use super::text;

/// A table of flows that the firewall forwards without showing their packets to anybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowTable {
    /// Table and name, `inet fw4 ft` without the family.
    pub name: String,
    /// Interfaces whose packets take the short way.
    pub devices: Vec<String>,
    /// The card forwards by itself.
    pub hardware: bool,
}

/// The flow tables of this network namespace. Needs `CAP_NET_ADMIN`.
///
/// # Errors
/// [`ListError`] if the kernel does not answer, among it that it is not permitted, or has no `nf_tables`.
pub fn flow_tables() -> Result<Vec<FlowTable>, ListError> {
    const SUBSYSTEM: u16 = 10 << 8; // NFNL_SUBSYS_NFTABLES
    const GET_FLOWTABLE: u16 = SUBSYSTEM | 23;
    const NEW_FLOWTABLE: u16 = SUBSYSTEM | 22;
    const ANY_FAMILY: [u8; 4] = [0; 4]; // struct nfgenmsg: family, version, resource
    let question = Question {
        protocol: Some(netlink::NETFILTER),
        kind: GET_FLOWTABLE,
        answer: NEW_FLOWTABLE,
        header: &ANY_FAMILY,
    };
    ask(&question, parse)
}

/// Reads an `nfgenmsg` and its attributes. Numbers of this family are big-endian.
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
    Some(FlowTable { name: format!("{table} {name}"), devices, hardware })
}

/// Something that the card or its driver does to frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Feature {
    /// Packets of one flow are joined before anybody sees them.
    ReceiveOffload,
    /// The same, by the card.
    HardwareReceiveOffload,
    /// The same, in a way that cannot be undone.
    LargeReceiveOffload,
    /// Packets are cut into frames only behind us.
    SegmentationOffload,
    /// The card takes tags off.
    VlanOffload,
    /// The card can forward by itself what the firewall tells it.
    FlowOffload,
}

impl Feature {
    /// Each with the name that `ethtool -k` has for it among the kernel's strings.
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::ReceiveOffload, "rx-gro", "gro"),
        (Self::HardwareReceiveOffload, "rx-gro-hw", "gro-hw"),
        (Self::LargeReceiveOffload, "rx-lro", "lro"),
        (Self::SegmentationOffload, "tx-tcp-segmentation", "tso"),
        (Self::VlanOffload, "rx-vlan-hw-parse", "rx-vlan"),
        (Self::FlowOffload, "hw-tc-offload", "hw-tc"),
    ];

    /// Short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(.., name)| name)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What is switched on at an interface now. Empty if its driver does not tell. Needs no privilege.
#[must_use]
pub fn features(interface: &str) -> Vec<Feature> {
    read_features(interface).unwrap_or_default()
}

/// The driver's name as the driver tells it; also of devices that `/sys` shows none of. Needs no privilege.
#[must_use]
pub fn driver(interface: &str) -> Option<String> {
    // struct ethtool_drvinfo: command, then the driver's name first of several texts; 196 bytes.
    const WORDS: usize = 49;
    const NAME_WORDS: usize = 8;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    let mut words = [0; WORDS];
    set(&mut words, [0x3]);
    call(&socket, interface, &mut words).ok()?;
    let name: Vec<u8> = words.iter().skip(1).take(NAME_WORDS).flat_map(|word| word.to_ne_bytes()).collect();
    Some(text(&name)).filter(|name| !name.is_empty())
}

fn read_features(interface: &str) -> Result<Vec<Feature>, Errno> {
    const FEATURES: u32 = 4; // ETH_SS_FEATURES
    const STRING_BYTES: usize = 32; // ETH_GSTRING_LEN
    const MAX: u32 = 256;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let tool = |words: &mut [u32]| call(&socket, interface, words);
    // struct ethtool_sset_info: command, reserved, mask of 64 bits, one number for each bit set.
    let mask: u64 = 1 << FEATURES;
    let [a, b, c, d, e, f, g, h] = mask.to_ne_bytes();
    let mut count = [0x37, 0, u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]), 0];
    tool(&mut count)?;
    let [.., count] = count;
    let count = count.min(MAX);
    let words = |count: u32| usize::try_from(count).unwrap_or(0);
    // struct ethtool_gstrings: command, set, number of strings, the strings.
    let mut strings = vec![0; 3 + words(count) * STRING_BYTES / 4];
    set(&mut strings, [0x1b, FEATURES, count]);
    tool(&mut strings)?;
    let names: Vec<u8> = strings.iter().skip(3).flat_map(|word| word.to_ne_bytes()).collect();
    // struct ethtool_gfeatures: command, number of blocks, blocks of available, requested, active, never changed.
    let blocks = count.div_ceil(32);
    let mut states = vec![0; 2 + words(blocks) * 4];
    set(&mut states, [0x3a, blocks]);
    tool(&mut states)?;
    let is_active = |index: usize| {
        states.get(2 + index / 32 * 4 + 2).is_some_and(|active| active >> (index % 32) & 1 != 0)
    };
    let active = names.chunks_exact(STRING_BYTES).enumerate().filter(|(index, _)| is_active(*index));
    let known = active.filter_map(|(_, name)| {
        let name = text(name);
        Feature::ALL.iter().find(|(_, kernel, _)| *kernel == name).map(|(feature, ..)| *feature)
    });
    Ok(known.collect())
}

fn set<const N: usize>(words: &mut [u32], first: [u32; N]) {
    words.iter_mut().zip(first).for_each(|(word, value)| *word = value);
}

/// Asks the driver of `interface`; `words` begin with a command of `linux/ethtool.h` and hold its structure.
fn call(socket: &rustix::fd::OwnedFd, interface: &str, words: &mut [u32]) -> Result<(), Errno> {
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: words.as_mut_ptr().cast() },
    };
    let name = interface.bytes().take(libc::IFNAMSIZ - 1);
    request
        .ifr_name
        .iter_mut()
        .zip(name)
        .for_each(|(place, byte)| *place = std::ffi::c_char::from_ne_bytes([byte]));
    // SAFETY: the request names a buffer that is as long as the command's structure says, counts of elements
    // included, and outlives the call.
    unsafe { ioctl(socket, EthernetTool(&raw mut request)) }
}

/// `SIOCETHTOOL`.
struct EthernetTool(*mut libc::ifreq);

// SAFETY: the number is that of linux/sockios.h, the same on all machines; the argument is a pointer to `ifreq`.
unsafe impl Ioctl for EthernetTool {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        const SIOCETHTOOL: Opcode = 0x8946;
        SIOCETHTOOL
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> Result<(), Errno> {
        Ok(())
    }
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
        let expected =
            FlowTable { name: "fw4 ft".into(), devices: vec!["eth0".into(), "eth1".into()], hardware: true };
        assert_eq!(parse(&payload), Some(expected));
        assert_eq!(parse(&[1, 0]), None);
    }

    #[test]
    fn what_is_no_interface_has_no_features() {
        assert_eq!((features("no such one"), driver("no such one")), (Vec::new(), None));
    }
}
