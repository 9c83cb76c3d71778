//! ARP bindings of the captured link: which MAC address claims which IPv4 address.
//!
//! Read first: RFC 826 (ARP); RFC 2131 section 4.3.1 (address assignment); RFC 9568 section 7.3 (virtual router MAC addresses).

use core::time::Duration;

use sentinel_units::{Address, Mac, Timestamp};

use crate::hash::HashKey;
use crate::table::{Recycle, Set, Table};

/// Lifetime of a binding since its last claim or lease: a day, so that another machine cannot take over the address of one that
/// is switched off over night without a report.
pub const BINDING_LIFETIME: Duration = Duration::from_secs(86_400);

/// Storage of four bindings.
pub type NeighbourSet = Set<Address, Binding>;

/// Binding of an IPv4 address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding {
    /// MAC address that claimed the address last.
    mac: Mac,
    /// MAC address that a DHCP server leased the address to last.
    leased_to: Option<Mac>,
}

impl Recycle for Binding {
    fn recycle(&mut self) {
        *self = Self::default();
    }
}

/// Classification of a claim against the binding before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The address had no binding.
    First,
    /// The MAC address is that of the binding.
    Same,
    /// The MAC address changed for a known reason: a DHCP server leased the address to the new one, or one of both is a virtual
    /// router address (VRRP, CARP, HSRP), which moves between machines by design.
    Explained,
    /// The MAC address changed without a known reason.
    Moved {
        /// MAC address of the binding before.
        before: Mac,
    },
}

/// Bindings of the captured link, in a set-associative [`Table`].
///
/// Capacity: four times the sets lent, rounded down to a power of two. Key: IPv4 address. Lifetime: [`BINDING_LIFETIME`] since
/// the last claim or lease. A new address in a full set evicts the least recently used of its four, which
/// [`Table::evictions`] of [`Self::table`] counts; the next claim of that address is then [`Claim::First`].
#[derive(Debug)]
pub struct Neighbours<'m> {
    table: Table<'m, Address, Binding>,
}

impl<'m> Neighbours<'m> {
    /// Makes an empty table over lent storage.
    #[must_use]
    pub fn new(sets: &'m mut [NeighbourSet]) -> Self {
        Self { table: Table::new(sets, BINDING_LIFETIME) }
    }

    /// Underlying table, for its capacity and evictions.
    #[must_use]
    pub const fn table(&self) -> &Table<'m, Address, Binding> {
        &self.table
    }

    /// Records that `mac` claims `address` and classifies the claim. A claim always becomes the binding, so that each change
    /// between two machines is reported.
    pub fn claim(&mut self, key: &HashKey, address: Address, mac: Mac, now: Timestamp) -> Claim {
        let Some(entry) = self.table.entry(key.address(address), address, now) else {
            return Claim::First;
        };
        let binding = entry.value;
        if entry.is_new {
            *binding = Binding { mac, leased_to: None };
            return Claim::First;
        }
        // The claim becomes the binding even if it is not explained: which of two machines is genuine cannot be known here. Each
        // change between them, the trace that ARP spoofing leaves, is then a move.
        let before = core::mem::replace(&mut binding.mac, mac);
        if before == mac {
            Claim::Same
        } else if binding.leased_to == Some(mac) || before.is_virtual_router() || mac.is_virtual_router() {
            Claim::Explained
        } else {
            Claim::Moved { before }
        }
    }

    /// Records that a DHCP server leased `address` to `mac`: a later claim by it is [`Claim::Explained`].
    pub fn lease(&mut self, key: &HashKey, address: Address, mac: Mac, now: Timestamp) {
        if let Some(entry) = self.table.entry(key.address(address), address, now) {
            // A lease is no claim: the MAC address of a known binding stays, so that the claim of the new holder is classified.
            if entry.is_new {
                entry.value.mac = mac;
            }
            entry.value.leased_to = Some(mac);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    const KEY: HashKey = HashKey::new(1);
    const GATEWAY: Address = Address::v4(0x0a14_1e01);
    const REAL: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const FALSE: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
    const VIRTUAL: Mac = Mac([0, 0, 0x5e, 0, 1, 9]);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    #[test]
    fn each_change_without_reason_is_a_move() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(1)), Claim::First);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(2)), Claim::Same);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(3)), Claim::Moved { before: REAL });
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(4)), Claim::Moved { before: FALSE });
    }

    #[test]
    fn a_lease_explains_the_claim_of_its_holder_alone() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        neighbours.lease(&KEY, GATEWAY, FALSE, at(2));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(3)), Claim::Explained);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(4)), Claim::Moved { before: FALSE });
    }

    #[test]
    fn moves_of_virtual_router_addresses_are_explained() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, VIRTUAL, at(2)), Claim::Explained);
        assert_eq!(neighbours.claim(&KEY, GATEWAY, REAL, at(3)), Claim::Explained);
    }

    #[test]
    fn a_binding_expires_after_a_day() {
        let mut sets = vec![NeighbourSet::default(); 2];
        let mut neighbours = Neighbours::new(&mut sets);
        neighbours.claim(&KEY, GATEWAY, REAL, at(1));
        assert_eq!(neighbours.claim(&KEY, GATEWAY, FALSE, at(86_402)), Claim::First);
    }
}
