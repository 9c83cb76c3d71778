//! Features and driver of a network card, by ethtool.
//!
//! Read first: `linux/ethtool.h` (`ETHTOOL_GFEATURES`, `ETHTOOL_GDRVINFO`).

#![allow(unsafe_code, reason = "SIOCETHTOOL has no safe interface")]

use std::ffi::c_void;
use std::fmt;

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::error::InterfaceError;
use super::text;

/// Offload of the card or its driver that changes the frames a packet ring sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Feature {
    /// Generic receive offload: packets of one flow are merged before the ring sees them.
    ReceiveOffload,
    /// Receive offload by the card.
    HardwareReceiveOffload,
    /// Large receive offload: merged in a way that cannot be undone.
    LargeReceiveOffload,
    /// Segmentation offload: the ring sees sent packets before they are cut into frames.
    SegmentationOffload,
    /// The card removes VLAN tags.
    VlanOffload,
    /// The card can forward flows that the firewall offloads to it.
    FlowOffload,
}

impl Feature {
    /// Each with the kernel's name for it (`ETH_SS_FEATURES`), and a short name.
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
    #[inline]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(.., name)| name)
    }
}

impl fmt::Display for Feature {
    #[inline]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Name of the driver, also of devices that have none in `/sys`; `None` if it is empty. Needs no privilege.
///
/// # Errors
/// [`InterfaceError::System`], with `EOPNOTSUPP` if the driver does not support ethtool.
#[inline]
pub fn driver(interface: &str) -> Result<Option<String>, InterfaceError> {
    // struct ethtool_drvinfo: command, then the driver's name first of several texts; 196 bytes.
    const WORDS: usize = 49;
    const NAME_WORDS: usize = 8;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket"))?;
    let mut words = [0; WORDS];
    set(&mut words, [0x3]);
    call(&socket, interface, &mut words).map_err(failed("ETHTOOL_GDRVINFO"))?;
    let name: Vec<u8> = words.iter().skip(1).take(NAME_WORDS).flat_map(|word| word.to_ne_bytes()).collect();
    Ok(Some(text(&name)).filter(|name| !name.is_empty()))
}

/// Offloads that are switched on at an interface now. Needs no privilege.
///
/// # Errors
/// [`InterfaceError::System`], with `EOPNOTSUPP` if the driver does not support ethtool.
#[inline]
pub fn features(interface: &str) -> Result<Vec<Feature>, InterfaceError> {
    const FEATURES: u32 = 4; // ETH_SS_FEATURES
    const STRING_BYTES: usize = 32; // ETH_GSTRING_LEN
    const MAX_FEATURES: u32 = 256;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket"))?;
    let ethtool = |name, words: &mut [u32]| call(&socket, interface, words).map_err(failed(name));
    // struct ethtool_sset_info: command, reserved, mask of 64 bits, one number for each bit set.
    let mask: u64 = 1 << FEATURES;
    let [a, b, c, d, e, f, g, h] = mask.to_ne_bytes();
    let mut count = [0x37, 0, u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]), 0];
    ethtool("ETHTOOL_GSSET_INFO", &mut count)?;
    let [.., count] = count;
    let count = count.min(MAX_FEATURES);
    let words = |count: u32| usize::try_from(count).unwrap_or(0);
    // struct ethtool_gstrings: command, set, number of strings, the strings.
    let mut strings = vec![0; 3 + words(count) * STRING_BYTES / 4];
    set(&mut strings, [0x1b, FEATURES, count]);
    ethtool("ETHTOOL_GSTRINGS", &mut strings)?;
    let names: Vec<u8> = strings.iter().skip(3).flat_map(|word| word.to_ne_bytes()).collect();
    // struct ethtool_gfeatures: command, number of blocks, blocks of available, requested, active, never
    // changed.
    let blocks = count.div_ceil(32);
    let mut states = vec![0; 2 + words(blocks) * 4];
    set(&mut states, [0x3a, blocks]);
    ethtool("ETHTOOL_GFEATURES", &mut states)?;
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

/// Error of a call.
#[inline]
fn failed(call: &'static str) -> impl Fn(Errno) -> InterfaceError {
    move |errno| InterfaceError::System { call, errno }
}

/// Writes the first words of a structure.
#[inline]
fn set<const N: usize>(words: &mut [u32], first: [u32; N]) {
    words.iter_mut().zip(first).for_each(|(word, value)| *word = value);
}

/// Sends a command to the driver of `interface`. `words` hold its structure of `linux/ethtool.h`, the command
/// first, and receive the reply.
#[inline]
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

// SAFETY: the number is that of linux/sockios.h, the same on all machines; the argument is a pointer to
// `ifreq`.
unsafe impl Ioctl for EthernetTool {
    type Output = ();

    const IS_MUTATING: bool = true;

    #[inline]
    fn opcode(&self) -> Opcode {
        const SIOCETHTOOL: Opcode = 0x8946;
        SIOCETHTOOL
    }

    #[inline]
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
    fn an_unknown_interface_is_an_error_with_call_and_reason() {
        let error = |call| InterfaceError::System { call, errno: Errno::NODEV };
        assert_eq!(features("no such one"), Err(error("ETHTOOL_GSSET_INFO")));
        assert_eq!(driver("no such one"), Err(error("ETHTOOL_GDRVINFO")));
    }
}
