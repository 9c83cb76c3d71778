//! Protocol numbers as operands of instructions, which have 32 bits. The numbers themselves are in `units`.

/// A number of 16 bits as an operand.
const fn operand(number: u16) -> u32 {
    let [high, low] = number.to_be_bytes();
    u32::from_be_bytes([0, 0, high, low])
}

/// A number of 8 bits as an operand.
const fn byte_operand(number: u8) -> u32 {
    u32::from_be_bytes([0, 0, 0, number])
}

/// Values of the `EtherType` field.
pub(crate) mod ethertype {
    use sentinel_units::ethertype;

    use super::operand;

    pub(crate) const IPV4: u32 = operand(ethertype::IPV4);
    pub(crate) const ARP: u32 = operand(ethertype::ARP);
    pub(crate) const RARP: u32 = operand(ethertype::RARP);
    pub(crate) const IPV6: u32 = operand(ethertype::IPV6);
    pub(crate) const MPLS: u32 = operand(ethertype::MPLS);
    pub(crate) const PPPOE_DISCOVERY: u32 = operand(ethertype::PPPOE_DISCOVERY);
    pub(crate) const PPPOE_SESSION: u32 = operand(ethertype::PPPOE_SESSION);
    /// 802.1Q, 802.1ad, and `QinQ` from before it had a standard.
    pub(crate) const VLAN_TAGS: [u32; 3] =
        [operand(ethertype::VLAN), operand(ethertype::SERVICE_VLAN), operand(ethertype::OLD_SERVICE_VLAN)];
}

/// Values of the protocol field of PPP.
pub(crate) mod ppp {
    use sentinel_units::ppp_protocol;

    use super::operand;

    pub(crate) const IPV4: u32 = operand(ppp_protocol::IPV4);
    pub(crate) const IPV6: u32 = operand(ppp_protocol::IPV6);
    pub(crate) const MPLS: u32 = operand(ppp_protocol::MPLS);
}

/// Values of the protocol field of IPv4 and of the next-header field of IPv6.
pub(crate) mod ip_protocol {
    use sentinel_units::ip_protocol;

    use super::byte_operand;

    pub(crate) const HOP_BY_HOP: u32 = byte_operand(ip_protocol::HOP_BY_HOP);
    pub(crate) const TCP: u32 = byte_operand(ip_protocol::TCP);
    pub(crate) const UDP: u32 = byte_operand(ip_protocol::UDP);
    pub(crate) const ROUTING: u32 = byte_operand(ip_protocol::IPV6_ROUTING);
    pub(crate) const FRAGMENT: u32 = byte_operand(ip_protocol::IPV6_FRAGMENT);
    pub(crate) const AUTHENTICATION: u32 = byte_operand(ip_protocol::AH);
    pub(crate) const ICMPV6: u32 = byte_operand(ip_protocol::ICMPV6);
    pub(crate) const DESTINATION_OPTIONS: u32 = byte_operand(ip_protocol::DESTINATION_OPTIONS);
    pub(crate) const SCTP: u32 = byte_operand(ip_protocol::SCTP);
}
