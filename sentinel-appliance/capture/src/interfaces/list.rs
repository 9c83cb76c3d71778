//! All interfaces with names, addresses, bridge membership and byte counts, by rtnetlink.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use sentinel_units::{Address, LinkType, Mac, ParsePrefixError, Prefix};

use super::error::InterfaceError;
use super::link::link_type;
use super::netlink::{Attributes, dump_route, parsed, u16_at, u32_at, u64_at};
use super::text;

/// One interface at the time of the call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interface {
    /// Name, at most 15 bytes.
    pub name: String,
    /// Number in its network namespace.
    pub index: u32,
    /// Hardware address, if it has one of 48 bits.
    pub mac: Option<Mac>,
    /// IP addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// Administratively up (`IFF_UP`).
    pub is_up: bool,
    /// Has a carrier (`IFF_RUNNING`).
    pub is_running: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// The interface that it is a port of: a bridge, a bond or team, or a VRF.
    pub master: Option<String>,
    /// The interface that carries its frames, in the same namespace: of a VLAN interface the one with the tags, of a MACVLAN
    /// interface the one below.
    pub parent: Option<String>,
    /// The ports of this bridge, by name.
    pub ports: Vec<String>,
    /// The kernel's kind (`bridge`, `veth`, `vlan`, `wireguard`...); else `loopback`, `wireless`, `ethernet`
    /// or `other`.
    pub kind: String,
    /// Name of the driver, if `/sys` has a device for the interface.
    pub driver: Option<String>,
    /// Longest packet in bytes, without the link-layer header.
    pub mtu: u32,
    /// Link type of frames captured on it; `None` if it is not supported.
    pub link: Option<LinkType>,
    /// Bytes received since the interface was created, by the kernel's count.
    pub received_bytes: u64,
    /// Bytes sent, likewise.
    pub sent_bytes: u64,
    /// Packets received, likewise; before receive offload joins them.
    pub received_packets: u64,
    /// Packets sent, likewise.
    pub sent_packets: u64,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InterfaceAddress {
    /// The address itself.
    pub address: Address,
    /// Number of its leading bits that are the network's.
    pub prefix_length: u8,
}

impl InterfaceAddress {
    /// The network that the address lies in.
    ///
    /// # Errors
    /// [`ParsePrefixError`] if the kernel gave a length that is longer than the address.
    #[inline]
    pub fn prefix(&self) -> Result<Prefix, ParsePrefixError> {
        Prefix::new(self.address, self.prefix_length)
    }
}

/// The interfaces of this network namespace, by index. Needs no privilege.
///
/// # Errors
/// [`InterfaceError`] if the kernel does not reply, or not in its format.
#[inline]
pub fn list() -> Result<Vec<Interface>, InterfaceError> {
    let mut links = parsed(&dump_route(libc::RTM_GETLINK, libc::RTM_NEWLINK)?, Link::parse)?;
    let addresses = parsed(&dump_route(libc::RTM_GETADDR, libc::RTM_NEWADDR)?, parse_address)?;
    let addresses: Vec<_> = addresses.into_iter().flatten().collect();
    links.sort_by_key(|link| link.index);
    Ok(links.iter().map(|link| link.describe(&links, &addresses)).collect())
}

/// One `RTM_NEWLINK` message; relations to other interfaces are resolved when all are there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Link {
    name: String,
    index: u32,
    hardware_type: u16,
    flags: u32,
    mac: Option<Mac>,
    mtu: u32,
    /// Index of the bridge, bond or VRF that it belongs to.
    master: Option<u32>,
    kind: Option<String>,
    /// Index of the interface below, or of the other end of a pair.
    lower: Option<u32>,
    /// That index is one of another namespace.
    is_lower_elsewhere: bool,
    received_bytes: u64,
    sent_bytes: u64,
    received_packets: u64,
    sent_packets: u64,
}

