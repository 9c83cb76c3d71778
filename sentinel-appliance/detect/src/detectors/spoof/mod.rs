//! Claims to an identity that belongs to another, on the link: addresses, routers, DHCP servers.
//!
//! | file | content |
//! |---|---|
//! | `link_layer` | dispatch: which packet goes to which of the following, and which link it is on |
//! | `bindings` | judgement of claims to an address, for ARP and neighbour discovery alike |
//! | `gateways` | hardware addresses from which the traffic of the Internet comes |
//! | `servers` | DHCP servers: `rogue_dhcp`, `rogue_dns`; their leases explain moves |
//! | `routers` | router advertisements: `rogue_ra` |
//! | `starvation` | `dhcp_starvation` |
//! | `mac_flood` | `mac_flood`, and which stations are new |
//! | `device_table` | stations that are known, and how steadily they are seen |
//! | `new_device` | `new_device` |
//! | `device_offline` | `device_offline` |
//! | `arp`, `ndp` | `arp_spoof`, `ndp_spoof`: messages to claims |

pub(crate) mod arp;
mod bindings;
pub(crate) mod device_offline;
pub(crate) mod device_table;
mod gateways;
pub(crate) mod link_layer;
pub(crate) mod mac_flood;
pub(crate) mod ndp;
pub(crate) mod new_device;
pub(crate) mod routers;
pub(crate) mod servers;
pub(crate) mod starvation;
#[cfg(test)]
mod tests;
