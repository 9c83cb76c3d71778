//! Link types of the kernel's hardware types.

use sentinel_units::LinkType;

/// Link type of frames of a hardware type (`ARPHRD_*`); `None` if it is not supported.
#[must_use]
#[inline]
pub fn link_type(hardware_type: u16) -> Option<LinkType> {
    match hardware_type {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::ETHERNET),
        // The driver removes the tunnel header before frames reach the ring.
        libc::ARPHRD_NONE | libc::ARPHRD_PPP | ARPHRD_RAWIP => Some(LinkType::RAW),
        _ => None,
    }
}

/// Bare IP, as cellular modems have it; not in libc.
const ARPHRD_RAWIP: u16 = 519;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_hardware_types_have_no_link_type() {
        assert_eq!(link_type(1), Some(LinkType::ETHERNET));
        assert_eq!(link_type(0xfffe), Some(LinkType::RAW)); // tun, WireGuard
        for kind in [libc::ARPHRD_TUNNEL, libc::ARPHRD_SIT, 803] {
            assert_eq!(link_type(kind), None, "{kind}"); // ipip, sit, radiotap
        }
    }
}