impl Link {
    /// Reads an `ifinfomsg` and its attributes.
    #[inline]
    fn parse(payload: &[u8]) -> Option<Self> {
        const HEADER_LEN: usize = 16;
        const INFO_KIND: u16 = 1;
        let mut link = Self {
            hardware_type: u16_at(payload, 2)?,
            index: u32_at(payload, 4)?,
            flags: u32_at(payload, 8)?,
            ..Self::default()
        };
        for (kind, value) in Attributes(payload.get(HEADER_LEN..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
                libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
                libc::IFLA_MASTER => link.master = Some(u32_at(value, 0)?),
                libc::IFLA_LINK => link.lower = Some(u32_at(value, 0)?),
                libc::IFLA_LINK_NETNSID => link.is_lower_elsewhere = true,
                libc::IFLA_STATS64 => {
                    // struct rtnl_link_stats64: packets received and sent, bytes received and sent, ...
                    link.received_packets = u64_at(value, 0)?;
                    link.sent_packets = u64_at(value, 8)?;
                    link.received_bytes = u64_at(value, 16)?;
                    link.sent_bytes = u64_at(value, 24)?;
                }
                libc::IFLA_LINKINFO => {
                    let named = Attributes(value).find(|(kind, _)| *kind == INFO_KIND);
                    link.kind = named.map(|(_, name)| text(name));
                }
                _ => {}
            }
        }
        Some(link)
    }

    #[inline]
    fn describe(&self, all: &[Self], addresses: &[(u32, InterfaceAddress)]) -> Interface {
        let has_flag = |flag: i32| self.flags & flag.cast_unsigned() != 0;
        let master = all.iter().find(|other| Some(other.index) == self.master);
        let parent = all.iter().find(|other| self.is_stacked() && Some(other.index) == self.lower);
        let ports = all.iter().filter(|other| self.is_bridge() && other.master == Some(self.index));
        let device = Path::new("/sys/class/net").join(&self.name);
        Interface {
            name: self.name.clone(),
            index: self.index,
            mac: self.mac.filter(|_| self.hardware_type != libc::ARPHRD_LOOPBACK),
            addresses: addresses
                .iter()
                .filter(|(index, _)| *index == self.index)
                .map(|(_, own)| *own)
                .collect(),
            is_up: has_flag(libc::IFF_UP),
            is_running: has_flag(libc::IFF_RUNNING),
            bridge: master.filter(|master| master.is_bridge()).map(|bridge| bridge.name.clone()),
            master: master.map(|master| master.name.clone()),
            parent: parent.map(|parent| parent.name.clone()),
            ports: ports.map(|port| port.name.clone()).collect(),
            kind: self.kind.clone().unwrap_or_else(|| self.kind_of_device(&device).to_owned()),
            driver: driver(&device),
            mtu: self.mtu,
            link: link_type(self.hardware_type),
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
            received_packets: self.received_packets,
            sent_packets: self.sent_packets,
        }
    }

    /// Returns true if its frames are also those of the interface below. A virtual pair has two ends instead, and tunnels
    /// name the interface that their packets leave by, where they are packets of their own.
    #[inline]
    fn is_stacked(&self) -> bool {
        let is_kind = self
            .kind
            .as_deref()
            .is_some_and(|kind| matches!(kind, "vlan" | "macvlan" | "macvtap" | "ipvlan"));
        is_kind && !self.is_lower_elsewhere
    }

    #[inline]
    fn is_bridge(&self) -> bool {
        self.kind.as_deref() == Some("bridge")
    }

    #[inline]
    fn kind_of_device(&self, device: &Path) -> &'static str {
        match self.hardware_type {
            libc::ARPHRD_LOOPBACK => "loopback",
            libc::ARPHRD_ETHER if device.join("phy80211").exists() => "wireless",
            libc::ARPHRD_ETHER => "ethernet",
            _ => "other",
        }
    }
}

/// Reads an `ifaddrmsg` and its attributes: the interface's index and its address.
///
/// The outer `None` is a malformed message, the inner one a family other than IP.
#[inline]
fn parse_address(payload: &[u8]) -> Option<Option<(u32, InterfaceAddress)>> {
    const HEADER_LEN: usize = 8;
    let [family, prefix_length, ..] = *payload else { return None };
    let index = u32_at(payload, 4)?;
    let family = i32::from(family);
    // On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL the own; elsewhere both are the own.
    let mut found = None;
    for (kind, value) in Attributes(payload.get(HEADER_LEN..)?) {
        match kind {
            libc::IFA_LOCAL => found = Some(value),
            libc::IFA_ADDRESS => found = found.or(Some(value)),
            _ => {}
        }
    }
    let address: Option<std::net::IpAddr> = match family {
        libc::AF_INET => {
            found.and_then(|value| Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()))
        }
        libc::AF_INET6 => {
            found.and_then(|value| Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()))
        }
        _ => None,
    };
    Some(address.map(|address| (index, InterfaceAddress { address: address.into(), prefix_length })))
}

#[inline]
fn driver(device: &Path) -> Option<String> {
    let target = fs::read_link(device.join("device/driver")).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}
