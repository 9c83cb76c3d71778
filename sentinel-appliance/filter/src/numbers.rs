//! Protocol numbers as operands of instructions, which have 32 bits.
//!
//! Read first: IANA's registries "IEEE 802 Numbers", "PPP DLL Protocol Numbers" and "Protocol Numbers".

/// Values of the ethertype field.
pub(crate) mod ethertype {
    pub(crate) const IPV4: u32 = 0x0800;
    pub(crate) const ARP: u32 = 0x0806;
    pub(crate) const RARP: u32 = 0x8035;
    pub(crate) const IPV6: u32 = 0x86dd;
    pub(crate) const MPLS: u32 = 0x8847;
    pub(crate) const PPPOE_DISCOVERY: u32 = 0x8863;
    pub(crate) const PPPOE_SESSION: u32 = 0x8864;
    /// 802.1Q, 802.1ad, and `QinQ` from before it had a standard.
    pub(crate) const VLAN_TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
}

/// Values of the protocol field of PPP.
pub(crate) mod ppp {
    pub(crate) const IPV4: u32 = 0x0021;
    pub(crate) const IPV6: u32 = 0x0057;
    pub(crate) const MPLS: u32 = 0x0281;
}

/// Values of the protocol field of IPv4 and of the next-header field of IPv6.
pub(crate) mod ip_protocol {
    pub(crate) const HOP_BY_HOP: u32 = 0;
    pub(crate) const TCP: u32 = 6;
    pub(crate) const UDP: u32 = 17;
    pub(crate) const ROUTING: u32 = 43;
    pub(crate) const FRAGMENT: u32 = 44;
    pub(crate) const AUTHENTICATION: u32 = 51;
    pub(crate) const ICMPV6: u32 = 58;
    pub(crate) const DESTINATION_OPTIONS: u32 = 60;
    pub(crate) const SCTP: u32 = 132;
}
